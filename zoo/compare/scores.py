"""Scores of several runs as the columns of one table."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.columns import ARROWS, distance
from zoo.compare.protocol import Score, apart, by_column, refuse_different_protocols, shared
from zoo.errors import Damaged, RequestError, RunError
from zoo.machine.disk import read_text
from zoo.runs.provenance import build_again


@dataclass(frozen=True)
class Entry:
    """The scores of a model in a column, by seed; ``best`` if no other model of the column is better."""

    values: Mapping[int, float]
    best: bool = False

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return math.fsum(self.values.values()) / len(self.values)

    @property
    def sd(self) -> float | None:
        """Standard deviation of the sample (n - 1), None for a single seed."""
        if len(self.values) < 2:
            return None
        finite = all(map(math.isfinite, self.values.values()))
        return statistics.stdev(self.values.values()) if finite else math.nan

    def less(self, other: Entry | None) -> Entry | None:
        """The differences from another model, seed by seed, over the seeds that both have; None where there are none.

        Equal seeds share the order of images and much of what is drawn, so that differences vary less than values do.
        """
        there = other.values if other else {}
        values = {seed: value - there[seed] for seed, value in self.values.items() if seed in there}
        return Entry(values) if values else None


@dataclass(frozen=True)
class Column:
    """One metric on one data set.

    Args:
        better: ``lower``, ``higher``, ``one`` (the nearest to 1), or empty where the metric does not say.
        apart: how its models differ: sentences.
        entries: model -> its scores; a model without such a score is not in it.
    """

    data: str
    label: str
    better: str
    protocol: Mapping[str, Any]
    apart: tuple[str, ...]
    entries: Mapping[str, Entry]

    def less(self, baseline: str) -> Column:
        """The column as differences from a model, which is not in it."""
        other = self.entries.get(baseline)
        less = {model: entry.less(other) for model, entry in self.entries.items() if model != baseline}
        return replace(self, entries={model: entry for model, entry in less.items() if entry})


@dataclass(frozen=True)
class Place:
    """The place of a run in a comparison: its row, its data set as the table calls it, its recipe's seed."""

    model: str
    data: str
    seed: int
    folder: Path

    @property
    def name(self) -> str:
        """Its name in progress and errors."""
        return f"{self.model} on {self.data}, seed {self.seed}"


@dataclass(frozen=True)
class Member(Place):
    """A run of the comparison: ``"done"``, ``"up to date"``, ``"given"``, or ``"failed"``, and why.

    ``seconds`` is how long all of it took to build; 0 where not all of it was built now.
    """

    state: str
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Comparison:
    """A comparison, as far as it came: its rows, its columns, every run, failed ones too, and sentences worth telling.

    The rows of its PNG files lie in JSON files beside them (``zoo.compare.pictures``). Of no ``baseline`` (the row that
    the others' differences are taken from) there are no differences.
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
        return tuple(f"{_first(names)}: {error}" for error, names in runs.items())

    @property
    def differences(self) -> tuple[Column, ...]:
        """The columns as differences from the baseline, seed by seed; none where no model has any."""
        columns = tuple(column.less(self.baseline) for column in self.columns)
        return columns if any(column.entries for column in columns) else ()

    @property
    def seeds(self) -> int:
        """How many seeds the fullest entry has."""
        return max((len(e.values) for column in self.columns for e in column.entries.values()), default=0)


def _first(names: Sequence[str]) -> str:
    others = len(names) - 1
    return f"{names[0]} and {others} other{'s' * (others > 1)}" if others else names[0]


def read_scores(folder: Path, model: str, data: str = "") -> list[Score]:
    """The scores of a run; where ``data`` is empty, of the data set that their protocols name.

    It is a RequestError to have none, and a RunError if they cannot be read.
    """

    def score(label: str, stored: Mapping[str, Any]) -> Score:
        protocol = stored["protocol"]
        name = data or str(protocol["data"]["use"]).rpartition("/")[2]
        return Score(model, name, label, int(protocol["seed"]), float(stored["value"]), protocol, str(folder))

    path = folder / "scores.json"
    try:
        text = read_text(folder, path.name)
        if text is None:
            cure = f"finish it with: {build_again(folder)}"
            raise RequestError(f"{folder}: has no scores.json; {cure}")
        return [score(label, stored) for label, stored in json.loads(text).items() if "why" not in stored]
    except (Damaged, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        cure = f"make it again with: zoo evaluate {folder}"
        raise RunError(f"{path}: cannot be read as scores ({error!r}); {cure}") from None


def columns(scores: Iterable[Score], metrics: Sequence[str] = ()) -> tuple[Column, ...]:
    """Scores as the columns of a table, by data set, then by metric: those wanted, in their order, or all.

    Those of a column that were measured in different ways are a RequestError that names the fields that differ.
    """
    wanted = [score for score in scores if not metrics or score.label in metrics]
    refuse_different_protocols(wanted)
    grouped = by_column(wanted)
    labels = metrics or list(dict.fromkeys(label for _, label in grouped))
    places = [(data, label) for data in dict.fromkeys(data for data, _ in grouped) for label in labels]
    return tuple(_column(grouped[place]) for place in places if place in grouped)


def _column(scores: Sequence[Score]) -> Column:
    better = next((str(s.protocol["better"]) for s in scores if "better" in s.protocol), "")
    values: dict[str, dict[int, float]] = {}
    for score in scores:
        values.setdefault(score.model, {})[score.seed] = score.value
    entries = {model: Entry(by_seed) for model, by_seed in values.items()}
    best = _best(entries, better)
    entries = {model: replace(entry, best=model in best) for model, entry in entries.items()}
    return Column(*scores[0].column, better, shared(scores), apart(scores), entries)


def _best(entries: Mapping[str, Entry], better: str) -> set[str]:
    """The models whose mean is best; none where all are equal, or there is only one."""
    if better not in ARROWS:
        return set()
    far = {model: distance(entry.mean, better) for model, entry in entries.items() if math.isfinite(entry.mean)}
    best = {model for model, least in far.items() if least == min(far.values())}
    return best if len(best) < len(entries) else set()
