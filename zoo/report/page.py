"""The page: its sections from top to bottom, each a short function."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from zoo.columns import duration
from zoo.report.charts import charts, score_charts
from zoo.report.document import SCRIPT, document, section
from zoo.report.gallery import Gallery, film, gallery
from zoo.report.markup import ABSENT, as_number, escaped, number
from zoo.report.tables import routes_table, scores_table, versions_table


def report_html(
    *,
    name: str,
    about: str = "",
    recipe: str,
    routes: Sequence[Sequence[str]],
    records: Sequence[Mapping[str, Any]],
    scores: Mapping[str, Mapping[str, Any]],
    plugins: Sequence[Mapping[str, Any]],
    pictures: Sequence[Gallery],
    frames: Mapping[int, bytes] = {},
    curve: Mapping[int, Mapping[str, Any]] = {},
    versions: Mapping[str, str] = {},
    notes: Sequence[str] = (),
) -> str:
    """A run as one HTML page that loads nothing from anywhere.

    Args:
        about: what it is, in a line.
        recipe: the resolved recipe, as YAML.
        routes: who learns from what: the lines of a table, the head first.
        records: the lines of ``metrics.jsonl``.
        scores: label -> value and protocol.
        plugins: who provided what: plugin, distribution, version, state.
        frames: samples on the way: step -> a PNG file's bytes.
        curve: scores on the way: step -> ``n`` images and their ``scores``.
        versions: name -> version, of what is no plugin.
        notes: sentences to read before anything else.
    """
    sections = [
        ("Pictures", "".join(map(gallery, pictures)), "galleries"),
        ("Samples over time", film(frames) if frames else "", ""),
        ("Scores", scores_table(scores), "card"),
        ("Scores over time", score_charts(curve), ""),
        ("Losses", charts(records), ""),
        ("Who learns from what", routes_table(routes), "card"),
        ("Recipe", _recipe(recipe), "card"),
        ("Versions", versions_table(versions, plugins), "card"),
    ]
    shown = [section(*parts) for parts in sections]
    links = "".join(
        f'<a href="#{title.lower().replace(" ", "-")}">{title}</a>' for title, content, _ in sections if content
    )
    line = f'<p class="about">{escaped(about)}</p>' if about else ""
    header = f"<header><h1>{escaped(name)}</h1>{line}{_facts(records)}{_notes(notes)}<nav>{links}</nav></header>"
    return document(escaped(name), header + "".join(shown), script=SCRIPT)


def _facts(records: Sequence[Mapping[str, Any]]) -> str:
    speeds = [s for s in (as_number(r["images_per_s"]) for r in records) if math.isfinite(s)]
    last = records[-1] if records else {"step": 0, "seen_images": 0}
    facts = [
        ("steps", f"{last['step']:,}"),
        ("images seen", f"{last['seen_images']:,}"),
        ("images/s, median", number(median(speeds) if speeds else None, 3)),
        ("time training", duration(time_of(records)) if records else ABSENT),
    ]
    items = "".join(f"<div><dt>{label}</dt><dd>{escaped(value)}</dd></div>" for label, value in facts)
    return f'<dl class="facts">{items}</dl>'


def time_of(records: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of training in all; the clock of a record begins again whenever a training is taken up."""
    seconds = [s for s in (as_number(record["seconds"]) for record in records) if math.isfinite(s)]
    return sum(now for now, then in zip(seconds, [*seconds[1:], -math.inf], strict=False) if then < now)


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escaped(note)}</li>" for note in notes)
    return f'<ul class="notes" aria-label="Notes">{items}</ul>' if items else ""


_KEY = re.compile(r"^(\s*(?:- )?)([^\s#][^:#]*)(:)(?=\s|$)", re.MULTILINE)


def _recipe(recipe: str) -> str:
    if not recipe.strip():
        return ""
    lines = len(recipe.splitlines())
    keyed = _KEY.sub(r"\1<b>\2</b>\3", escaped(recipe))
    return (
        f'<details class="fold" open><summary>as resolved, with every default: {lines:,} line{"s" * (lines > 1)}'
        f'</summary><pre tabindex="0">{keyed}</pre></details>'
    )
