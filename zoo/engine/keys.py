"""Names made of parts: of a term in what a step reports, and of a tensor in an engine's state. Needs no torch."""

from __future__ import annotations

from typing import NamedTuple


class TermKey(NamedTuple):
    """A term of a row. As text, ``"row/term"``; ``"2: row/term"`` where another phase has such a row and term.

    ``phase`` is its number, from 1, where it tells rows apart; else 0.
    """

    row: str
    term: str
    phase: int = 0

    def __str__(self) -> str:
        return f"{self.phase}: {self.row}/{self.term}" if self.phase else f"{self.row}/{self.term}"

    @classmethod
    def read(cls, text: str) -> TermKey:
        """The key of a text. What stands before the last slash is the row, a phase's number with it."""
        row, _, term = text.rpartition("/")
        return cls(row, term)


class StateKey(NamedTuple):
    """A tensor of an engine's state. As text, ``"model/NAME"``, ``"ema/NAME"`` or ``"optimizer/PLAYER/0/exp_avg"``.

    ``number`` and ``entry``: of the player's parameter that an optimiser keeps it for, and what the optimiser calls it.
    """

    kind: str
    name: str
    number: int = 0
    entry: str = ""

    def __str__(self) -> str:
        return "/".join(map(str, self if self.entry else self[:2]))

    @classmethod
    def read(cls, text: str) -> StateKey:
        """The key of a text; a ValueError if it is none."""
        kind, _, rest = text.partition("/")
        if kind != "optimizer":
            return cls(kind, rest)
        name, number, entry = rest.split("/", 2)
        return cls(kind, name, int(number), entry)
