"""Holds every call of a slot against its contract, and says in a sentence what does not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, NoReturn

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from zoo.errors import Position, Problem
from zoo.recipe.contract import Contract, contract_of
from zoo.recipe.data_fields import COUNTED
from zoo.recipe.dimensions import Shape
from zoo.recipe.misfit import dims, named, with_sources, wrong_count, wrong_input
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
    checks = list[_Call]()

    def before(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        checks.append(_Call(contract, part, recipe))
        checks[-1].check_inputs(inputs)
        inside.append(Step(named(part), part.position))

    def after(_: nn.Module, __: Any, output: Any) -> None:
        inside.pop()
        checks.pop().check_output(output)

    return [module.register_forward_pre_hook(before), module.register_forward_hook(after)]


class _Call:
    """A call of a slot, in which a free letter of its contract stands for one number."""

    def __init__(self, contract: Contract, part: Part, recipe: Recipe) -> None:
        self.contract, self.part, self.recipe = contract, part, recipe
        self.letters: dict[str, int] = {}

    def check_inputs(self, inputs: tuple[Any, ...]) -> None:
        """Raises Broken unless they are as many as the contract has, each of its shape."""
        if len(inputs) != len(self.contract.inputs):
            raise Broken(wrong_count(self.part, self.contract, len(inputs)))
        for shape, given in zip(self.contract.inputs, inputs, strict=True):
            if not isinstance(given, Tensor):
                self._misfit(f"expects {self._promised(shape)} and is handed {type(given).__name__}")
            if not shape.admits(given.shape, self.letters):
                raise Broken(wrong_input(self.part, shape, tuple(given.shape), self.letters, self.recipe))

    def check_output(self, output: Any) -> None:
        """Raises Broken unless it is what the kind promises, or as many things as the contract has, each of its shape.

        A thing is a tensor, or a dataclass of tensors, such as a Gaussian.
        """
        kind, cure = PROMISED.get(self.part.entry.kind, (object, ""))
        shapes = self.contract.outputs
        if len(shapes) == 1 and not isinstance(output, kind):
            self._misfit(f"gives {type(output).__name__}, where {kind.__name__} is promised; {cure}")
        things = given_by(output, len(shapes))
        if things is None:
            told = (
                f"{type(output).__name__} of {len(output)}"
                if isinstance(output, tuple | list)
                else type(output).__name__
            )
            self._misfit(f"gives {told}, where {len(shapes)} things are promised ('{self.contract.text}')")
        for shape, thing in zip(shapes, things, strict=True):
            for name, tensor in named_tensors(thing).items():
                self._check_tensor(shape, name, tensor)

    def _check_tensor(self, shape: Shape, name: str, tensor: Any) -> None:
        if not isinstance(tensor, Tensor):
            whose = f" as '{name}'" if name else ""
            self._misfit(f"gives {type(tensor).__name__}{whose}, where {self._promised(shape)} is promised")
        if not shape.admits(tensor.shape, self.letters):
            whose = f" as '{name}'" if name not in ("", "mean", "logit") else ""
            given = dims(tensor.shape, self.letters)
            self._misfit(f"gives {given}{whose}, where {self._promised(shape)} is promised")

    def _promised(self, shape: Shape) -> str:
        return with_sources(shape, self.part, self.recipe, self.part.position, self.letters)

    def _misfit(self, message: str) -> NoReturn:
        raise Broken(Problem(self.part.position, f"{named(self.part)} {message}"))


def given_by(output: Any, count: int) -> tuple[Any, ...] | None:
    """The things that a network gave, one for each of the ``count`` outputs of its contract; None if there are others.

    They are the items of a tuple, a list, a mapping or a dataclass.
    """
    if count == 1:
        return (output,)
    if is_dataclass(output):
        output = [getattr(output, key.name) for key in fields(output)]
    things = tuple(
        output.values() if isinstance(output, Mapping) else output if isinstance(output, tuple | list) else ()
    )
    return things if len(things) == count else None


def named_tensors(thing: Any) -> dict[str, Any]:
    """The tensors whose shape a contract promises: of a dataclass, its fields by name, but for a critic's taps."""
    if isinstance(thing, CriticOutput):
        return {"logit": thing.logit}
    return {key.name: getattr(thing, key.name) for key in fields(thing)} if is_dataclass(thing) else {"": thing}


def check_image(label: str, value: Any, recipe: Recipe) -> None:
    """An output that people are shown as images is one: an item of a field."""
    given = tuple(value.shape) if isinstance(value, Tensor) else ()
    if not given or not recipe.field_shaped(given[1:]):
        gives = dims(given) if isinstance(value, Tensor) else type(value).__name__
        shown = [field for field in recipe.fields.values() if field.kind not in COUNTED]
        promised = " or ".join(dict.fromkeys(f"{field.kind}s {dims((0, *field.shape))}" for field in shown))
        message = f"output '{label}' gives {gives}, where {promised} are promised"
        misfit_at(recipe.source.at(("outputs", label)), message)


def check_codes(label: str, value: Any, recipe: Recipe) -> None:
    """The output that gives codes has their mean."""
    if not isinstance(getattr(value, "mean", None), Tensor):
        message = f"output '{label}' gives {type(value).__name__}, where {Gaussian.__name__} is promised"
        misfit_at(recipe.source.at(("outputs", label)), message)


def misfit_at(position: Position, message: str) -> NoReturn:
    """Refuses, at a place."""
    raise Misfit(Problem(position, message))
