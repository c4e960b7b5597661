"""How long the cells of a comparison took, and how long the others may take."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.compare.plan import Cell
from zoo.identity import up_to_date


class Pace:
    """Guesses the time left from the cells that were built.

    Args:
        cells: those to build.
    """

    def __init__(self, cells: Sequence[Cell]) -> None:
        self._left = list(cells)
        self._took: list[tuple[Cell, float]] = []

    def done(self, cell: Cell, seconds: float | None) -> None:
        """A cell is finished, and took so long; None for one that tells nothing: resumed, failed, built by others."""
        self._left = [other for other in self._left if other is not cell]
        if seconds is not None:
            self._took.append((cell, seconds))

    @property
    def left(self) -> float | None:
        """Seconds for what nobody has finished, each cell as long as the most alike here; None where none was."""
        self._left = [cell for cell in self._left if not up_to_date(cell.folder, cell.recipe)]
        return math.fsum(map(self._guess, self._left)) if self._took else None

    def _guess(self, cell: Cell) -> float:
        alike = [[other.model == cell.model, other.data == cell.data] for other, _ in self._took]
        most = max(alike)
        seconds = [s for (_, s), how in zip(self._took, alike, strict=True) if how == most]
        return math.fsum(seconds) / len(seconds)


def duration(seconds: float) -> str:
    """``8 s``, ``2 min 10 s``, ``18 min``, ``3 h 05 min``: no finer than matters."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02} min"
