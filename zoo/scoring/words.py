"""Scores as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zoo.columns import ARROWS, table
from zoo.scoring.measure import Scores


def as_table(scores: Scores) -> str:
    """A row for each number: its value, how sure it is, both sets, and how they were looked at."""
    extra = [name for name in ("interval", "infinite") if any(name in one for one in scores.values())]
    heads = {"interval": "95 of 100", "infinite": "of infinitely many"}
    rows = [["score", "value", *(heads[name] for name in extra), "judged", "reference", "how"]]
    for label, one in scores.items():
        told = [_extra(name, one.get(name)) for name in extra]
        passport = one["passport"]
        sets = [_set(passport[name]) for name in ("judged", "reference")]
        head = f"{label} {ARROWS.get(one.get('better', ''), '')}".rstrip()
        rows.append([head, f"{one['value']:.5g}", *told, *sets, _how(passport)])
    return table(rows)


def _extra(name: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value['low']:.5g} to {value['high']:.5g}" if name == "interval" else f"{value:.5g}"


def _set(about: Mapping[str, Any]) -> str:
    if "n" not in about:
        return "statistics"
    sizes = list(about["sizes"])
    return f"{about['n']:,} of {sizes[0]}{' ...' if len(sizes) > 1 else ''}"


def _how(passport: Mapping[str, Any]) -> str:
    """The protocol, and what it does that makes the number another."""
    how = passport["how"]
    said = [str(how[name]) for name in ("model", "resize") if name in how]
    return ", ".join([*([passport["protocol"]] if "protocol" in passport else []), *said])
