"""A score as a table shows it: no more digits than its spread warrants."""

from __future__ import annotations

import math

from zoo.compare.scores import Entry

DIGITS = 4
ARROWS = {"lower": "↓", "higher": "↑", "one": "→1"}
"""What is better, beside a column's name."""


def shown(entry: Entry | None, seeds: int, sign: str = "") -> str:
    """``0.0451 ± 0.0012``, ``0.04512`` for a single seed, ``-`` for none, ``(n=2)`` where seeds are missing.

    Args:
        entry: the scores of a model in a column.
        seeds: how many seeds an entry should have.
        sign: ``+`` where what is above 0 says so, as of differences.
    """
    if entry is None:
        return "-"
    missing = f" (n={len(entry.values)})" if len(entry.values) != seeds else ""
    mean, sd = entry.mean, entry.sd
    if sd is None or not math.isfinite(mean):
        return f"{mean:{sign}.{DIGITS}g}{missing}"
    places = _places(mean, sd)
    if places is None:
        return f"{mean:{sign}.{DIGITS}g} ± {sd:.2g}{missing}"
    return f"{mean:{sign}.{places}f} ± {sd:.{places}f}{missing}"


def _places(mean: float, sd: float) -> int | None:
    """Decimal places that give the spread two digits and the mean at most six; None where no such places are."""
    if sd == 0:
        return None
    wanted = 1 - math.floor(math.log10(sd))
    most = 5 - (math.floor(math.log10(abs(mean))) if mean else 0)
    return min(wanted, most) if 0 <= min(wanted, most) <= 12 else None
