"""What a comparison came to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.compare.scores import Column, Entry


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
        seconds: how long all of it took to build; 0 where not all of it was built now.
    """

    model: str
    data: str
    seed: int
    folder: Path
    state: str
    error: str = ""
    seconds: float = 0.0

    @property
    def name(self) -> str:
        """What sentences call it."""
        return f"{self.model} on {self.data}, seed {self.seed}"


@dataclass(frozen=True)
class Comparison:
    """A comparison, as far as it came.

    Args:
        models: the rows.
        columns: the columns.
        members: every run, failed ones too.
        pictures: PNG files.
        notes: sentences worth telling.
        baseline: the row that the others' differences are taken from; none when empty.
    """

    models: tuple[str, ...]
    columns: tuple[Column, ...]
    members: tuple[Member, ...]
    pictures: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    baseline: str = ""

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each reason why runs failed, with the runs."""
        runs: dict[str, list[str]] = {}
        for member in self.members:
            if member.state == "failed":
                runs.setdefault(member.error, []).append(member.name)
        return tuple(f"{_some(names)}: {error}" for error, names in runs.items())

    @property
    def differences(self) -> Mapping[tuple[str, str, str], Entry]:
        """(model, data, metric) -> the differences from the baseline, seed by seed."""
        found = {}
        for column in self.columns:
            for model, entry in column.entries.items():
                less = entry.less(column.entries.get(self.baseline)) if model != self.baseline else None
                if less:
                    found[model, column.data, column.label] = less
        return found

    @property
    def seeds(self) -> int:
        """How many seeds the fullest entry has."""
        return max((len(e.values) for column in self.columns for e in column.entries.values()), default=0)


def _some(names: Sequence[str]) -> str:
    """The first of several, and how many others."""
    more = len(names) - 1
    return f"{names[0]} and {more} other{'s' * (more > 1)}" if more else names[0]
