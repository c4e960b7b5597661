"""Plain text tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

_STYLE = re.compile("\x1b\\[[0-9;]*m")
"""What a terminal shows no letter of."""


def table(rows: Sequence[Sequence[str]], *, header: bool = True, indent: str = "") -> str:
    """Rows as aligned columns, the first one underlined where it is a header."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    padded = ([cell + " " * (w - _width(cell)) for cell, w in zip(row, widths, strict=True)] for row in rows)
    lines = ["  ".join(cells).rstrip() for cells in padded]
    if header:
        lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(indent + line for line in lines)


def _width(cell: str) -> int:
    return len(_STYLE.sub("", cell))
