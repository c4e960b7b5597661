"""The weights that slots begin with: read whole, compared with what a slot needs, and only then put into the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from zoo.errors import Problem, RecipeError, RequestError, ZooError, did_you_mean
from zoo.model.tensorfile import checked, judged, refuse_larger
from zoo.recipe.schema import Recipe
from zoo.recipe.weights import Weights, find_weights

SHOWN = 4
"""Names of a list that an error shows."""


def begin_with(model: nn.Module, recipe: Recipe) -> dict[str, Any]:
    """Gives the slots of a model the weights that its recipe names.

    Returns:
        slot -> ``from``, where they lie, ``sha256`` of that file, and ``numbers``, how many they are.

    Raises:
        RecipeError: for every slot whose weights are not there, cannot be read or do not fit; then none is changed.
    """
    state, taken, begun, problems = model.state_dict(), dict[str, Tensor](), dict[str, Any](), []
    for slot, part in recipe.slots.items():
        if not part.begins:
            continue
        wanted = {name.removeprefix(f"{slot}."): own for name, own in state.items() if name.startswith(f"{slot}.")}
        try:
            found = find_weights(part.begins, slot, part.entry.part.weights)
            digest, tensors = read_weights(found, wanted, getattr(model.get_submodule(slot), "added", ()))
        except ZooError as error:
            problems.append(Problem(recipe.source.at(("slots", slot, "weights")), f"weights of slot '{slot}': {error}"))
            continue
        numbers = sum(tensor.numel() for tensor in tensors.values())
        begun[slot] = {"from": part.begins, "sha256": digest, "numbers": numbers}
        taken |= {f"{slot}.{name}": tensor for name, tensor in tensors.items()}
    if problems:
        raise RecipeError(problems)
    model.load_state_dict(taken, strict=False)
    return begun


def read_weights(
    found: Weights, wanted: Mapping[str, Tensor], added: Sequence[str] = ()
) -> tuple[str, dict[str, Tensor]]:
    """The file's digest, and its tensors by the slot's names; a RequestError says what does not fit.

    What the slot has ``added`` to a network that others have may be missing.
    """
    path = Path(found.file).resolve()
    size, digest = path.stat().st_size, found.sha256()
    refuse_larger(path, size)
    with judged(), checked(path.parent, path.name, size, "" if found.of_run else digest) as file:
        names = set(file.keys())
        own = {name.removeprefix(found.prefix): name for name in names if name.startswith(found.prefix)}
        if found.saved:
            parts = {name.partition(".")[0] for name in wanted}
            named = {found.saved.named(name): name for name in names}
            own = {name: full for name, full in named.items() if name.partition(".")[0] in parts}
        wanted = {name: own_ for name, own_ in wanted.items() if name in own or name.partition(".")[0] not in added}
        shapes = {name: file.get_slice(full).get_shape() for name, full in own.items()}
        misfit = _misfit(shapes, wanted) if own or found.saved else _nothing_under(found, names)
        tensors = {} if misfit else {name: file.get_tensor(full) for name, full in own.items()}
    if misfit:
        raise RequestError(f"{found.file} {misfit}{_saved_with(found)}")
    return digest, tensors


def _saved_with(found: Weights) -> str:
    """The options in words that another library's weights were saved with, and what to do about them."""
    options = found.saved.options if found.saved else {}
    said = ", ".join(f"{name}: {value}" for name, value in options.items() if isinstance(value, str))
    return said and f". It was saved with {said}; what the recipe leaves out of the slot's options is as it was saved"


def _nothing_under(found: Weights, names: Set[str]) -> str:
    parts = {name.partition(".")[0] for name in names}
    return f"has no part '{found.prefix[:-1]}'{did_you_mean(found.prefix[:-1], parts)}"


def _misfit(there: Mapping[str, list[int]], wanted: Mapping[str, Tensor]) -> str:
    """What does not fit, as a sentence's end; empty where everything does."""
    shapes = {name: (there[name], list(own.shape)) for name, own in wanted.items() if name in there}
    others = [f"{name} is {then} there and {here} here" for name, (then, here) in shapes.items() if then != here]
    said = [
        _listed("lacks", [name for name in wanted if name not in there]),
        _listed("has what the slot has not:", [name for name in there if name not in wanted]),
        _listed("has other shapes:", others),
    ]
    return "; ".join(filter(None, said)) and f"does not fit: it {'; it '.join(filter(None, said))}"


def _listed(what: str, names: Iterable[str]) -> str:
    listed = sorted(names)
    more = f" and {len(listed) - SHOWN} more" if len(listed) > SHOWN else ""
    return f"{what} {', '.join(listed[:SHOWN])}{more}" if listed else ""
