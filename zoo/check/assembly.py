"""The model of a recipe, or every reason why it cannot be assembled."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from zoo.errors import Problem, RecipeError, RequestError, did_you_mean, reason
from zoo.machine.device import VARIABLE, _told, memory
from zoo.model.model import Model, build_part
from zoo.recipe.schema import Recipe, slot_of
from zoo.score.metric import optional


class NotOnMeta(Exception):
    """Something has no implementation on the meta device; the CPU will tell whether it has one at all."""


def assemble(recipe: Recipe, device: str) -> Model:
    """The model on a device.

    Raises:
        RecipeError: a slot cannot be made or called so, a player is no part of its slot, an optimiser refuses.
        NotOnMeta: something cannot be made on the meta device.
    """
    refuse(_taken_names(recipe))
    try:
        model = Model(recipe, device)
    except NotImplementedError as error:
        raise NotOnMeta from error
    except RecipeError as error:
        raise RecipeError([*error.problems, *_refused(recipe, device, error)]) from error
    refuse([*_absent_players(model), *_bad_optimizers(recipe), *_bad_keep_best(recipe)])
    return model


def refuse(problems: Iterable[Problem]) -> None:
    """Raises RecipeError if there are any."""
    found = list(problems)
    if found:
        raise RecipeError(found)


def _refused(recipe: Recipe, device: str, first: RecipeError) -> Iterator[Problem]:
    """The slots that cannot be made for other reasons than the first has: one size may suit none of them."""
    whys = {_why(problem) for problem in first.problems}
    for part in recipe.slots.values():
        try:
            build_part(recipe, part, device)
        except (RecipeError, NotImplementedError) as error:
            found = [problem for problem in getattr(error, "problems", ()) if _why(problem) not in whys]
            whys |= set(map(_why, found))
            yield from found


def _why(problem: Problem) -> str:
    """What a problem says behind the part that it names."""
    return problem.message.partition(": ")[2]


def _taken_names(recipe: Recipe) -> Iterator[Problem]:
    """Slots are attributes of the model, which has attributes of its own."""
    taken = {*dir(Model), *vars(nn.Module()), "recipe", "owned", "functions", "terms"}
    for label in taken & recipe.slots.keys():
        message = f"slot '{label}' has the name of an attribute that every model has; call it something else"
        yield Problem(recipe.slots[label].position, message)


def _absent_players(model: Model) -> Iterator[Problem]:
    """Players such as ``encoder.trunk`` are parts of networks; only the network knows its parts."""
    for row in (row for phase in model.recipe.phases for row in phase.played):
        for player in row.players:
            try:
                model.network(player)
            except AttributeError:
                slot = slot_of(player)
                parts = [f"{slot}.{name}" for name, _ in model.network(slot).named_modules() if name]
                message = f"player '{player}' of row '{row.label}' is no part of slot '{slot}'"
                yield Problem(row.position, message + did_you_mean(player, parts))


def _bad_optimizers(recipe: Recipe) -> Iterator[Problem]:
    """Optimisers check their numbers when they are made."""
    for optimizer in recipe.train.optimizers.values():
        part = optimizer.part
        try:
            part.load()([nn.Parameter(torch.zeros(1))], **part.arguments_for())
        except (ValueError, TypeError, RuntimeError) as error:
            yield Problem(part.position, f"optimizer '{part.entry.name}' cannot be made: {reason(error)}")


def _bad_keep_best(recipe: Recipe) -> Iterator[Problem]:
    """What the best checkpoint is chosen by must be measured on the way, and say which way is better."""
    label, where = recipe.train.keep_best, recipe.source.at(("train", "keep_best"))
    parts = {part.label: part.load() for part in recipe.evaluate} if label else {}
    quick = [name for name, metric in parts.items() if optional(metric, "quick") and optional(metric, "better")]
    if label and label not in parts:
        hint = did_you_mean(label, quick) or "; 'evaluate' has none that is quick and says what is better"
        yield Problem(where, f"train.keep_best: 'evaluate' has no metric '{label}'{hint}")
    elif label and label not in quick:
        said = f"choices: {', '.join(sorted(quick))}" if quick else "'evaluate' has none that is"
        yield Problem(where, f"train.keep_best: '{label}' is not measured on the way: it is not quick; {said}")


_FLOAT = 4


_ON_META = {"device": "meta", "generator": None, "pin_memory": None}
"""Arguments with which an operation takes no memory and draws no numbers."""


def check_size(recipe: Recipe, device: torch.device | str = "cpu") -> None:
    """Refuses a recipe whose weights, or whose images, cannot fit; none of the memory that they lack is taken.

    A model that cannot be made on the ``meta`` device is made on the CPU, under a ``Budget``.

    Raises:
        RequestError: saying how much it asks for and how much there is.
        RecipeError: if it cannot be made at all.
    """
    sizes, there = recipe.sizes, memory(device)
    _refuse(recipe, "one image", sizes.channels * sizes.size**2 * _FLOAT, there)
    _refuse(recipe, "one code", (sizes.latent + sizes.noise) * _FLOAT, there)
    try:
        model = Model(recipe, "meta")
    except NotImplementedError:
        _check_on_cpu(recipe, min(there, memory()))
        return
    except RecipeError:
        assemble(recipe, "meta")  # raises it, and what else is wrong
        raise
    tensors = [*model.parameters(), *model.buffers()]
    _refuse(recipe, "its weights", sum(tensor.numel() * tensor.element_size() for tensor in tensors), there)


def _check_on_cpu(recipe: Recipe, there: int) -> None:
    with Budget(there) as budget:
        try:
            assemble(recipe, "cpu")
        finally:  # whatever a component made of the refusal
            _refuse(recipe, "its weights", budget.asked, there)


class Budget(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, a tensor is refused before it is made if more bytes would then be alive than there may be.

    What an operation is about to make is what it makes on the ``meta`` device. One whose result is as large as its
    numbers say cannot be asked there, and counts from then on. Only torch counts, in this thread: numpy does not,
    of which the system refuses an array that is larger than all its memory.

    Args:
        most: bytes.

    Attributes:
        asked: the most bytes that were alive at once, or would have been.
    """

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked = 0
        self._most = most
        self._alive = WeakIdKeyDictionary()  # storages, which die with the last tensor that lives in them

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        """Makes what is asked for, if it may.

        Raises:
            MemoryError: if not.
        """
        named = named or {}
        self._count(_about_to_make(function, arguments, named))
        made = function(*arguments, **named)
        self._alive.update((storage, True) for storage in _storages(made))
        return made

    def _count(self, more: int) -> None:
        if more:
            self.asked = max(self.asked, more + sum(storage.nbytes() for storage in self._alive))
        if self.asked > self._most:
            raise MemoryError(f"{_told(self.asked)} are more than the {_told(self._most)} of memory here")


