"""Scores of several runs as the columns of one table."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.compare.protocol import Score, apart, by_column, refuse_different_protocols, shared
from zoo.errors import RequestError, RunError


@dataclass(frozen=True)
class Entry:
    """What a model came to in a column, over its seeds.

    Args:
        values: seed -> value.
        best: whether no other model of the column is better.
    """

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
        seeds = [seed for seed in self.values if other and seed in other.values]
        return Entry({seed: self.values[seed] - other.values[seed] for seed in seeds}) if other and seeds else None


@dataclass(frozen=True)
class Column:
    """One metric on one data set.

    Args:
        data: the data set's name.
        label: the metric's, as recipes call it.
        better: ``lower``, ``higher``, ``one`` (the nearest to 1), or empty where the metric does not say.
        protocol: how all of its scores were measured, with dots between nested names.
        apart: in what its models differ: sentences.
        entries: model -> what it came to; a model without such a score is not in it.
    """

    data: str
    label: str
    better: str
    protocol: Mapping[str, Any]
    apart: tuple[str, ...]
    entries: Mapping[str, Entry]


def read_scores(folder: Path, model: str, data: str = "") -> list[Score]:
    """The scores of a run.

    Args:
        folder: the run.
        model: its row.
        data: what the table calls its data set; the protocol's name for it when empty.

    Raises:
        RequestError: if it has none.
        RunError: if they cannot be read.
    """
    path = folder / "scores.json"
    try:
        scores = json.loads(path.read_text())
        return [_score(folder, model, data, label, score) for label, score in scores.items()]
    except FileNotFoundError:
        cure = f"finish it with: zoo build {folder / 'recipe.yaml'} --out {folder}"
        raise RequestError(f"{folder}: has no scores.json; {cure}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: cannot be read as scores ({error!r}); make it again with: zoo evaluate {folder}"
        ) from None


def _score(folder: Path, model: str, data: str, label: str, score: Mapping[str, Any]) -> Score:
    protocol = score["protocol"]
    data = data or str(protocol["data"]["use"]).rpartition("/")[2]
    return Score(model, data, label, int(protocol["seed"]), float(score["value"]), protocol, str(folder))


def columns(scores: Iterable[Score], metrics: Sequence[str] = ()) -> tuple[Column, ...]:
    """Scores as the columns of a table, by data set, then by metric.

    Args:
        scores: of every run.
        metrics: the labels wanted, in their order; all when empty.

    Raises:
        RequestError: if the scores of a column were measured in different ways, naming the fields that differ.
    """
    wanted = [score for score in scores if not metrics or score.label in metrics]
    refuse_different_protocols(wanted)
    found = by_column(wanted)
    data = list(dict.fromkeys(data for data, _ in found))
    labels = list(metrics) or list(dict.fromkeys(label for _, label in found))
    return tuple(_column(found[d, label]) for d in data for label in labels if (d, label) in found)


def _column(scores: Sequence[Score]) -> Column:
    first = scores[0]
    better = next((str(s.protocol["better"]) for s in scores if "better" in s.protocol), "")
    values: dict[str, dict[int, float]] = {}
    for score in scores:
        values.setdefault(score.model, {})[score.seed] = score.value
    entries = {model: Entry(by_seed) for model, by_seed in values.items()}
    best = _best(entries, better)
    marked = {model: Entry(entry.values, model in best) for model, entry in entries.items()}
    return Column(first.data, first.label, better, shared(scores), apart(scores), marked)


def _best(entries: Mapping[str, Entry], better: str) -> set[str]:
    """The models whose mean is best; none where there is nobody to be better than."""
    distance = {"lower": lambda v: v, "higher": lambda v: -v, "one": lambda v: abs(v - 1)}.get(better)
    if distance is None or len(entries) < 2:
        return set()
    far = {model: distance(entry.mean) for model, entry in entries.items() if math.isfinite(entry.mean)}
    best = {model for model, d in far.items() if d == min(far.values())}
    return best if len(best) < len(entries) else set()


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
