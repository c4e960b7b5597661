"""The words and numbers that every form of a comparison shares: its rows, its caption, how it was measured."""

from __future__ import annotations

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from zoo.columns import ARROWS
from zoo.compare.scores import Column, Comparison, Entry

HASH = re.compile(r"\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b")
"""Its first digits tell it from others; the whole is in each run's scores."""

DIGITS = 4
"""Of a number without a spread."""


def caption(comparison: Comparison) -> str:
    """Says what the numbers and the bold ones are."""
    seeds = comparison.seeds
    spread = f"Mean ± standard deviation over {seeds} seeds." if seeds > 1 else "One seed." if seeds else ""
    best = {"lower": "the lowest", "higher": "the highest", "one": "the nearest to 1"}
    bold = dict.fromkeys(f"{best[c.better]} {c.label}" for c in comparison.columns if c.better in best)
    return f"{spread} Bold: {', '.join(bold)}." if bold else spread


def difference(comparison: Comparison) -> str:
    """Says what the table of differences is; empty where there is none."""
    spread = "; mean ± standard deviation of the differences" if comparison.seeds > 1 else ""
    return f"Difference from '{comparison.baseline}', seed by seed{spread}." if comparison.differences else ""


def protocols(comparison: Comparison) -> list[str]:
    """How the scores were measured: a line for each data set, one for what is a metric's own, one for what differs."""
    said: dict[tuple[int, str], list[str]] = defaultdict(list)
    for data in dict.fromkeys(column.data for column in comparison.columns):
        fields = {c.label: {k: _plain(v) for k, v in c.protocol.items()} for c in comparison.columns if c.data == data}
        first, *others = fields.values()
        shared = {name: text for name, text in first.items() if all(other.get(name) == text for other in others)}
        said[0, _listed(shared)].append(data)
        for label, protocol in fields.items():
            own = {name: text for name, text in protocol.items() if name not in shared}
            said[1, _listed(own)].append(f"{data} {label}")
    for column in comparison.columns:
        for sentence in column.apart:
            said[2, sentence].append(f"{column.data} {column.label}")
    kinds = sorted(said.items(), key=lambda item: item[0][0])
    return [f"{', '.join(places)}: {text}" for (_, text), places in kinds if text]


def _listed(fields: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in fields.items())


def _plain(value: Any) -> str:
    return HASH.sub(r"\1", value) if value and isinstance(value, str) else json.dumps(value)


def warnings(comparison: Comparison) -> list[str]:
    """Sentences that a reader of a comparison that is not whole must know."""
    return [*comparison.notes, *(f"failed: {failure}".replace("\n", " ") for failure in comparison.failures)]


def rows(
    comparison: Comparison, escape: Callable[[str], str] = str, bold: Callable[[str], str] | None = None
) -> list[list[str]]:
    """A row for each model: its name, then its scores in each column; without ``bold``, its differences.

    ``escape`` makes text safe for the form, ``bold`` marks the best of a column.
    """
    columns, sign = (comparison.columns, "") if bold else (comparison.differences, "+")
    made = []
    for model in comparison.models:
        cells = [escape(model)]
        for column in columns:
            entry = column.entries.get(model)
            text = escape(shown(entry, comparison.seeds, sign))
            cells.append(bold(text) if bold and entry and entry.best else text)
        if bold or any(model in column.entries for column in columns):
            made.append(cells)
    return made


def entries(comparison: Comparison) -> list[dict[str, Any]]:
    """A record for each model, data set and metric, every digit kept."""
    records = []
    for column in comparison.columns:
        less = column.less(comparison.baseline).entries
        for model, entry in column.entries.items():
            record = {
                "model": model,
                "data": column.data,
                "metric": column.label,
                "better": column.better,
                "mean": entry.mean,
                "sd": entry.sd,
                "n": len(entry.values),
                "best": entry.best,
                "values": {str(seed): value for seed, value in entry.values.items()},
            }
            if model in less:
                difference = less[model]
                record |= {"difference": difference.mean, "difference_sd": difference.sd}
                record["difference_n"] = len(difference.values)
            records.append(record)
    return records


def label(column: Column) -> str:
    """A column's head below its data set's name: the metric, and an arrow to where it is better."""
    return f"{column.label} {ARROWS.get(column.better, '')}".rstrip()


def titles(comparison: Comparison) -> list[str]:
    """The columns' heads where they stand in one line."""
    return ["model", *(f"{column.data} {label(column)}" for column in comparison.columns)]


def described(picture: Path) -> tuple[str, str, str]:
    """A picture's data set, its title, and what is to be seen."""
    what, _, data = picture.stem.partition("-")
    if what == "comparison":
        return data, "reconstructions", "test images and what each model makes of them"
    return data, what, "real images, samples of each"


def shown(entry: Entry | None, seeds: int, sign: str = "") -> str:
    """``0.0451 ± 0.0012``, ``0.04512`` for a single seed, ``-`` for none, ``(n=2)`` where seeds are missing.

    With the sign ``+``, numbers above 0 have one, as differences do.
    """
    if entry is None:
        return "-"
    missing = f" (n={len(entry.values)})" if len(entry.values) != seeds else ""
    mean, sd, places = entry.mean, entry.sd, -1
    if sd is None or not math.isfinite(mean):
        return f"{mean:{sign}.{DIGITS}g}{missing}"
    if sd:  # two digits of the spread, at most six of the mean
        places = min(1 - math.floor(math.log10(sd)), 5 - (math.floor(math.log10(abs(mean))) if mean else 0))
    if 0 <= places <= 12:
        return f"{mean:{sign}.{places}f} ± {sd:.{places}f}{missing}"
    return f"{mean:{sign}.{DIGITS}g} ± {sd:.2g}{missing}"
