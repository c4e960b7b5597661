"""A comparison as text, Markdown, CSV, LaTeX, HTML or JSON."""

from __future__ import annotations

import csv
import io
import math
from base64 import b64encode
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.compare import words
from zoo.compare.result import Comparison
from zoo.errors import RequestError
from zoo.report.markup import escaped
from zoo.report.page import POLICY
from zoo.report.style import STYLE
from zoo.tables import table

OWN_STYLE = """
.numbers th,.numbers td{white-space:nowrap;overflow-wrap:normal;text-align:left}
.measured{padding-left:20px;overflow-wrap:anywhere}
.shot img{image-rendering:auto}
.shot img.whole{min-width:600px}
"""
"""Numbers do not break, and pictures stay wide enough for their labels."""


def as_text(comparison: Comparison, width: int = 120) -> str:
    """For a terminal: one table, or one for each data set where that would be wider than ``width``."""
    whole = _table(comparison)
    data = list(dict.fromkeys(column.data for column in comparison.columns))
    if len(data) < 2 or len(whole.partition("\n")[0]) <= width:
        return whole
    parts = [[column for column in comparison.columns if column.data == name] for name in data]
    return "\n\n".join(_table(replace(comparison, columns=tuple(part))) for part in parts)


def _table(comparison: Comparison) -> str:
    head = ["model", *(words.title(column) for column in comparison.columns)]
    return table([head, *words.rows(comparison, str, lambda text: text)])


def as_markdown(comparison: Comparison, folder: Path) -> str:
    """A Markdown page; pictures are linked from ``folder``."""
    lines = [["model", *(words.title(column).replace("|", r"\|") for column in comparison.columns)]]
    lines += [["---"] * len(lines[0]), *words.rows(comparison, lambda t: t.replace("|", r"\|"), lambda t: f"**{t}**")]
    parts = ["\n".join(f"| {' | '.join(row)} |" for row in lines), words.caption(comparison)]
    for picture in comparison.pictures:
        parts.append(f"![{words.told(picture)}]({words.link(picture, folder)})\n\n*{words.told(picture)}*")
    parts.append("\n".join(f"- {line}" for line in [*words.protocols(comparison), *words.warnings(comparison)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def as_csv(comparison: Comparison, _folder: Path) -> str:
    """A line for each model, data set and metric, every digit kept."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["model", "data", "metric", "better", "mean", "sd", "n", "best"])
    for row in words.entries(comparison):
        row["sd"] = "" if row["sd"] is None else row["sd"]
        writer.writerow([row[key] for key in ("model", "data", "metric", "better", "mean", "sd", "n", "best")])
    return stream.getvalue()


def as_latex(comparison: Comparison, _folder: Path) -> str:
    """A ``tabular`` for ``booktabs``, the data sets above their metrics."""
    over = [f"\\multicolumn{{{n}}}{{c}}{{{_latex(name)}}}" for name, n in words.spans(comparison)]
    labels = [_latex(words.label(column)) for column in comparison.columns]
    rows = words.rows(comparison, _latex, lambda text: f"\\textbf{{{text}}}")
    told = [words.caption(comparison), *words.protocols(comparison), *words.warnings(comparison)]
    lines = [f"\\begin{{tabular}}{{l{'c' * len(labels)}}}", "\\toprule", f"{' & '.join(['', *over])} \\\\"]
    lines += [f"{' & '.join(['model', *labels])} \\\\", "\\midrule", *(f"{' & '.join(row)} \\\\" for row in rows)]
    return "\n".join([*(f"% {line}" for line in told), *lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def as_html(comparison: Comparison, _folder: Path) -> str:
    """One page that stands alone: the pictures are in it."""
    warnings = "".join(f"<li>{escaped(line)}</li>" for line in words.warnings(comparison))
    notes = f'<ul class="notes" aria-label="Notes">{warnings}</ul>' if warnings else ""
    pictures = "".join(map(_figure, comparison.pictures))
    measured = "".join(f"<li>{escaped(line)}</li>" for line in words.protocols(comparison))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>Comparison</title><style>{STYLE}{OWN_STYLE}</style></head>\n<body><main><header><h1>Comparison</h1>"
        f"<p>{escaped(words.caption(comparison))}</p>{notes}</header>"
        f'<section><h2>Scores</h2><div class="card"><div class="wide" tabindex="0">{_grid(comparison)}</div></div>'
        f'</section><section><h2>Pictures</h2><div class="shots">{pictures}</div></section>'
        f'<section><h2>How it was measured</h2><ul class="measured">{measured}</ul></section></main></body></html>\n'
    )


def _grid(comparison: Comparison) -> str:
    """The table, the data sets above their metrics."""
    over = "".join(f'<th colspan="{n}" scope="colgroup">{escaped(name)}</th>' for name, n in words.spans(comparison))
    head = "".join(f'<th scope="col">{escaped(words.label(column))}</th>' for column in comparison.columns)
    body = ""
    for model, *cells in words.rows(comparison, escaped, lambda text: f"<strong>{text}</strong>"):
        body += f'<tr><th scope="row">{model}</th>{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>'
    top = f'<tr><th rowspan="2" scope="col">model</th>{over}</tr><tr>{head}</tr>'
    return f'<table class="numbers"><thead>{top}</thead><tbody>{body}</tbody></table>'


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as one JSON document."""
    protocols = [{"data": c.data, "metric": c.label, "protocol": dict(c.protocol)} for c in comparison.columns]
    cells = [
        {"model": m.model, "data": m.data, "seed": m.seed, "folder": str(m.folder), "state": m.state, "error": m.error}
        for m in comparison.members
    ]
    return {
        "models": list(comparison.models),
        "scores": [_finite(row) for row in words.entries(comparison)],
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
    told, content = escaped(words.told(picture)), b64encode(picture.read_bytes()).decode()
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
