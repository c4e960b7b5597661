"""Scores of several runs in one table. What was measured in different ways never shares a column."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import RequestError, RunError

MODEL_OWN = ("seed", "of", "weights", "better")
"""Fields of a protocol in which models of one column may differ: they belong to the model, not to the measuring."""
NAMED = 5
"""Differences that a refusal names."""


@dataclass(frozen=True)
class Score:
    """One number of one run, and how it was measured."""

    model: str
    data: str
    label: str
    seed: int
    value: float
    protocol: Mapping[str, Any]

    @property
    def column(self) -> tuple[str, str]:
        """Where it stands in the table: data, label."""
        return self.data, self.label


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


@dataclass(frozen=True)
class Column:
    """One metric on one data set.

    Args:
        data: the data set's name.
        label: the metric's, as recipes call it.
        better: ``lower``, ``higher``, ``one`` (the nearest to 1), or empty where the metric does not say.
        protocol: how all of its scores were measured.
        apart: in which fields of ``MODEL_OWN`` models differ: sentences.
        entries: model -> what it came to; a model without such a score is not in it.
    """

    data: str
    label: str
    better: str
    protocol: Mapping[str, Any]
    apart: tuple[str, ...]
    entries: Mapping[str, Entry]


def read_scores(folder: Path, model: str) -> list[Score]:
    """The scores of a run.

    Raises:
        RequestError: if it has none.
        RunError: if they cannot be read.
    """
    path = folder / "scores.json"
    try:
        scores = json.loads(path.read_text())
        return [_score(model, label, score) for label, score in scores.items()]
    except FileNotFoundError:
        cure = f"finish it with: zoo build {folder / 'recipe.yaml'} --out {folder}"
        raise RequestError(f"{folder}: has no scores.json; {cure}") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunError(
            f"{path}: cannot be read as scores ({error!r}); make it again with: zoo evaluate {folder}"
        ) from None


def _score(model: str, label: str, score: Mapping[str, Any]) -> Score:
    protocol = score["protocol"]
    data = str(protocol["data"]["use"]).rpartition("/")[2]
    return Score(model, data, label, int(protocol["seed"]), float(score["value"]), protocol)


def columns(scores: Iterable[Score], metrics: Sequence[str] = ()) -> tuple[Column, ...]:
    """Scores as the columns of a table, by data set, then by metric.

    Args:
        scores: of every run.
        metrics: the labels wanted, in their order; all when empty.

    Raises:
        RequestError: if the scores of a column were measured in different ways, naming the fields that differ.
    """
    found: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        if not metrics or score.label in metrics:
            found.setdefault(score.column, []).append(score)
    refuse_different_protocols([score for column in found.values() for score in column])
    data = list(dict.fromkeys(data for data, _ in found))
    labels = list(metrics) or list(dict.fromkeys(label for _, label in found))
    wanted = [(d, label) for d in data for label in labels if (d, label) in found]
    return tuple(_column(found[key]) for key in wanted)


def _column(scores: Sequence[Score]) -> Column:
    first = scores[0]
    better = next((str(s.protocol["better"]) for s in scores if "better" in s.protocol), "")
    values: dict[str, dict[int, float]] = {}
    for score in scores:
        values.setdefault(score.model, {})[score.seed] = score.value
    entries = {model: Entry(by_seed) for model, by_seed in values.items()}
    best = _best(entries, better)
    marked = {model: Entry(entry.values, model in best) for model, entry in entries.items()}
    protocol = {key: value for key, value in first.protocol.items() if key not in MODEL_OWN}
    return Column(first.data, first.label, better, protocol, _apart(scores), marked)


def _apart(scores: Sequence[Score]) -> tuple[str, ...]:
    told = []
    for field in ("weights", "of"):
        said = {score.model: _of(score.protocol.get(field)) for score in scores}
        if len(set(said.values())) > 1:
            told.append(f"{field} " + ", ".join(f"{value} in {model}" for model, value in said.items()))
    return tuple(told)


def _of(value: Any) -> str:
    return json.dumps(value, sort_keys=True) if isinstance(value, Mapping) else str(value)


def _best(entries: Mapping[str, Entry], better: str) -> set[str]:
    """The models whose mean is best; none where there is nobody to be better than."""
    distance = {"lower": lambda v: v, "higher": lambda v: -v, "one": lambda v: abs(v - 1)}.get(better)
    if distance is None or len(entries) < 2:
        return set()
    far = {model: distance(entry.mean) for model, entry in entries.items() if math.isfinite(entry.mean)}
    return {model for model, d in far.items() if d == min(far.values())}


def refuse_different_protocols(scores: Iterable[Score]) -> None:
    """Refuses scores that cannot share a column.

    Raises:
        RequestError: with each field that differs, and between which models.
    """
    first: dict[tuple[str, str], Score] = {}
    problems: dict[str, None] = {}
    for score in scores:
        other = first.setdefault(score.column, score)
        here, there = leaves(score.protocol), leaves(other.protocol)
        for field in sorted(here.keys() | there.keys()):
            if here.get(field) != there.get(field):
                sides = f"{there.get(field, 'not set')} in {other.model}, {here.get(field, 'not set')} in {score.model}"
                problems[f"{score.data} {score.label}: {field} is {sides}"] = None
    if problems:
        more = f" (and {len(problems) - NAMED} more)" if len(problems) > NAMED else ""
        raise RequestError(
            f"scores measured in different ways cannot share a column: {'; '.join(list(problems)[:NAMED])}{more}. "
            "Make them equal (--data or --set for recipes, 'zoo evaluate' for runs), or compare them apart"
        )


def leaves(protocol: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """A protocol's fields with dots between nested names, without those that belong to a model."""
    flat: dict[str, Any] = {}
    for key, value in protocol.items():
        if not prefix and key in MODEL_OWN:
            continue
        name = f"{prefix}.{key}" if prefix else str(key)
        flat |= leaves(value, name) if isinstance(value, Mapping) and value else {name: value}
    return flat
