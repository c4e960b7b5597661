"""What every form of a comparison says: its rows, its caption, how its numbers were measured."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.compare import Comparison
from zoo.compare.number import ARROWS, shown
from zoo.compare.scores import Column, leaves


def caption(comparison: Comparison) -> str:
    """What the numbers and the bold ones are."""
    seeds = comparison.seeds
    spread = f"Mean ± standard deviation over {seeds} seeds." if seeds > 1 else "One seed."
    words = {"lower": "the lowest", "higher": "the highest", "one": "the nearest to 1"}
    found = dict.fromkeys((c.label, words[c.better]) for c in comparison.columns if c.better in words)
    best = ", ".join(f"{word} {label}" for label, word in found)
    return f"{spread} Bold: {best}." if best else spread


def protocols(comparison: Comparison) -> list[str]:
    """How each column was measured, a line each."""
    return [
        f"{column.data} {column.label}: " + ", ".join(f"{k} {_plain(v)}" for k, v in leaves(column.protocol).items())
        for column in comparison.columns
    ]


def warnings(comparison: Comparison) -> list[str]:
    return [*comparison.notes, *(f"failed: {failure}".replace("\n", " ") for failure in comparison.failures)]


def rows(comparison: Comparison, escape: Callable[[str], str], bold: Callable[[str], str]) -> list[list[str]]:
    rows = []
    for model in comparison.models:
        entries = [column.entries.get(model) for column in comparison.columns]
        texts = [(entry, escape(shown(entry, comparison.seeds))) for entry in entries]
        rows.append([escape(model), *(bold(text) if entry and entry.best else text for entry, text in texts)])
    return rows


def entries(comparison: Comparison) -> list[dict[str, Any]]:
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
    return f"{column.data} {column.label} {ARROWS.get(column.better, '')}".rstrip()


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def told(picture: Path) -> str:
    what, _, data = picture.stem.partition("-")
    return f"{data}: test images and their reconstructions" if what == "comparison" else f"{data}: real images and samples"


def link(picture: Path, folder: Path) -> str:
    return Path(os.path.relpath(picture, folder)).as_posix().replace(" ", "%20")


