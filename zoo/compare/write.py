"""A comparison as text, Markdown, CSV, LaTeX, HTML or JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from zoo.columns import table
from zoo.compare import words
from zoo.compare.pictures import rows_of
from zoo.compare.scores import Comparison
from zoo.errors import RequestError
from zoo.report.document import document, section
from zoo.report.gallery import Gallery, gallery
from zoo.report.markup import escaped

OWN_STYLE = """
.numbers th,.numbers td{white-space:nowrap;overflow-wrap:normal}
.numbers thead tr+tr th{padding-top:0;border-top:0}
.numbers th:first-child:not(thead tr+tr th){position:sticky;left:0;background:var(--card)}
.numbers .first{border-left:1px solid var(--rule)}
.numbers [colspan]{font-weight:620;color:var(--ink)}
.numbers tbody td{color:var(--soft)}.numbers strong{color:var(--ink);font-weight:650}
.measured{margin:0;padding:14px 18px 14px 34px;font-size:13px;color:var(--soft);overflow-wrap:anywhere}
.measured li+li{margin-top:6px}
.told{margin:0;padding:14px 18px 0;font-size:13px;color:var(--soft)}
header p{color:var(--soft);margin:0}
"""
"""Numbers do not break."""


def as_text(comparison: Comparison, width: int = 120, bold: Callable[[str], str] = lambda text: f"{text} *") -> str:
    """For a terminal: one table, or as many as it takes where it would be wider than ``width``; then the differences.

    Args:
        comparison: what to show.
        width: in letters.
        bold: marks the best of a column.
    """
    parts = _parts(comparison, width)
    tables = [_table(part, words.rows(part, str, bold)) for part in parts]
    less = [_table(part, words.difference_rows(part, str)) for part in parts]
    told = words.difference(comparison)
    return "\n\n".join([*tables, *([told, *less] if told else [])])


def _parts(comparison: Comparison, width: int) -> list[Comparison]:
    """The comparison, or where that is too wide each data set of it; where that is still too wide, runs of columns."""
    if _fits(comparison, width):
        return [comparison]
    parts: list[Comparison] = []
    for column in comparison.columns:
        more = replace(comparison, columns=(*parts[-1].columns, column)) if parts else None
        if more and more.columns[0].data == column.data and _fits(more, width):
            parts[-1] = more
        else:
            parts.append(replace(comparison, columns=(column,)))
    return parts


def _fits(comparison: Comparison, width: int) -> bool:
    lines = _table(comparison, words.rows(comparison, str, lambda text: f"{text} *")).splitlines()
    return max(map(len, lines)) <= width


def _table(comparison: Comparison, rows: list[list[str]]) -> str:
    return table([["model", *(words.title(column) for column in comparison.columns)], *rows])


def as_markdown(comparison: Comparison, folder: Path) -> str:
    """A Markdown page; pictures are linked from ``folder``."""
    parts = [
        _piped(comparison, words.rows(comparison, _unpiped, lambda text: f"**{text}**")),
        words.caption(comparison),
    ]
    if told := words.difference(comparison):
        parts += [told, _piped(comparison, words.difference_rows(comparison, _unpiped))]
    for picture in comparison.pictures:
        parts.append(f"![{words.told(picture)}]({words.link(picture, folder)})\n\n*{words.told(picture)}*")
    parts.append("\n".join(f"- {line}" for line in [*words.protocols(comparison), *words.warnings(comparison)]))
    return "\n\n".join(part for part in parts if part) + "\n"


def _piped(comparison: Comparison, rows: list[list[str]]) -> str:
    head = ["model", *(_unpiped(words.title(column)) for column in comparison.columns)]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _unpiped(text: str) -> str:
    return text.replace("|", r"\|")


def as_csv(comparison: Comparison, _folder: Path) -> str:
    """A line for each model, data set and metric, every digit kept."""
    names = ["model", "data", "metric", "better", "mean", "sd", "n", "best"]
    names += ["difference", "difference_sd", "difference_n"] if comparison.baseline else []
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(names)
    for row in words.entries(comparison):
        writer.writerow(["" if row.get(name) is None else row[name] for name in names])
    return stream.getvalue()


def as_latex(comparison: Comparison, _folder: Path) -> str:
    """A ``tabular`` for ``booktabs``, the data sets above their metrics."""
    over = [f"\\multicolumn{{{n}}}{{c}}{{{_latex(name)}}}" for name, n in words.spans(comparison)]
    labels = [_latex(words.label(column)) for column in comparison.columns]
    rows = words.rows(comparison, _latex, lambda text: f"\\textbf{{{text}}}")
    told = [words.caption(comparison), *words.protocols(comparison), *words.warnings(comparison)]
    lines = [f"\\begin{{tabular}}{{l{'c' * len(labels)}}}", "\\toprule", f"{' & '.join(['', *over])} \\\\"]
    lines += [f"{' & '.join(['model', *labels])} \\\\", "\\midrule", *(f"{' & '.join(row)} \\\\" for row in rows)]
    if less := words.difference(comparison):
        rows = words.difference_rows(comparison, _latex)
        lines += ["\\midrule", f"\\multicolumn{{{len(labels) + 1}}}{{l}}{{{_latex(less)}}} \\\\"]
        lines += [f"{' & '.join(row)} \\\\" for row in rows]
    return "\n".join([*(f"% {line}" for line in told), *lines, "\\bottomrule", "\\end{tabular}"]) + "\n"


def as_html(comparison: Comparison, _folder: Path) -> str:
    """One page that stands alone: the pictures are in it."""
    warnings = "".join(f"<li>{escaped(line)}</li>" for line in words.warnings(comparison))
    notes = f'<ul class="notes" aria-label="Notes">{warnings}</ul>' if warnings else ""
    measured = "".join(f"<li>{escaped(line)}</li>" for line in words.protocols(comparison))
    body = (
        f"<header><h1>Comparison</h1><p>{escaped(words.caption(comparison))}</p>{notes}</header>"
        + section("Scores", _grid(comparison, words.rows(comparison, escaped, _strong)), "card")
        + section("Differences", _less(comparison), "card")
        + section("Pictures", "".join(map(_figure, comparison.pictures)), "galleries")
        + section("How it was measured", f'<ul class="measured">{measured}</ul>' if measured else "", "card")
    )
    return document("Comparison", body, style=OWN_STYLE)


def _strong(text: str) -> str:
    return f"<strong>{text}</strong>"


def _less(comparison: Comparison) -> str:
    rows = words.difference_rows(comparison, escaped)
    return f'<p class="told">{escaped(words.difference(comparison))}</p>{_grid(comparison, rows)}' if rows else ""


def _grid(comparison: Comparison, rows: list[list[str]]) -> str:
    """The table, the data sets above their metrics, a rule before each."""
    spans = words.spans(comparison)
    starts = set(accumulate((n for _, n in spans), initial=0))
    ruled = [' class="first"' if place in starts else "" for place in range(len(comparison.columns))]
    over = "".join(f'<th class="first" colspan="{n}" scope="colgroup">{escaped(name)}</th>' for name, n in spans)
    labels = [escaped(words.label(column)) for column in comparison.columns]
    head = "".join(f'<th{rule} scope="col">{label}</th>' for rule, label in zip(ruled, labels, strict=True))
    body = ""
    for model, *cells in rows:
        row = "".join(f"<td{rule}>{cell}</td>" for rule, cell in zip(ruled, cells, strict=True))
        body += f'<tr><th scope="row">{model}</th>{row}</tr>'
    top = f'<tr><th rowspan="2" scope="col">model</th>{over}</tr><tr>{head}</tr>'
    numbers = f'<table class="numbers"><thead>{top}</thead><tbody>{body}</tbody></table>'
    return f'<div class="wide" tabindex="0">{numbers}</div>'


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as one JSON document."""
    protocols = [{"data": c.data, "metric": c.label, "protocol": dict(c.protocol)} for c in comparison.columns]
    cells = [{**asdict(member), "folder": str(member.folder)} for member in comparison.members]
    return {
        "models": list(comparison.models),
        "scores": [_finite(row) for row in words.entries(comparison)],
        "columns": protocols,
        "cells": cells,
        "pictures": [str(path) for path in comparison.pictures],
        "notes": list(comparison.notes),
        "baseline": comparison.baseline,
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
    what, _, data = picture.stem.partition("-")
    title = f"{data}: {'reconstructions' if what == 'comparison' else what}"
    caption = words.told(picture).removeprefix(f"{data}: ")
    return gallery(Gallery(title, f"{caption[:1].upper()}{caption[1:]}.", [rows_of(picture.read_bytes())]))


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
