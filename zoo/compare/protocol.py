"""Which numbers may share a column: the rule, in one place.

A score's protocol says how it was measured, and some things about the model it was measured of. Two scores share a
column if every field of the measuring is equal: the metric and its options, the images (how many, which split, their
size and their content), value range, resize, feature network and the hash of its weights, batch statistics, how many
samples, and for each thing judged whether it is made from images or from the prior alone.

What belongs to the model may differ, and is then said under the table: the fields of ``MODEL``; and where the content
of the images is known to be the same, the options of the data, which say what the model was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from zoo.columns import leaves
from zoo.errors import RequestError

MODEL: Mapping[str, str] = {
    "seed": "of its training and of what was drawn; seeds are what a mean is over",
    "weights": "raw or averaged ones: which the recipe trains",
    "of": "what its recipe calls the things judged",
    "made": "how it makes them: from a sample of the posterior or its mean, with z_a or without",
    "better": "which way is better: no part of any number",
}
"""Fields that describe a model, and what they say of it."""
SOURCES = ("from x", "without x")
"""Of a thing judged, in ``made``: whether images are behind it. That one is the measuring's."""
NAMED = 5
"""Differences that a refusal names."""


@dataclass(frozen=True)
class Score:
    """One number of one run, the ``place`` for a sentence (the model where empty), and how it was measured."""

    model: str
    data: str
    label: str
    seed: int
    value: float
    protocol: Mapping[str, Any]
    place: str = ""

    @property
    def column(self) -> tuple[str, str]:
        """Where it stands in the table: data, label."""
        return self.data, self.label


def refuse_different_protocols(scores: Iterable[Score]) -> None:
    """Refuses scores that cannot share a column: a RequestError has what differs, in which runs, and the cure."""
    problems: dict[str, None] = {}
    for (data, label), column in by_column(scores).items():
        for field, sides in _differing(column).items():
            said = ", ".join(f"{value} in {_some(places)}" for value, places in sides.items())
            problems[f"{data} {label}: {field} is {said}"] = None
    if problems:
        more = f" (and {len(problems) - NAMED} more)" if len(problems) > NAMED else ""
        raise RequestError(
            f"scores measured in different ways cannot share a column: {'; '.join(list(problems)[:NAMED])}{more}. "
            "Make them equal (recipes: one --data, or --set; runs: zoo evaluate RUN --set PATH=VALUE), "
            "or compare them apart"
        )


def by_column(scores: Iterable[Score]) -> dict[tuple[str, str], list[Score]]:
    """(data, label) -> its scores."""
    columns: dict[tuple[str, str], list[Score]] = {}
    for score in scores:
        columns.setdefault(score.column, []).append(score)
    return columns


def shared(scores: Sequence[Score]) -> dict[str, Any]:
    """How all the scores of a column were measured: fields with dots between nested names, those equal in all."""
    flat = [leaves({k: v for k, v in score.protocol.items() if k not in MODEL}) for score in scores]
    return {k: v for k, v in flat[0].items() if all(k in other and other[k] == v for other in flat)}


def apart(scores: Sequence[Score]) -> tuple[str, ...]:
    """How the models of a column differ: sentences."""
    fields: dict[str, dict[str, Any]] = {"weights": {s.model: s.protocol.get("weights") for s in scores}}
    made = all("made" in score.protocol for score in scores)
    for score in scores:
        for need, how in score.protocol.get("made" if made else "of", {}).items():
            fields.setdefault(f"how each makes its {need}" if made else need, {})[score.model] = how
    if _same_images(scores):
        for field in _unequal([leaves(score.protocol.get("data", {}), "data") for score in scores]):
            options = {s.model: leaves(s.protocol.get("data", {}), "data").get(field, "not set") for s in scores}
            fields[f"trained with {field}"] = options
    sentences = []
    for field, values in fields.items():
        sides: dict[str, list[str]] = {}
        for model, value in values.items():
            sides.setdefault(_text(value), []).append(model)
        if len(sides) > 1:
            sentences.append(
                f"{field}: " + "; ".join(f"{value} ({', '.join(names)})" for value, names in sides.items())
            )
    return tuple(sentences)


# -- their small parts ---------------------------------------------------------------------------------------


def _differing(column: Sequence[Score]) -> dict[str, dict[str, list[str]]]:
    """Field of the measuring -> its value -> the runs that have it; of the fields that differ."""
    flat = [_measured(score, column) for score in column]
    differing: dict[str, dict[str, list[str]]] = {}
    for field in _unequal(flat):
        sides = differing.setdefault(field, {})
        for score, fields in zip(column, flat, strict=True):
            value = _text(fields[field]) if field in fields else "not set"
            sides.setdefault(value, []).append(score.place or score.model)
    return differing


def _measured(score: Score, column: Sequence[Score]) -> dict[str, Any]:
    """The fields of the measuring alone. The content of the images, where all say it, stands for the data's options."""
    dropped = {*MODEL, "data" if _same_images(column) else "images"}
    fields = leaves({key: value for key, value in score.protocol.items() if key not in dropped})
    if all("made" in other.protocol for other in column):
        for need, how in score.protocol["made"].items():
            fields |= {f"made.{need}": source for source in SOURCES if f", {source}, " in f"{how}, "}
    return fields


def _same_images(column: Sequence[Score]) -> bool:
    """Whether the content of the images is known for all, so that the options they came by need not be equal."""
    return all("images" in score.protocol for score in column)


def _unequal(flat: Sequence[Mapping[str, Any]]) -> list[str]:
    first = flat[0]
    names = sorted({name for fields in flat for name in fields})
    missing = object()
    return [n for n in names if any(fields.get(n, missing) != first.get(n, missing) for fields in flat)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, sort_keys=True)


def _some(places: Sequence[str]) -> str:
    named = list(dict.fromkeys(places))
    more = f" and {len(named) - 3} more" if len(named) > 3 else ""
    return " and ".join(named[:3]) + more
