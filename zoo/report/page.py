"""The page: its sections from top to bottom, each a short function."""

from __future__ import annotations

import json
import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from zoo.report.charts import charts
from zoo.report.markup import ABSENT, as_number, duration, escaped, number
from zoo.report.style import STYLE

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
LONG = 2.5
"""A picture longer than this many times its other side scrolls; any other is shown whole."""


def report_html(
    *,
    name: str,
    recipe: str,
    routes: str,
    records: Sequence[Mapping[str, Any]],
    scores: Mapping[str, Mapping[str, Any]],
    plugins: Sequence[Mapping[str, Any]],
    pictures: Mapping[str, bytes],
    notes: Sequence[str] = (),
) -> str:
    """A run as one HTML page that loads nothing from anywhere.

    Args:
        name: the run's name.
        recipe: the resolved recipe, as YAML.
        routes: who learns from what, as plain text.
        records: the lines of ``metrics.jsonl``.
        scores: label -> value and protocol.
        plugins: who provided what: plugin, distribution, version, state.
        pictures: title -> a PNG file's bytes.
        notes: sentences to read before anything else.

    Returns:
        the page.
    """
    sections = [
        ("Pictures", "".join(_picture(title, png) for title, png in pictures.items()), "shots"),
        ("Scores", _scores(scores), "card"),
        ("Losses", charts(records), ""),
        ("Who learns from what", f'<pre tabindex="0">{escaped(routes)}</pre>' if routes.strip() else "", "card"),
        ("Recipe", _recipe(recipe), "card"),
        ("Versions", _versions(plugins), "card"),
    ]
    header = f"<header><h1>{escaped(name)}</h1>{_facts(records)}{_notes(notes)}</header>"
    return _page(escaped(name), header + "".join(_section(*section) for section in sections))


def _page(title: str, body: str) -> str:
    """A whole document; its policy forbids every request."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{title}</title><style>{STYLE}</style></head>\n<body><main>{body}</main></body></html>\n"
    )


def _section(title: str, content: str, style: str) -> str:
    """A heading and what is under it; nothing if that is nothing."""
    return f'<section><h2>{title}</h2><div class="{style}">{content}</div></section>' if content else ""


def _facts(records: Sequence[Mapping[str, Any]]) -> str:
    """How long, how much, how fast."""
    speeds = [s for s in (as_number(r["images_per_s"]) for r in records) if math.isfinite(s)]
    last = records[-1] if records else {"step": 0, "seen_images": 0}
    facts = [
        ("steps", f"{last['step']:,}"),
        ("images seen", f"{last['seen_images']:,}"),
        ("images/s, median", number(median(speeds) if speeds else None)),
        ("time training", duration(time_of(records)) if records else ABSENT),
    ]
    items = "".join(f"<div><dt>{label}</dt><dd>{escaped(value)}</dd></div>" for label, value in facts)
    return f'<dl class="facts">{items}</dl>'


def time_of(records: Sequence[Mapping[str, Any]]) -> float:
    """Seconds of training; the clock of a record begins again whenever a training is taken up.

    Args:
        records: the lines of ``metrics.jsonl``.

    Returns:
        the seconds of all stretches.
    """
    seconds = [s for s in (as_number(record["seconds"]) for record in records) if math.isfinite(s)]
    ends = [now for now, then in zip(seconds, [*seconds[1:], -math.inf], strict=False) if then < now]
    return sum(ends)


def _notes(notes: Sequence[str]) -> str:
    items = "".join(f"<li>{escaped(note)}</li>" for note in notes)
    return f'<ul class="notes" aria-label="Notes">{items}</ul>' if items else ""


def _picture(title: str, png: bytes) -> str:
    """A picture at its own size; shrunk to fit, or in a box that scrolls if it is long."""
    width, height = png_size(png)
    caption = f"<figcaption>{escaped(title)}</figcaption>"
    if not width or not height:
        return f'<figure class="shot">{caption}<p class="none">This is no PNG file.</p></figure>'
    whole = width <= LONG * height and height <= LONG * width
    scrolls, shrinks = ("", ' class="whole"') if whole else (' tabindex="0"', "")
    return (
        f'<figure class="shot">{caption}<div{scrolls}><img{shrinks} width="{width}" height="{height}" '
        f'alt="{escaped(title)}" src="data:image/png;base64,{b64encode(png).decode()}"></div></figure>'
    )


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height as a PNG file's header says; zeros if it is no PNG.

    Args:
        png: the file's bytes.

    Returns:
        width and height in pixels.
    """
    if not png.startswith(b"\x89PNG\r\n\x1a\n") or len(png) < 24:
        return 0, 0
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _scores(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """Each score with the protocol it was measured under."""
    rows = "".join(
        f'<tr><th scope="row">{escaped(label)}</th>'
        f'<td class="value"><data value="{escaped(score.get("value"))}">{number(score.get("value"), 5)}</data></td>'
        f"<td>{_protocol(score.get('protocol') or {})}</td></tr>"
        for label, score in scores.items()
    )
    head = '<thead><tr><th>metric</th><th class="value">value</th><th>measured on</th></tr></thead>'
    return f'<table class="scores">{head}<tbody>{rows}</tbody></table>' if rows else ""


def _protocol(protocol: Mapping[str, Any]) -> str:
    """What matters most of a protocol; the whole of it on asking."""
    images = [f"{number(protocol['n'], 9)} images"] if "n" in protocol else []
    images += [f"{protocol['split']} split"] if "split" in protocol else []
    images += [f"{protocol['weights']} weights"] if "weights" in protocol else []
    items = "".join(f"<dt>{escaped(key)}</dt><dd>{escaped(_plain(value))}</dd>" for key, value in protocol.items())
    brief = escaped(", ".join(images) or "protocol")
    return f'<details><summary>{brief}</summary><dl class="protocol">{items}</dl></details>' if items else ABSENT


def _plain(value: object) -> str:
    """A protocol's value as text: ``key: value, key: value`` for what is nested."""
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(inner)}" for key, inner in value.items()) or "none"
    return value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)


def _recipe(recipe: str) -> str:
    lines = len(recipe.splitlines())
    if not recipe.strip():
        return ""
    return (
        f'<details class="fold"><summary>as resolved, with every default: {lines:,} lines</summary>'
        f'<pre tabindex="0">{escaped(recipe)}</pre></details>'
    )


def _versions(plugins: Sequence[Mapping[str, Any]]) -> str:
    """Who provided the parts; a state other than ok stands out."""
    columns, bad = ("plugin", "distribution", "version", "state"), ' class="bad"'
    rows = "".join(
        "<tr>"
        + "".join(
            f"<td{bad if column == 'state' and plugin.get(column) != 'ok' else ''}>"
            f"{escaped(plugin.get(column, ABSENT))}</td>"
            for column in columns
        )
        + "</tr>"
        for plugin in plugins
    )
    head = "".join(f"<th>{column}</th>" for column in columns)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<div class="wide" tabindex="0">{table}</div>' if rows else ""
