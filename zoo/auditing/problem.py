"""A problem: what is wrong where, the evidence as a number, what it does to training, the cure."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.auditing.places import Place


@dataclass(frozen=True)
class Problem:
    """One thing that a script does and does not say."""

    kind: str
    place: Place
    what: str
    evidence: str
    effect: str
    cure: str

    def __str__(self) -> str:
        return f"{self.place}: {self.kind}: {self.what} ({self.evidence}). {self.effect} {self.cure}"


def times(number: int, noun: str = "time") -> str:
    """``once``, ``7 times``."""
    return "once" if number == 1 and noun == "time" else f"{number:,} {noun}{'s' * (number != 1)}"


def listed(names: list[str], most: int = 4) -> str:
    """``a, b and 3 more``."""
    if len(names) <= most:
        return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
    return f"{', '.join(names[:most])} and {len(names) - most} more"
