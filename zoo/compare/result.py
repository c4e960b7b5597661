"""What a comparison came to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from zoo.compare.scores import Column


@dataclass(frozen=True)
class Member:
    """A run of the comparison.

    Args:
        model: its row.
        data: its data set.
        seed: its recipe's seed.
        folder: where it is.
        state: ``"done"``, ``"up to date"``, ``"given"``, or ``"failed"``.
        error: why it failed.
    """

    model: str
    data: str
    seed: int
    folder: Path
    state: str
    error: str = ""


@dataclass(frozen=True)
class Comparison:
    """A comparison, as far as it came.

    Args:
        models: the rows.
        columns: the columns.
        members: every run, failed ones too.
        pictures: PNG files.
        notes: sentences worth telling.
    """

    models: tuple[str, ...]
    columns: tuple[Column, ...]
    members: tuple[Member, ...]
    pictures: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each run that failed."""
        return tuple(f"{m.data}/{m.model}/seed-{m.seed}: {m.error}" for m in self.members if m.state == "failed")

    @property
    def seeds(self) -> int:
        """How many seeds the fullest entry has."""
        return max((len(e.values) for column in self.columns for e in column.entries.values()), default=0)
