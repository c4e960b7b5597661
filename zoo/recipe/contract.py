"""Shapes as strings: ``"B latent, B noise -> B C H W"``. Read and bound without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.api import SIZES
from zoo.errors import Position, Problem

if TYPE_CHECKING:
    from zoo.recipe.schema import Part, Recipe, Sizes

Dims = tuple[int | None, ...]
"""A tensor's shape; None for the batch."""

DEFAULTS = {
    "encoder": "B C H W -> B latent",
    "decoder": "B latent -> B C H W",
    "generator": "B latent, B noise -> B C H W",
    "critic": "B C H W -> B",
}
"""The contract of a kind, where a component states none of its own."""

LETTERS = {"C": "channels", "H": "size", "W": "size"}


@dataclass(frozen=True)
class Shape:
    """One side of a contract: names, and the numbers a recipe binds them to (None for the batch)."""

    names: tuple[str, ...]
    numbers: tuple[int | None, ...]

    def admits(self, shape: Dims) -> bool:
        """Tells whether a tensor of this shape keeps the contract."""
        pairs = zip(self.numbers, shape, strict=False)
        return len(shape) == len(self.numbers) and all(n is None or n == s for n, s in pairs)

    def __str__(self) -> str:
        return " x ".join("B" if n is None else str(n) for n in self.numbers)


@dataclass(frozen=True)
class Contract:
    """The shapes that a slot takes and gives."""

    text: str
    inputs: tuple[Shape, ...]
    output: Shape


def contract_of(part: Part, sizes: Sizes) -> Contract | None:
    """A slot's contract bound to a recipe's sizes; None for kinds that promise no shapes; unreadable, a ValueError."""
    text = part.entry.part.contract or DEFAULTS.get(part.entry.kind, "")
    if not text:
        return None
    left, arrow, right = text.partition("->")
    if not arrow:
        raise ValueError(f"contract '{text}' has no '->'")
    names = [tuple(side.split()) for side in (*left.split(","), right)]
    *inputs, output = (Shape(side, tuple(_number(name, sizes) for name in side)) for side in names)
    return Contract(text, tuple(inputs), output)


def _number(name: str, sizes: Sizes) -> int | None:
    if name == "B":
        return None
    if name.isdigit():
        return int(name)
    size = LETTERS.get(name, name)
    if size not in SIZES:
        choices = ", ".join(["B", *LETTERS, *SIZES])
        raise ValueError(f"contract names '{name}', which is no size; choices: {choices}, or a number")
    return int(getattr(sizes, size))


# -- what does not fit, in sentences -----------------------------------------------------------------------


def wrong_count(part: Part, contract: Contract, given: int) -> Problem:
    """A slot that is called with more inputs than it takes, or fewer."""
    takes = f"{len(contract.inputs)} input{'s' if len(contract.inputs) > 1 else ''}"
    return Problem(part.position, f"{named(part)} takes {takes} ('{contract.text}') and is handed {given}")


def wrong_input(part: Part, shape: Shape, given: Dims, recipe: Recipe) -> Problem:
    """A slot that is handed another shape than it expects: both shapes, and where each comes from."""
    sizes, givers = recipe.sizes, dict[str, Position]()
    for label, slot in recipe.slots.items():
        contract = contract_of(slot, sizes)
        if slot is not part and contract and contract.output.admits(given):
            givers[label] = slot.position
    users = [place for place in (part.position, *givers.values()) if place.file == recipe.file or not place.line]
    at = (users or [part.position])[0]  # where the user wrote one of the two, rather than in what that extends
    whose = named(part) if at == part.position else f"{named(part)}, {_place(part.position, at)},"
    sources = [f"as slot '{label}' gives, {_place(place, at)}" for label, place in givers.items()]
    if len(given) == 2:
        sources += [_size(name, recipe, at) for name in ("latent", "noise") if getattr(sizes, name) == given[1]]
    elif given[1:] == (sizes.channels, sizes.size, sizes.size):
        sources.append(_size("images", recipe, at))
    source = f" ({'; '.join(sources)})" if sources else ""
    return Problem(at, f"{whose} expects {with_sources(shape, recipe, at)} and is handed {dims(given)}{source}")


def named(part: Part) -> str:
    """A slot and its component, for a sentence."""
    return f"slot '{part.label}' ({part.entry.kind} '{part.entry.name}')"


def dims(shape: Sequence[int | None]) -> str:
    """A tensor's shape, for a sentence: ``B x 64``."""
    return " x ".join(["B", *map(str, shape[1:])]) if len(shape) else "a scalar"


def with_sources(shape: Shape, recipe: Recipe, at: Position) -> str:
    """A shape with where its numbers come from: ``B x 64 (latent is 64, line 3)``."""
    sources = [_size(name, recipe, at) for name in ("latent", "noise") if name in shape.names]
    if {"C", "H", "W", "channels", "size"} & set(shape.names):
        sources.append(_size("images", recipe, at))
    return f"{shape} ({', '.join(sources)})" if sources else str(shape)


def _size(name: str, recipe: Recipe, at: Position) -> str:
    """``latent is 64, line 3``."""
    sizes = recipe.sizes
    text, paths = f"images are {sizes.channels} x {sizes.size} x {sizes.size}", [("data", "size"), ("data",)]
    if name != "images":
        text, paths = f"{name} is {getattr(sizes, name)}", [(name,)]
    written = next((path for path in paths if recipe.source.get(path)), None)
    return f"{text}, {_place(recipe.source.at(written), at) if written else 'by default'}"


def _place(position: Position, at: Position) -> str:
    """``line 3``; with the file where that is not the one pointed at."""
    return f"line {position.line}" if position.line and position.file == at.file else str(position)
