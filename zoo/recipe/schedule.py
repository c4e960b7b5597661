"""Numbers that change with the step: weights of terms, factors on learning rates."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal

SPELT = {"first": "from", "last": "to"}
"""Keys that Python does not let a field have."""


@dataclass(frozen=True)
class Piece:
    """A number that changes with the step, or a piece of its change where a list has several, one after another.

    Args:
        first: value at ``start``; a piece that leaves it out begins with the value that the one before ended at.
        last: value ``steps`` later, and from then on.
        steps: length of the change; 0 for the rest of the training, which only the last piece may have.
        start: before this step the number is 0. A later piece begins where the one before ended, or waits until here.
        shape: of the change.
    """

    first: float
    last: float
    steps: int = 0
    start: int = 0
    shape: Literal["linear", "cosine", "exponential"] = "linear"

    def __call__(self, step: int) -> float:
        """The number at a step that is no earlier than ``start``; while ``steps`` is not known it stays ``first``."""
        if not self.steps or self.first == self.last:
            return self.first
        done = min((step - self.start) / self.steps, 1.0)
        if self.shape == "exponential":
            return float(self.first * (self.last / self.first) ** done)
        if self.shape == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.first + (self.last - self.first) * done

    @property
    def end(self) -> int:
        """The step from which on the number is ``last``."""
        return self.start + self.steps


@dataclass(frozen=True)
class Schedule:
    """A number at each step, by pieces in their order; it is 0 before the first, and stays between them and after."""

    pieces: tuple[Piece, ...]

    @classmethod
    def of(cls, written: float | Mapping[str, Any] | Sequence[Mapping[str, Any]]) -> Schedule:
        """A schedule from plain data as ``plain`` gives it."""
        if isinstance(written, int | float):
            return cls((Piece(written, written),))
        pieces: list[Piece] = []
        for keys in [written] if isinstance(written, Mapping) else written:
            before = pieces[-1] if pieces else Piece(0.0, 0.0)
            first, last = keys.get("from", before.last), keys["to"]
            start = keys.get("start") or before.end
            pieces.append(Piece(first, last, keys.get("steps", 0), start, keys.get("shape", "linear")))
        return cls(tuple(pieces))

    def __call__(self, step: int) -> float:
        """The number at a step."""
        if step < self.pieces[0].start:
            return 0.0
        return next(piece for piece in reversed(self.pieces) if step >= piece.start)(step)

    @cached_property
    def _numbers(self) -> set[float]:
        """Where its pieces begin and end."""
        return {number for piece in self.pieces for number in (piece.first, piece.last)}

    @property
    def always_zero(self) -> bool:
        """Tells whether the number is 0 at every step."""
        return self._numbers == {0}

    @property
    def switches(self) -> bool:
        """Tells whether the number is 0 at some steps and not at others."""
        return not self.always_zero and (self.pieces[0].start > 0 or 0 in self._numbers)

    @property
    def constant(self) -> bool:
        """Tells whether the number is the same at every step."""
        return not self.pieces[0].start and len(self._numbers) == 1

    @property
    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest number, what comes before ``start`` left out."""
        return min(self._numbers), max(self._numbers)

    def plain(self) -> Any:
        """As a recipe writes it; of a later piece only what it does not take from the one before."""
        first = self.pieces[0]
        if self.constant and not first.steps and len(self.pieces) == 1:
            return first.last
        written = [{SPELT.get(k, k): v for k, v in vars(piece).items() if v or k != "steps"} for piece in self.pieces]
        for (before, piece), keys in zip(pairwise(self.pieces), written[1:], strict=True):
            taken = [("from", piece.first == before.last), ("start", piece.start == before.end)]
            for key in (key for key, same in taken if same):
                del keys[key]
        return written if len(written) > 1 else written[0]

    def __str__(self) -> str:
        befores = (None, *self.pieces[:-1])
        more = len(self.pieces) > 1
        return ", then ".join(_said(piece, before, more) for piece, before in zip(self.pieces, befores, strict=True))


def _said(piece: Piece, before: Piece | None, more: bool) -> str:
    """A piece in words: without what it takes from the one before; how long it stays where there are ``more``."""
    still = piece.first == piece.last
    start = f" from {'step ' if still else ''}{piece.start}" if piece.start != (before.end if before else 0) else ""
    over = f"{piece.steps} steps" if piece.steps else "the rest of the training"
    if still:
        return f"{piece.last:g}{f' for {over}' if more else ''}{start}"
    begins = "" if before and piece.first == before.last else f"{piece.first:g} "
    shape = "" if piece.shape == "linear" else f", {piece.shape}"
    return f"{begins}to {piece.last:g} over {over}{start}{shape}"


ONE = Schedule.of(1.0)
