"""What every form of a comparison says: its rows, its caption, how its numbers were measured."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zoo.compare.number import ARROWS, shown
from zoo.compare.result import Comparison
from zoo.compare.scores import Column, leaves


def caption(comparison: Comparison) -> str:
    """What the numbers and the bold ones are."""
    seeds = comparison.seeds
    spread = f"Mean ± standard deviation over {seeds} seeds." if seeds > 1 else "One seed."
    best = {"lower": "the lowest", "higher": "the highest", "one": "the nearest to 1"}
    found = dict.fromkeys(f"{best[c.better]} {c.label}" for c in comparison.columns if c.better in best)
    return f"{spread} Bold: {', '.join(found)}." if found else spread


def protocols(comparison: Comparison) -> list[str]:
    """How the scores were measured: a line for each data set, then one for what is a metric's own."""
    lines: dict[str, list[str]] = {}
    own: dict[str, list[str]] = {}
    for data in dict.fromkeys(column.data for column in comparison.columns):
        fields = {c.label: leaves(c.protocol) for c in comparison.columns if c.data == data}
        shared = dict(set.intersection(*({(k, _plain(v)) for k, v in f.items()} for f in fields.values())))
        lines[_fields({k: v for f in fields.values() for k, v in f.items() if k in shared})] = [data]
        for label, found in fields.items():
            own.setdefault(_fields({k: v for k, v in found.items() if k not in shared}), []).append(f"{data} {label}")
    said = [f"{', '.join(names)}: {text}" for text, names in (*lines.items(), *own.items()) if text]
    return said + [f"{c.data} {c.label}: {sentence}" for c in comparison.columns for sentence in c.apart]


def _fields(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in fields.items())


def _plain(value: Any) -> str:
    return value if value and isinstance(value, str) else json.dumps(value)


def warnings(comparison: Comparison) -> list[str]:
    """What a reader must know of a comparison that is not whole."""
    return [*comparison.notes, *(f"failed: {failure}".replace("\n", " ") for failure in comparison.failures)]


def rows(comparison: Comparison, escape: Callable[[str], str], bold: Callable[[str], str]) -> list[list[str]]:
    """A row for each model: its name, then what it came to in each column.

    Args:
        comparison: what to show.
        escape: makes text safe for the form.
        bold: marks the best of a column.
    """
    made = []
    for model in comparison.models:
        cells = [escape(model)]
        for column in comparison.columns:
            entry = column.entries.get(model)
            text = escape(shown(entry, comparison.seeds))
            cells.append(bold(text) if entry and entry.best else text)
        made.append(cells)
    return made


def entries(comparison: Comparison) -> list[dict[str, Any]]:
    """A record for each model, data set and metric, every digit kept."""
    return [
        {
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
        for column in comparison.columns
        for model, entry in column.entries.items()
    ]


def title(column: Column) -> str:
    """A column's head where it stands alone: data set, metric, and an arrow to where it is better."""
    return f"{column.data} {label(column)}"


def label(column: Column) -> str:
    """A column's head below its data set's name."""
    return f"{column.label} {ARROWS.get(column.better, '')}".rstrip()


def spans(comparison: Comparison) -> list[tuple[str, int]]:
    """Each data set, and how many columns it has."""
    return list(Counter(column.data for column in comparison.columns).items())


def told(picture: Path) -> str:
    """What a picture shows."""
    what, _, data = picture.stem.partition("-")
    rest = "test images and what each model makes of them" if what == "comparison" else "real images, samples of each"
    return f"{data}: {rest}"


def link(picture: Path, folder: Path) -> str:
    """A picture's address in a page that lies in ``folder``."""
    return quote(Path(os.path.relpath(picture, folder)).as_posix())
