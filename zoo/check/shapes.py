"""Holds every call of a slot against its contract, and says in a sentence what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from zoo.errors import Position, Problem
from zoo.recipe.contract import Contract, contract_of, dims, named, with_sources, wrong_count, wrong_input
from zoo.recipe.schema import Part, Recipe
from zoo.types import CriticOutput, Gaussian

PROMISED: Mapping[str, tuple[type, str]] = {
    "encoder": (Gaussian, "return api.Gaussian(mean, log_sigma), both (B, latent)"),
    "critic": (CriticOutput, "return api.CriticOutput(logit), logit (B,)"),
    **dict.fromkeys(("decoder", "generator"), (Tensor, "return the images themselves")),
}
"""What networks of a kind give, and how they do."""
IMAGES = ("sample", "reconstruction")
"""Outputs that are images."""


@dataclass(frozen=True)
class Step:
    """A call of a slot, value or term that has begun, with what it is handed, by name.

    The position is where the recipe has it; None for a value that it only needs.
    """

    what: str
    position: Position | None = None
    given: Mapping[str, Any] = field(default_factory=dict)

    def failed(self, why: str, position: Position) -> Problem:
        """What to say where the call raised; ``position`` serves where it has none of its own."""
        handed = [f"{name} {dims(value.shape)}" for name, value in self.given.items() if isinstance(value, Tensor)]
        told = f" (it is handed {', '.join(handed)})" if handed else ""
        return Problem(self.position or position, f"{self.what} cannot be computed: {why}{told}")


class Misfit(Exception):
    """A tensor is not what was promised; the argument is the ``Problem``."""


class Broken(Misfit):
    """A tensor broke a slot's contract: what fails elsewhere may fail for this."""


def watch(module: nn.Module, part: Part, recipe: Recipe, inside: list[Step]) -> list[RemovableHandle]:
    """Checks every call of a slot against its contract, until the hooks that it gives are removed."""
    contract = contract_of(part, recipe.sizes)
    if contract is None:
        return []

    def before(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        _check_inputs(inputs, contract, part, recipe)
        inside.append(Step(named(part), part.position))

    def after(_: nn.Module, __: Any, output: Any) -> None:
        inside.pop()
        _check_output(output, contract, part, recipe)

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


def _check_inputs(inputs: tuple[Any, ...], contract: Contract, part: Part, recipe: Recipe) -> None:
    if len(inputs) != len(contract.inputs):
        raise Broken(wrong_count(part, contract, len(inputs)))
    for shape, given in zip(contract.inputs, inputs, strict=True):
        if not isinstance(given, Tensor):
            _misfit(part, f"expects {with_sources(shape, recipe, part.position)} and is handed {type(given).__name__}")
        if not shape.admits(tuple(given.shape)):
            raise Broken(wrong_input(part, shape, tuple(given.shape), recipe))


def _check_output(output: Any, contract: Contract, part: Part, recipe: Recipe) -> None:
    kind, cure = PROMISED.get(part.entry.kind, (Tensor, "return a tensor"))
    if not isinstance(output, kind):
        _misfit(part, f"gives {type(output).__name__}, where {kind.__name__} is promised; {cure}")
    promised = with_sources(contract.output, recipe, part.position)
    names = {Gaussian: ("mean", "log_sigma"), CriticOutput: ("logit",)}.get(kind, ())
    for name, tensor in {name: getattr(output, name) for name in names}.items() or [("", output)]:
        if not isinstance(tensor, Tensor):
            _misfit(part, f"gives {type(tensor).__name__} as '{name}', where {promised} is promised")
        if not contract.output.admits(tuple(tensor.shape)):
            whose = " as 'log_sigma'" if name == "log_sigma" else ""
            _misfit(part, f"gives {dims(tensor.shape)}{whose}, where {promised} is promised")


def check_image(label: str, value: Any, recipe: Recipe) -> None:
    """An output that people are shown as images is one."""
    sizes = recipe.sizes
    promised = (None, sizes.channels, sizes.size, sizes.size)
    given = tuple(value.shape) if isinstance(value, Tensor) else ()
    if given[1:] != promised[1:]:
        gives = dims(given) if isinstance(value, Tensor) else type(value).__name__
        message = f"output '{label}' gives {gives}, where images {dims(promised)} are promised"
        misfit_at(recipe.source.at(("outputs", label)), message)


def check_codes(label: str, value: Any, recipe: Recipe) -> None:
    """The output that gives codes has their mean."""
    if not isinstance(getattr(value, "mean", None), Tensor):
        message = f"output '{label}' gives {type(value).__name__}, where {Gaussian.__name__} is promised"
        misfit_at(recipe.source.at(("outputs", label)), message)


def _misfit(part: Part, message: str) -> NoReturn:
    raise Broken(Problem(part.position, f"{named(part)} {message}"))


def misfit_at(position: Position, message: str) -> NoReturn:
    """Refuses, at a place."""
    raise Misfit(Problem(position, message))
