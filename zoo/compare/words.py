"""What every form of a comparison says: its rows, its caption, how its numbers were measured."""

from __future__ import annotations

import json
import math
import os
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zoo.compare.scores import Column, Comparison, Entry

HASH = re.compile(r"\b(sha256:[0-9a-f]{12})[0-9a-f]{52}\b")
"""Its first digits tell it from others; the whole is in each run's scores."""


def caption(comparison: Comparison) -> str:
    """What the numbers and the bold ones are."""
    seeds = comparison.seeds
    spread = f"Mean ± standard deviation over {seeds} seeds." if seeds > 1 else "One seed." if seeds else ""
    best = {"lower": "the lowest", "higher": "the highest", "one": "the nearest to 1"}
    found = dict.fromkeys(f"{best[c.better]} {c.label}" for c in comparison.columns if c.better in best)
    return f"{spread} Bold: {', '.join(found)}." if found else spread


def difference(comparison: Comparison) -> str:
    """What the table of differences is; empty where there is none."""
    if not comparison.differences:
        return ""
    spread = "; mean ± standard deviation of the differences" if comparison.seeds > 1 else ""
    return f"Difference from '{comparison.baseline}', seed by seed{spread}."


def protocols(comparison: Comparison) -> list[str]:
    """How the scores were measured: a line for each data set, one for what is a metric's own, one for what differs."""
    lines: dict[str, list[str]] = {}
    own: dict[str, list[str]] = {}
    for data in dict.fromkeys(column.data for column in comparison.columns):
        fields = {c.label: c.protocol for c in comparison.columns if c.data == data}
        shared = dict(set.intersection(*({(k, _plain(v)) for k, v in f.items()} for f in fields.values())))
        lines[_fields({k: v for f in fields.values() for k, v in f.items() if k in shared})] = [data]
        for label, found in fields.items():
            own.setdefault(_fields({k: v for k, v in found.items() if k not in shared}), []).append(f"{data} {label}")
    apart: dict[str, list[str]] = {}
    for column in comparison.columns:
        for sentence in column.apart:
            apart.setdefault(sentence, []).append(f"{column.data} {column.label}")
    said = (*lines.items(), *own.items(), *apart.items())
    return [f"{', '.join(names)}: {text}" for text, names in said if text]


def _fields(fields: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in fields.items())


def _plain(value: Any) -> str:
    return HASH.sub(r"\1", value) if value and isinstance(value, str) else json.dumps(value)


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


def difference_rows(comparison: Comparison, escape: Callable[[str], str]) -> list[list[str]]:
    """As ``rows``, of the differences from the baseline."""
    found, made = comparison.differences, []
    for model in dict.fromkeys(model for model, *_ in found):
        entries = (found.get((model, column.data, column.label)) for column in comparison.columns)
        made.append([escape(model), *(escape(shown(entry, comparison.seeds, sign="+")) for entry in entries)])
    return made


def entries(comparison: Comparison) -> list[dict[str, Any]]:
    """A record for each model, data set and metric, every digit kept."""
    less = comparison.differences
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
        | _less(less.get((model, column.data, column.label)))
        for column in comparison.columns
        for model, entry in column.entries.items()
    ]


def _less(entry: Entry | None) -> dict[str, Any]:
    return {"difference": entry.mean, "difference_sd": entry.sd, "difference_n": len(entry.values)} if entry else {}


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


DIGITS = 4


ARROWS = {"lower": "↓", "higher": "↑", "one": "→1"}
"""What is better, beside a column's name."""


def shown(entry: Entry | None, seeds: int, sign: str = "") -> str:
    """``0.0451 ± 0.0012``, ``0.04512`` for a single seed, ``-`` for none, ``(n=2)`` where seeds are missing.

    Args:
        entry: the scores of a model in a column.
        seeds: how many seeds an entry should have.
        sign: ``+`` where what is above 0 says so, as of differences.
    """
    if entry is None:
        return "-"
    missing = f" (n={len(entry.values)})" if len(entry.values) != seeds else ""
    mean, sd = entry.mean, entry.sd
    if sd is None or not math.isfinite(mean):
        return f"{mean:{sign}.{DIGITS}g}{missing}"
    places = _places(mean, sd)
    if places is None:
        return f"{mean:{sign}.{DIGITS}g} ± {sd:.2g}{missing}"
    return f"{mean:{sign}.{places}f} ± {sd:.{places}f}{missing}"


def _places(mean: float, sd: float) -> int | None:
    """Decimal places that give the spread two digits and the mean at most six; None where no such places are."""
    if sd == 0:
        return None
    wanted = 1 - math.floor(math.log10(sd))
    most = 5 - (math.floor(math.log10(abs(mean))) if mean else 0)
    return min(wanted, most) if 0 <= min(wanted, most) <= 12 else None
