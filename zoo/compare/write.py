"""A comparison as text, Markdown, CSV, LaTeX, HTML or JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.compare import Comparison
from zoo.compare.number import ARROWS, shown
from zoo.compare.scores import Column, leaves
from zoo.errors import RequestError
from zoo.report.markup import escaped
from zoo.report.page import POLICY
from zoo.report.style import STYLE
from zoo.tables import table


def as_text(comparison: Comparison) -> str:
    """For a terminal."""
    head = ["model", *(title(column) for column in comparison.columns)]
    return table([head, *rows(comparison, str, lambda text: text)])


def as_markdown(comparison: Comparison, folder: Path) -> str:
    """A Markdown page; pictures are linked from ``folder``."""
    lines = [["model", *(title(column).replace("|", r"\|") for column in comparison.columns)]]
    lines += [["---"] * len(lines[0]), *rows(comparison, lambda t: t.replace("|", r"\|"), lambda t: f"**{t}**")]
    parts = ["\n".join(f"| {' | '.join(row)} |" for row in lines), caption(comparison)]
    for picture in comparison.pictures:
        parts.append(f"![{told(picture)}]({link(picture, folder)})\n\n*{told(picture)}*")
    parts.append("\n".join(f"- {line}" for line in [*protocols(comparison), *warnings(comparison)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def as_csv(comparison: Comparison, _folder: Path) -> str:
    """A line for each model, data set and metric, every digit kept."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["model", "data", "metric", "better", "mean", "sd", "n", "best"])
    for row in entries(comparison):
        row["sd"] = "" if row["sd"] is None else row["sd"]
        writer.writerow([row[key] for key in ("model", "data", "metric", "better", "mean", "sd", "n", "best")])
    return stream.getvalue()


def as_latex(comparison: Comparison, _folder: Path) -> str:
    """A ``tabular`` for ``booktabs``, the data sets above their metrics."""
    columns = comparison.columns
    data = list(dict.fromkeys(column.data for column in columns))
    counts = [sum(column.data == name for column in columns) for name in data]
    over = [f"\\multicolumn{{{n}}}{{c}}{{{_latex(name)}}}" for name, n in zip(data, counts, strict=True)]
    labels = [_latex(f"{column.label} {ARROWS.get(column.better, '')}".rstrip()) for column in columns]
    rows = rows(comparison, _latex, lambda text: f"\\textbf{{{text}}}")
    lines = [f"% {line}" for line in [caption(comparison), *protocols(comparison), *warnings(comparison)]]
    lines += [f"\\begin{{tabular}}{{l{'c' * len(columns)}}}", "\\toprule", f" & {' & '.join(over)} \\\\"]
    lines += [f"model & {' & '.join(labels)} \\\\", "\\midrule", *(f"{' & '.join(row)} \\\\" for row in rows)]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def as_html(comparison: Comparison, _folder: Path) -> str:
    """One page that stands alone: the pictures are in it."""
    head = "".join(f"<th>{escaped(title(column))}</th>" for column in comparison.columns)
    rows = rows(comparison, escaped, lambda text: f"<strong>{text}</strong>")
    body = "".join(f'<tr><th scope="row">{r[0]}</th>{"".join(f"<td>{c}</td>" for c in r[1:])}</tr>' for r in rows)
    grid = f"<table><thead><tr><th>model</th>{head}</tr></thead><tbody>{body}</tbody></table>"
    warnings = "".join(f"<li>{escaped(line)}</li>" for line in warnings(comparison))
    notes = f'<ul class="notes" aria-label="Notes">{warnings}</ul>' if warnings else ""
    pictures = "".join(map(_figure, comparison.pictures))
    measured = "".join(f"<li>{escaped(line)}</li>" for line in protocols(comparison))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>Comparison</title><style>{STYLE}</style></head>\n<body><main><header><h1>Comparison</h1>"
        f'<p>{escaped(caption(comparison))}</p>{notes}</header><section><h2>Scores</h2><div class="card">'
        f'<div class="wide" tabindex="0">{grid}</div></div></section><section><h2>Pictures</h2>'
        f'<div class="shots">{pictures}</div></section><section><h2>How it was measured</h2><ul>{measured}</ul>'
        "</section></main></body></html>\n"
    )


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as one JSON document."""
    protocols = [{"data": c.data, "metric": c.label, "protocol": dict(c.protocol)} for c in comparison.columns]
    cells = [
        {"model": m.model, "data": m.data, "seed": m.seed, "folder": str(m.folder), "state": m.state, "error": m.error}
        for m in comparison.members
    ]
    return {
        "models": list(comparison.models),
        "scores": [_finite(row) for row in entries(comparison)],
        "columns": protocols,
        "cells": cells,
        "pictures": [str(path) for path in comparison.pictures],
        "notes": list(comparison.notes),
    }


WRITERS: dict[str, Callable[[Comparison, Path], str]] = {
    ".md": as_markdown,
    ".csv": as_csv,
    ".tex": as_latex,
    ".html": as_html,
}
"""By the file's extension."""


def writer_for(path: Path) -> Callable[[Comparison, Path], str]:
    """What writes a file of that name.

    Raises:
        RequestError: with the choices.
    """
    if path.suffix not in WRITERS:
        raise RequestError(f"--to {path}: no table is written as '{path.suffix}'; choices: {', '.join(WRITERS)}")
    return WRITERS[path.suffix]


# -- their small parts --------------------------------------------------------------------------------------


def _finite(value: Any) -> Any:
    """Plain data without the numbers that JSON has not."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _figure(picture: Path) -> str:
    told, content = escaped(told(picture)), b64encode(picture.read_bytes()).decode()
    image = f'<img class="whole" alt="{told}" src="data:image/png;base64,{content}">'
    return f'<figure class="shot"><figcaption>{told}</figcaption><div>{image}</div></figure>'


LATEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\to$",
}


def _latex(text: str) -> str:
    return "".join(LATEX.get(letter, letter) for letter in text)