def _about_to_make(function: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> int:
    """Bytes by which an operation makes memory grow; 0 if only its numbers will tell."""
    try:
        given = tree_map_only(Tensor, _shape_of, (arguments, dict(named)))
        kinds = {argument.name for argument in function._schema.arguments}
        given[1].update((name, value) for name, value in _ON_META.items() if name in kinds)
        before = _bytes(given)
        return _bytes((given, function(*given[0], **given[1]))) - before
    except Exception:  # noqa: BLE001 - meta kernels raise anything; a wrong call raises it again
        return 0


def _shape_of(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")


def _bytes(tensors: Any) -> int:
    return sum({storage._cdata: storage.nbytes() for storage in _storages(tensors)}.values())


def _storages(tensors: Any) -> list[torch.UntypedStorage]:
    """The memory that tensors live in, which several may share; a sparse one's parts are tensors themselves."""
    dense = [tensor for tensor in tree_iter(tensors) if isinstance(tensor, Tensor) and tensor.layout == torch.strided]
    return [tensor.untyped_storage() for tensor in dense]


def _refuse(recipe: Recipe, what: str, asked: int, there: int) -> None:
    if asked > there:
        raise RequestError(
            f"recipe '{recipe.name}': {what} would take {_told(asked)}, more than the {_told(there)} of memory here; "
            f"make it smaller, or set {VARIABLE}={_told(asked).replace(' ', '')} to try all the same"
        )
