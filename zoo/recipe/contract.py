"""Shapes as strings: ``"B latent, B noise -> B C H W"``. Read and bound without torch."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from zoo.api import SHAPES, SIZES
from zoo.errors import a, did_you_mean
from zoo.recipe.dimensions import ANY, BATCH, Shape, names_in
from zoo.registry.option_types import shown

if TYPE_CHECKING:
    from zoo.recipe.data_fields import Number, Sizes
    from zoo.recipe.schema import Part
    from zoo.registry import Entry

DEFAULTS = {
    "encoder": "B C H W -> B latent",
    "decoder": "B latent -> B C H W",
    "generator": "B latent, B noise -> B C H W",
    "critic": "B C H W -> B",
}
"""The contract of a kind, where a component states none of its own."""

LETTERS = {"C": "channels", "H": "height", "W": "width"}


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
    return stated(part.entry, part.options)


def stated(entry: Entry, options: Mapping[str, Any]) -> str:
    """The contract of a component, or else of its kind, with its options; empty where one of these is wrong."""
    text = entry.part.contract or DEFAULTS.get(entry.kind, "")
    return str(told(text, options) or "") if ":" in text else text


def told(function: str, options: Mapping[str, Any]) -> Any:
    """What ``package.module:function`` says of some options, for which it asks by name; None where one lacks."""
    says = resolve_name(function)
    asked = inspect.signature(says).parameters
    return says(**{name: options[name] for name in asked}) if asked.keys() <= options.keys() else None


def numbers_of(part: Part, sizes: Sizes) -> dict[str, int | tuple[int, ...]]:
    """What the names in a component's contract stand for: the recipe's sizes, and the numbers among its options."""
    sizes = part.sees(sizes)
    given = {name: getattr(sizes, name) for name in SIZES if name in sizes}
    letters = {letter: given[name] for letter, name in LETTERS.items() if name in given}
    return {**given, **part.options, **letters}


def asked_sizes(part: Part, sizes: Sizes) -> dict[str, int | tuple[int, ...]]:
    """The sizes of a recipe that a slot of it is made with: those that its component asks for or its contract names."""
    sides = text_of(part).replace(",", " ").replace("->", " ").split()
    named = {LETTERS.get(name, name) for word in sides for name in names_in(word)}
    seen = part.sees(sizes)
    return {
        name: getattr(seen, name) for name in SIZES if name in named | {*part.entry.signature.needs} and name in seen
    }


def bound(text: str, numbers: Mapping[str, object]) -> Contract:
    """A contract with the names in it bound to numbers; a ValueError says why it cannot be."""
    left, arrow, right = text.partition("->")
    if not arrow:
        raise ValueError(f"contract '{text}' has no '->'")
    inputs, outputs = (tuple(tuple(tensor.split()) for tensor in side.split(",")) for side in (left, right))
    inputs = inputs if left.strip() else ()
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
                if name in SIZES or name in LETTERS:
                    kinds = [a(kind) for kind, sizes in SHAPES.items() if LETTERS.get(name, name) in sizes.split()]
                    of = f" of {' or '.join(kinds)}" if kinds else ""
                    has = ", ".join(f"{LETTERS[one]} {numbers[one]}" for one in LETTERS if one in numbers)
                    but = f"the data has {has}" if has else "no field of the data has it"
                    raise ValueError(f"'{name}' is a size{of}, and {but}")
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


# -- the shape of a code -----------------------------------------------------------------------------------


def as_code(shape: int | Sequence[int]) -> Number:
    """A code's shape, of a map or of tokens; of a vector, which has one dimension, that number."""
    if isinstance(shape, int):
        return shape
    return shape[0] if len(shape) == 1 else tuple(shape)


def encoder_of(slots: Mapping[str, Part]) -> Part | None:
    """The slot that encodes: the one of that kind, or of several that which is called so; else None.

    One that has a code of its own ``sizes`` is none.
    """
    own = {label: part for label, part in slots.items() if "latent" not in part.sizes}
    encoders = {label: part for label, part in own.items() if part.entry.kind == "encoder"}
    return next(iter(encoders.values())) if len(encoders) == 1 else encoders.get("encoder")


def code_told(slots: Mapping[str, Part], sizes: Sizes) -> Number | None:
    """The shape that the encoder's contract says a code has: that of its first output, unless it asks for 'latent'.

    A contract that comes to no shape is a ValueError.
    """
    part = encoder_of(slots)
    contract = contract_of(part, sizes) if part else None
    if contract is None or "latent" in contract.outputs[0].names:
        return None
    shape = [size for size in contract.outputs[0].dims[1:] if isinstance(size, int)]
    return as_code(shape) if shape and len(shape) == len(contract.outputs[0].dims) - 1 else None
