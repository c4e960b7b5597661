"""The words of a contract: a dimension each, which a recipe's sizes and a component's options give a number."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

Numbers = Mapping[str, int | tuple[int, ...]]
"""Name -> the number that it stands for, or the numbers of several dimensions, such as a map of codes has."""

Dims = tuple[int, ...]
"""A tensor's shape."""

BATCH, ANY = "B", "..."
"""The letter of the batch, and the word for any number of dimensions."""

SIGNS: Mapping[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
}

FILLED, APART = 8, 4
"""The first number that a made-up input gives to a free letter, and how much larger that of each further one is."""


def crossed(size: int | Sequence[int]) -> str:
    """A size of one dimension or more, for a sentence: ``4 x 8 x 8``."""
    return str(size) if isinstance(size, int) else " x ".join(map(str, size))


def number(word: str, numbers: Numbers) -> int:
    """What a word such as ``H/factor`` comes to; a ValueError says why it comes to no whole number from 0 on."""
    found = _number(_parsed(word), word, numbers)
    if found < 0:
        raise ValueError(f"'{word}' comes to {found}, which is no size")
    return found


@lru_cache(maxsize=1024)
def names_in(word: str) -> tuple[str, ...]:
    """The names in a word, none of them bound yet; a ValueError if it is no dimension."""
    return () if word == ANY else tuple(node.id for node in ast.walk(_parsed(word)) if isinstance(node, ast.Name))


@lru_cache(maxsize=1024)
def _parsed(word: str) -> ast.expr:
    try:
        tree = ast.parse(word, mode="eval").body
    except (SyntaxError, ValueError):
        tree = ast.Tuple([])
    for node in ast.walk(tree):
        known = isinstance(node, ast.Name | ast.BinOp | ast.expr_context) or type(node) in SIGNS
        if not known and not (isinstance(node, ast.Constant) and type(node.value) is int):
            said = "is a letter, a size, an option, a number, '...', or these with + - * / and parentheses, no blanks"
            raise ValueError(f"'{word}' is no dimension; one {said}")
    return tree


def _number(node: ast.AST, word: str, numbers: Numbers) -> int:
    if isinstance(node, ast.Name):
        found = numbers[node.id]
        if isinstance(found, tuple):
            raise ValueError(f"'{word}' takes '{node.id}' for one number, and it is {crossed(found)}")
        return found
    if not isinstance(node, ast.BinOp):
        return int(node.value)  # type: ignore[attr-defined]
    left, right = (_number(side, word, numbers) for side in (node.left, node.right))
    if isinstance(node.op, ast.Div) and (not right or left % right):
        over, under = ast.unparse(node.left), ast.unparse(node.right)
        cure = f"make {over} a multiple of {right}" if right else f"{under} must not be 0"
        said = " and ".join(
            f"{name} is {value}" for name, value in ((over, left), (under, right)) if name != str(value)
        )
        other = f", or change {under}" if right and not under.isdigit() else ""
        raise ValueError(f"'{word}' does not come out even: {said}; {cure}{other}")
    return SIGNS[type(node.op)](left, right)


@dataclass(frozen=True)
class Shape:
    """A tensor's shape, as a contract promises it.

    Args:
        words: as the contract has them.
        dims: the number of each dimension; where a call says it, its word: a free letter, what is reckoned from one,
            or ``...``.
        numbers: of the names in it.
    """

    words: tuple[str, ...]
    dims: tuple[int | str, ...]
    numbers: Numbers = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def bound(cls, words: Sequence[str], numbers: Numbers) -> Shape:
        """The shape of some words, their names bound; a ValueError where a word comes to no number."""
        dims: list[int | str] = []
        for word in words:
            found = numbers.get(word)
            if isinstance(found, tuple):
                dims += found
            elif word == ANY or not all(name in numbers for name in names_in(word)):
                dims.append(word)
            else:
                dims.append(number(word, numbers))
        return cls(tuple(words), tuple(dims), numbers)

    @property
    def names(self) -> set[str]:
        """The names in it."""
        return {name for word in self.words for name in names_in(word)}

    def admits(self, shape: Sequence[int], letters: dict[str, int] | None = None) -> bool:
        """Tells whether a tensor of this shape keeps the promise.

        A free letter takes the first number that it meets, and keeps it in ``letters`` for the rest of the call.
        """
        letters = {} if letters is None else letters
        dims = list(self.dims)
        if ANY in dims:
            at = dims.index(ANY)
            dims[at : at + 1] = shape[at : max(at, at + 1 + len(shape) - len(dims))]
        return len(dims) == len(shape) and all(self._is(*pair, letters) for pair in zip(dims, shape, strict=True))

    def _is(self, dim: int | str, size: int, letters: dict[str, int]) -> bool:
        if isinstance(dim, int):
            return dim == size
        if dim.isalpha():
            return letters.setdefault(dim, size) == size
        try:
            return number(dim, {**self.numbers, **letters}) == size
        except ValueError:
            return False  # such as half of an odd number, which no size is

    def filled(self, letters: dict[str, int]) -> list[int]:
        """Made-up numbers that keep it; free letters take theirs from ``letters``, or leave them there."""
        found: list[int] = []
        for dim in self.dims:
            if dim == ANY:
                found += [number(letter, self.numbers) for letter in ("H", "W")]
                continue
            if isinstance(dim, str) and dim.isalpha():
                letters.setdefault(dim, FILLED + APART * len(letters))
            found.append(number(str(dim), {**self.numbers, **letters}))
        return found

    def __str__(self) -> str:
        return " x ".join(map(str, self.dims))
