"""Shapes as strings: ``"B latent, B noise -> B C H W"``. Read and bound without torch."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.api import SIZES
from zoo.recipe.schema import Part, Sizes

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

    def admits(self, shape: tuple[int, ...]) -> bool:
        """Whether a tensor of this shape keeps the contract."""
        pairs = zip(self.numbers, shape, strict=False)
        return len(shape) == len(self.numbers) and all(n is None or n == s for n, s in pairs)

    def __str__(self) -> str:
        return " x ".join("B" if n is None else str(n) for n in self.numbers)


@dataclass(frozen=True)
class Contract:
    """What a slot takes and gives."""

    text: str
    inputs: tuple[Shape, ...]
    output: Shape


def contract_of(part: Part, sizes: Sizes) -> Contract | None:
    """A slot's contract bound to a recipe's sizes; None for kinds that promise no shapes.

    Raises:
        ValueError: if the component's contract cannot be read.
    """
    text = part.entry.contract or DEFAULTS.get(part.entry.kind, "")
    if not text:
        return None
    left, arrow, right = text.partition("->")
    if not arrow:
        raise ValueError(f"contract '{text}' has no '->'")
    return Contract(text, tuple(_shape(side, sizes) for side in left.split(",")), _shape(right, sizes))


def _shape(text: str, sizes: Sizes) -> Shape:
    names = tuple(text.split())
    return Shape(names, tuple(_number(name, sizes) for name in names))


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
