"""Plain text and data: tables, durations, JSON, nested names, and which way a score is better."""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

ARROWS = {"lower": "↓", "higher": "↑", "one": "→1"}
"""Where a score is better, beside its name."""

NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
"""Text in JSON -> the number it stands for, as in Protocol Buffers' JSON; ``float`` reads it."""

NARROWEST = 24
"""Letters that a wrapped column has at least."""

_STYLE = re.compile("\x1b\\[[0-9;]*m")
"""What a terminal shows no letter of."""


def printable(text: object, *, lines: bool = True) -> str:
    """Text whose control characters, which a terminal would obey, are written out; the ends of ``lines`` may stay."""
    shown = str(text)
    if shown.isprintable():
        return shown
    stays = "\n" if lines else ""
    return "".join(c if c.isprintable() or c == stays else c.encode("unicode_escape").decode() for c in shown)


def table(rows: Sequence[Sequence[str]], *, header: bool = True, otherwise: int = 0, styled: bool = False) -> str:
    """Rows as aligned columns, the first one underlined where it is a header; cells may be ``styled`` already.

    On a terminal the widest column is wrapped to what it has room for; elsewhere to ``otherwise`` columns, if any.
    """
    rows = rows if styled else [[printable(cell, lines=False) for cell in row] for row in rows]
    room = shutil.get_terminal_size((otherwise, 0)).columns if otherwise or sys.stdout.isatty() else 0
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    over = sum(widths) + 2 * len(widths) - 2 - room
    if room and over > 0:
        widest = widths.index(max(widths))
        rows = [line for row in rows for line in _wrapped(row, widest, max(widths[widest] - over, NARROWEST))]
        widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    padded = ([cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)] for row in rows)
    lines = ["  ".join(cells).rstrip() for cells in padded]
    if header:
        lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def _wrapped(row: Sequence[str], column: int, width: int) -> list[list[str]]:
    """A row as lines, one of its cells wrapped."""
    lines = textwrap.wrap(row[column], width) or [""]
    return [
        [text if i == column else cell if not n else "" for i, cell in enumerate(row)] for n, text in enumerate(lines)
    ]


def _width(cell: str) -> int:
    return len(_STYLE.sub("", cell))


def duration(seconds: float) -> str:
    """``8 s``, ``2 min 10 s``, ``18 min``, ``3 h 05 min``: no finer than matters."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60:,} h {minutes % 60:02} min"


def json_text(content: Any, **options: Any) -> str:
    """JSON that every program reads: numbers that are not finite are written as the texts of ``NOT_FINITE``."""
    try:
        return json.dumps(content, allow_nan=False, **options)
    except ValueError:
        return json.dumps(_spelt(content), allow_nan=False, **options)


def leaves(plain: Mapping[str, Any] | list[Any], path: str = "") -> dict[str, Any]:
    """Plain data with dots between nested names, ``phases.0.rows``; a list without mappings, as one value, is whole."""
    found: dict[str, Any] = {}
    for key, value in plain.items() if isinstance(plain, Mapping) else enumerate(plain):
        name = f"{path}.{key}" if path else str(key)
        listed = isinstance(value, list) and any(isinstance(item, Mapping) for item in value)
        found |= leaves(value, name) if listed or (value and isinstance(value, Mapping)) else {name: value}
    return found


def distance(value: float, better: str) -> float:
    """How far a score is from the best there is: minus infinity where ``lower`` or ``higher`` is always better."""
    return {"lower": value, "higher": -value, "one": abs(value - 1)}[better]


def _spelt(content: Any) -> Any:
    if isinstance(content, Mapping):
        return {key: _spelt(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_spelt(value) for value in content]
    if not isinstance(content, float) or math.isfinite(content):
        return content
    return next(text for text, number in NOT_FINITE.items() if number == content or math.isnan(content))
