"""The tables of a page: scores with their protocols, who learns from what, versions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zoo.columns import ARROWS, json_text
from zoo.recipe.routes import LEGEND
from zoo.report.markup import ABSENT, escaped, number

SAID = {"lower": "lower is better", "higher": "higher is better", "one": "nearer to 1 is better"}


def scores_table(scores: Mapping[str, Mapping[str, Any]]) -> str:
    """A table of each score with the protocol it was measured under; nothing if there are no scores."""
    rows = "".join(map(_score, scores, scores.values()))
    head = '<thead><tr><th>metric</th><th class="value">value</th><th>measured on</th></tr></thead>'
    return f'<table class="scores">{head}<tbody>{rows}</tbody></table>' if rows else ""


def _score(label: str, score: Mapping[str, Any]) -> str:
    protocol = score.get("protocol") or {}
    better = str(protocol.get("better", ""))
    arrow = f' <abbr title="{SAID[better]}">{ARROWS[better]}</abbr>' if better in ARROWS else ""
    value = score.get("value")
    text = escaped(score["why"]) if "why" in score else number(value, 5)
    return (
        f'<tr><th scope="row">{escaped(label)}{arrow}</th>'
        f'<td class="value"><data value="{escaped(value)}">{text}</data></td>'
        f"<td>{_protocol(protocol, score.get('details') or {})}</td></tr>"
    )


def _protocol(protocol: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """The most important of a protocol; on asking, the whole of it and what else the metric found."""
    images = [f"{number(protocol['n'], 9)} images"] if "n" in protocol else []
    images += [f"{protocol['split']} split"] if "split" in protocol else []
    images += [f"{protocol['weights']} weights"] if "weights" in protocol else []
    brief = escaped(", ".join(images) or "protocol")
    more = f"<p>It also found:</p>{_items(details)}" if details else ""
    return f"<details><summary>{brief}</summary>{_items(protocol)}{more}</details>" if protocol or details else ABSENT


def _items(named: Mapping[str, Any]) -> str:
    items = "".join(f"<dt>{escaped(key)}</dt><dd>{escaped(_plain(value))}</dd>" for key, value in named.items())
    return f'<dl class="protocol">{items}</dl>'


def _plain(value: object) -> str:
    """A protocol's value as text: ``key: value, key: value`` for what is nested; fractions are rounded."""
    if isinstance(value, list) and any(isinstance(item, float) for item in value):
        return ", ".join(map(number, value))
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {_plain(inner)}" for key, inner in value.items()) or "none"
    return value if isinstance(value, str) else json_text(value, default=str, ensure_ascii=False)


def routes_table(lines: Sequence[Sequence[str]]) -> str:
    """A table of who learns from what, and the meaning of its words; nothing if there are no rows.

    The head comes first, then the rows: phase, who, minimises, and for each slot a word.
    """
    if len(lines) < 2:
        return ""
    head = "".join(f'<th scope="col">{escaped(name)}</th>' for name in lines[0])
    rows = ""
    for phase, who, minimises, *slots in lines[1:]:
        words = {word: "·" if word == "." else f"<span>{escaped(word)}</span>" for word in slots}
        cells = "".join(f'<td class="{w if w in _WORDS else "nothing"}">{words[w]}</td>' for w in slots)
        first = f"<td>{escaped(phase)}</td><th scope='row'>{escaped(who)}</th><td>{escaped(minimises)}</td>"
        rows += f"<tr>{first}{cells}</tr>"
    table = f'<table class="routes"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="wide" tabindex="0">{table}</div><p class="legend">{escaped(LEGEND)}</p>'


_WORDS = ("learns", "passes", "stops")


def versions_table(versions: Mapping[str, str], plugins: Sequence[Mapping[str, Any]]) -> str:
    """A list of versions, name -> version, and a table of the packages that provided the parts."""
    packages: dict[tuple[str, ...], list[str]] = {}
    for plugin in plugins:
        name, *package = (str(plugin.get(key, ABSENT)) for key in ("plugin", "distribution", "version", "state"))
        packages.setdefault(tuple(package), []).append(name)
    rows = "".join(_package(*package, names=names) for package, names in packages.items())
    items = "".join(f"<div><dt>{escaped(n)}</dt><dd>{escaped(v)}</dd></div>" for n, v in versions.items())
    head = "".join(f'<th scope="col">{column}</th>' for column in ("package", "version", "state", "plugins"))
    table = f'<table class="packages"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    listed = f'<dl class="versions">{items}</dl>' if items else ""
    return listed + (f'<div class="wide" tabindex="0">{table}</div>' if rows else "")


def _package(distribution: str, version: str, state: str, *, names: Sequence[str]) -> str:
    bad = "" if state == "ok" else ' class="bad"'
    return (
        f'<tr><th scope="row">{escaped(distribution)}</th><td>{escaped(version)}</td><td{bad}>{escaped(state)}</td>'
        f"<td>{escaped(', '.join(names))}</td></tr>"
    )
