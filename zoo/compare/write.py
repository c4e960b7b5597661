"""A comparison as text, Markdown, CSV, LaTeX, HTML or JSON."""

from __future__ import annotations

import csv
import io
import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import accumulate
from pathlib import Path
from typing import Any
from urllib.parse import quote

from zoo.columns import printable, table
from zoo.compare import words
from zoo.compare.pictures import rows_of
from zoo.compare.scores import Comparison
from zoo.errors import RequestError
from zoo.report.document import document, section
from zoo.report.gallery import Gallery, gallery
from zoo.report.markup import escaped

STYLE = Path(__file__).with_name("table.css")
"""Of a page's numbers, which do not break."""

LATEX = str.maketrans(
    {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {letter: f"\\{letter}" for letter in "&%$#_{}"}
    | {"±": r"$\pm$", "↓": r"$\downarrow$", "↑": r"$\uparrow$", "→": r"$\to$"}
)


def as_text(comparison: Comparison, width: int = 120, bold: Callable[[str], str] = "{} *".format) -> str:
    """For a terminal: one table, or as many as it takes where it would be wider than ``width``; then the differences.

    The best of a column is marked by ``bold``.
    """

    def fits(part: Comparison) -> bool:
        return max(map(len, _text(part, "{} *".format).splitlines())) <= width

    parts = [comparison] if fits(comparison) else []
    for column in comparison.columns if not parts else ():  # a table for each data set, or for some of its columns
        more = replace(comparison, columns=(*parts[-1].columns, column)) if parts else None
        if more and more.columns[0].data == column.data and fits(more):
            parts[-1] = more
        else:
            parts.append(replace(comparison, columns=(column,)))
    about = words.difference(comparison)
    return "\n\n".join([*(_text(part, bold) for part in parts), *([about, *map(_text, parts)] if about else [])])


def _text(comparison: Comparison, bold: Callable[[str], str] | None = None) -> str:
    titles = map(_line, words.titles(comparison))
    return table([[*titles], *words.rows(comparison, _line, bold)], styled=True)


def as_markdown(comparison: Comparison, folder: Path) -> str:
    """A Markdown page; pictures are linked from ``folder``."""

    def piped(bold: Callable[[str], str] | None = None) -> str:
        head = [_plain(title) for title in words.titles(comparison)]
        rows = [head, ["---"] * len(head), *words.rows(comparison, _plain, bold)]
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    parts = [piped("**{}**".format), _plain(words.caption(comparison))]
    if about := words.difference(comparison):
        parts += [_plain(about), piped()]
    for picture in comparison.pictures:
        data, _, seen = map(_plain, words.described(picture))
        link = quote(Path(os.path.relpath(picture, folder)).as_posix())
        parts.append(f"![{data}: {seen}]({link})\n\n*{data}: {seen}*")
    lines = [*words.protocols(comparison), *words.warnings(comparison)]
    parts.append("\n".join(f"- {_plain(line)}" for line in lines))
    return "\n\n".join(part for part in parts if part) + "\n"


def _line(text: str) -> str:
    return printable(text, lines=False)


def _plain(text: str) -> str:
    """Text that Markdown shows as it is; an underscore within a word is none of its marks."""
    return re.sub(r"[\\`*<>\[\]|&~!#]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", _line(text))


def as_csv(comparison: Comparison, _folder: Path) -> str:
    """A line for each model, data set and metric, every digit kept."""
    names = ["model", "data", "metric", "better", "mean", "sd", "n", "best"]
    names += ["difference", "difference_sd", "difference_n"] if comparison.baseline else []
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for record in words.entries(comparison):
        writer.writerow({key: _cell(value) if isinstance(value, str) else value for key, value in record.items()})
    return stream.getvalue()


def _cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{_line(text)}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else _line(text)


def as_latex(comparison: Comparison, _folder: Path) -> str:
    """A ``tabular`` for ``booktabs``, the data sets above their metrics."""
    over = [f"\\multicolumn{{{n}}}{{c}}{{{_latex(name)}}}" for name, n in _spans(comparison).items()]
    labels = [_latex(words.label(column)) for column in comparison.columns]
    comments = [words.caption(comparison), *words.protocols(comparison), *words.warnings(comparison)]
    rows = words.rows(comparison, _latex, "\\textbf{{{}}}".format)
    less = words.rows(comparison, _latex)
    about = f"\\multicolumn{{{len(labels) + 1}}}{{l}}{{{_latex(words.difference(comparison))}}}"
    lines = [
        *(f"% {_line(line)}" for line in comments),
        f"\\begin{{tabular}}{{l{'c' * len(labels)}}}",
        "\\toprule",
        *map(_latex_row, [["", *over], ["model", *labels]]),
        "\\midrule",
        *map(_latex_row, rows),
        *(["\\midrule", *map(_latex_row, [[about], *less])] if less else []),
        "\\bottomrule",
        "\\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def _latex_row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def _latex(text: str) -> str:
    return _line(text).translate(LATEX)


def as_html(comparison: Comparison, _folder: Path) -> str:
    """One page that stands alone: the pictures are in it."""
    warnings = "".join(f"<li>{escaped(line)}</li>" for line in words.warnings(comparison))
    notes = f'<ul class="notes" aria-label="Notes">{warnings}</ul>' if warnings else ""
    measured = "".join(f"<li>{escaped(line)}</li>" for line in words.protocols(comparison))
    less = words.rows(comparison, escaped)
    about = f'<p class="told">{escaped(words.difference(comparison))}</p>'
    body = (
        f"<header><h1>Comparison</h1><p>{escaped(words.caption(comparison))}</p>{notes}</header>"
        + section("Scores", _grid(comparison, words.rows(comparison, escaped, "<strong>{}</strong>".format)), "card")
        + section("Differences", about + _grid(comparison, less) if less else "", "card")
        + section("Pictures", "".join(map(_figure, comparison.pictures)), "galleries")
        + section("How it was measured", f'<ul class="measured">{measured}</ul>' if measured else "", "card")
    )
    return document("Comparison", body, style=f"\n{STYLE.read_text()}")


def _grid(comparison: Comparison, rows: list[list[str]]) -> str:
    """The table, the data sets above their metrics, a rule before each."""
    spans = _spans(comparison)
    starts = set(accumulate(spans.values(), initial=0))
    ruled = [' class="first"' if place in starts else "" for place in range(len(comparison.columns))]
    over = "".join(
        f'<th class="first" colspan="{n}" scope="colgroup">{escaped(name)}</th>' for name, n in spans.items()
    )
    labels = [escaped(words.label(column)) for column in comparison.columns]
    head = "".join(f'<th{rule} scope="col">{label}</th>' for rule, label in zip(ruled, labels, strict=True))
    body = ""
    for model, *cells in rows:
        row = "".join(f"<td{rule}>{cell}</td>" for rule, cell in zip(ruled, cells, strict=True))
        body += f'<tr><th scope="row">{model}</th>{row}</tr>'
    top = f'<tr><th rowspan="2" scope="col">model</th>{over}</tr><tr>{head}</tr>'
    numbers = f'<table class="numbers"><thead>{top}</thead><tbody>{body}</tbody></table>'
    return f'<div class="wide" tabindex="0">{numbers}</div>'


def _spans(comparison: Comparison) -> Counter[str]:
    return Counter(column.data for column in comparison.columns)


def _figure(picture: Path) -> str:
    data, title, seen = words.described(picture)
    return gallery(Gallery(f"{data}: {title}", f"{seen[:1].upper()}{seen[1:]}.", [rows_of(picture)]))


def as_json(comparison: Comparison) -> dict[str, Any]:
    """The whole comparison as one JSON document."""
    return {
        "models": comparison.models,
        "scores": words.entries(comparison),
        "columns": [{"data": c.data, "metric": c.label, "protocol": dict(c.protocol)} for c in comparison.columns],
        "cells": [{**asdict(member), "folder": str(member.folder)} for member in comparison.members],
        "pictures": [str(path) for path in comparison.pictures],
        "notes": comparison.notes,
        "baseline": comparison.baseline,
    }


def writer_for(path: Path) -> Callable[[Comparison, Path], str]:
    """The function that writes a file of that name; a RequestError has the choices."""
    writers = {".md": as_markdown, ".csv": as_csv, ".tex": as_latex, ".html": as_html}
    if path.suffix not in writers:
        raise RequestError(f"--to {path}: no table is written as '{path.suffix}'; choices: {', '.join(writers)}")
    return writers[path.suffix]
