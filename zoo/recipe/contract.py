"""Shapes as strings: ``"B latent, B noise -> B C H W"``. Read and bound without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.api import SIZES
from zoo.errors import Position, Problem, did_you_mean
from zoo.recipe.dimensions import ANY, BATCH, Dims, Shape, names_in
from zoo.registry.option_types import shown

if TYPE_CHECKING:
    from zoo.recipe.schema import Part, Recipe, Sizes

DEFAULTS = {
    "encoder": "B C H W -> B latent",
    "decoder": "B latent -> B C H W",
    "generator": "B latent, B noise -> B C H W",
    "critic": "B C H W -> B",
}
"""The contract of a kind, where a component states none of its own."""

LETTERS = {"C": "channels", "H": "size", "W": "size"}


@dataclass(frozen=True)
class Contract:
    """The shapes that a slot takes and gives."""

    text: str
    inputs: tuple[Shape, ...]
    outputs: tuple[Shape, ...]

    def made_up(self, batch: int) -> list[list[int]]:
        """Shapes of inputs that keep it."""
        letters = {BATCH: batch}
        return [shape.filled(letters) for shape in self.inputs]


def contract_of(part: Part, sizes: Sizes) -> Contract | None:
    """A slot's contract bound to a recipe's sizes; None for kinds that promise no shapes; unreadable, a ValueError."""
    return bound(text, numbers_of(part, sizes)) if (text := text_of(part)) else None


def text_of(part: Part) -> str:
    """The contract of a slot as its component, or else its kind, states it; empty for kinds that promise no shapes."""
    return part.entry.part.contract or DEFAULTS.get(part.entry.kind, "")


def numbers_of(part: Part, sizes: Sizes) -> dict[str, int | tuple[int, ...]]:
    """What the names in a component's contract stand for: the recipe's sizes, and the numbers among its options."""
    given = {name: getattr(sizes, name) for name in SIZES}
    letters = {letter: given[name] for letter, name in LETTERS.items()}
    return {**given, **part.options, **letters}


def bound(text: str, numbers: Mapping[str, object]) -> Contract:
    """A contract with the names in it bound to numbers; a ValueError says why it cannot be."""
    left, arrow, right = text.partition("->")
    if not arrow:
        raise ValueError(f"contract '{text}' has no '->'")
    inputs, outputs = (tuple(tuple(tensor.split()) for tensor in side.split(",")) for side in (left, right))
    try:
        _check_words([*inputs, *outputs], numbers)
        known = {name: size for name, value in numbers.items() if (size := _size_of(value)) is not None}
        return Contract(text, *(tuple(Shape.bound(words, known) for words in side) for side in (inputs, outputs)))
    except ValueError as error:
        raise ValueError(f"contract '{text}': {error}") from None


def _check_words(tensors: Sequence[Sequence[str]], numbers: Mapping[str, object]) -> None:
    """Refuses a name that stands for nothing; a single letter that is neither a size nor an option stands free."""
    free = set[str]()
    for words in tensors:
        if words.count(ANY) > 1:
            raise ValueError(f"'{' '.join(words)}' has '...' twice")
        for word in words:
            names = set(names_in(word))
            for name in sorted(names - numbers.keys()):
                if len(name) > 1:
                    choices = did_you_mean(name, [BATCH, *(n for n in numbers if _size_of(numbers[n]) is not None)])
                    raise ValueError(f"'{name}' is no size and no option{choices}")
                if word != name and name not in free:
                    raise ValueError(f"'{word}' is reckoned from '{name}', which is no dimension before it")
            for name in sorted(names & numbers.keys()):
                if _size_of(numbers[name]) is None:
                    raise ValueError(f"'{name}' is {shown(numbers[name])} here, which is no whole number")
            free |= names - numbers.keys()


def _size_of(value: object) -> int | tuple[int, ...] | None:
    """What an option is as a size: a number, or several; None where it is neither."""
    if isinstance(value, list | tuple):
        return tuple(value) if value and all(type(each) is int for each in value) else None
    return value if type(value) is int else None


# -- what does not fit, in sentences -----------------------------------------------------------------------


def wrong_count(part: Part, contract: Contract, given: int) -> Problem:
    """A slot that is called with more inputs than it takes, or fewer."""
    takes = f"{len(contract.inputs)} input{'s' if len(contract.inputs) > 1 else ''}"
    return Problem(part.position, f"{named(part)} takes {takes} ('{contract.text}') and is handed {given}")


def wrong_input(part: Part, shape: Shape, given: Dims, letters: Mapping[str, int], recipe: Recipe) -> Problem:
    """A slot that is handed another shape than it expects: both shapes, and where each comes from."""
    sizes, givers = recipe.sizes, dict[str, Position]()
    for label, slot in recipe.slots.items():
        contract = contract_of(slot, sizes)
        if slot is not part and contract and any(output.admits(given) for output in contract.outputs):
            givers[label] = slot.position
    users = [place for place in (part.position, *givers.values()) if place.file == recipe.file or not place.line]
    at = (users or [part.position])[0]  # where the user wrote one of the two, rather than in what that extends
    whose = named(part) if at == part.position else f"{named(part)}, {_place(part.position, at)},"
    sources = [f"as slot '{label}' gives, {_place(place, at)}" for label, place in givers.items()]
    sources += [_size(name, recipe, at) for name in ("latent", "noise") if given[1:] == (getattr(sizes, name),)]
    if given[1:] == (sizes.channels, sizes.size, sizes.size):
        sources.append(_size("images", recipe, at))
    source = f" ({'; '.join(sources)})" if sources else ""
    expected = with_sources(shape, part, recipe, at, letters)
    return Problem(at, f"{whose} expects {expected} and is handed {dims(given, letters)}{source}")


def named(part: Part) -> str:
    """A slot and its component, for a sentence."""
    return f"slot '{part.label}' ({part.entry.kind} '{part.entry.name}')"


def dims(shape: Sequence[int], letters: Mapping[str, int] | None = None) -> str:
    """A tensor's shape, for a sentence: ``B x 64``; with its number where that is not the batch's in ``letters``."""
    if not len(shape):
        return "a scalar"
    first = shape[0] if (letters or {}).get(BATCH, shape[0]) != shape[0] else BATCH
    return " x ".join(map(str, [first, *shape[1:]]))


def with_sources(shape: Shape, part: Part, recipe: Recipe, at: Position, letters: Mapping[str, int]) -> str:
    """A shape with where its numbers come from: ``B x 64 (latent is 64, line 3)``."""
    sources = [_size(name, recipe, at) for name in ("latent", "noise") if name in shape.names]
    if {"C", "H", "W", "channels", "size"} & shape.names:
        sources.append(_size("images", recipe, at))
    for name in sorted(shape.names & part.options.keys()):
        node = recipe.source.get(("slots", part.label, name))
        place = _place(node.position, at) if node else "by default"
        sources.append(f"{name} is {shape.numbers[name]}, {place}")
    sources += [f"{name} is {letters[name]} in this call" for name in sorted(shape.names & letters.keys() - {BATCH})]
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
