"""What an audit found as one HTML page that loads nothing from anywhere."""

from __future__ import annotations

from typing import Any

from zoo.report.document import document, section
from zoo.report.markup import escaped

STYLE = """
.receives{color:var(--warn)}.notes h3{margin-bottom:4px}.notes p{margin:0}
.bar{display:flex;height:8px;min-width:160px;border-radius:4px;overflow:hidden;background:var(--rule);margin:4px 0}
.bar i:nth-child(4n+1){background:var(--c0)}.bar i:nth-child(4n+2){background:var(--c1)}
.bar i:nth-child(4n+3){background:var(--c3)}.bar i:nth-child(4n){background:var(--c5)}"""


def page(found: dict[str, Any], legend: str, title: str = "") -> str:
    """The whole page, of what ``Found.as_json`` tells: the problems, who learns from what, the optimisers."""
    number, name = len(found["problems"]), escaped(title or "zoo audit")
    head = f"{number} problem{'s' * (number != 1)}" if number else "No problem found"
    body = f"<header><h1>{name}</h1><p class='about'>{head}</p></header>"
    body += section("Problems", _problems(found)) + section("Who learns from what", _losses(found, legend), "card")
    body += section("Optimisers", _optimizers(found), "card")
    body += section("Notes", "".join(f"<p>{escaped(note)}</p>" for note in found["notes"]))
    return document(name, body, style=STYLE)


def _problems(found: dict[str, Any]) -> str:
    items = ""
    for problem in found["problems"]:
        told = "".join(f"<dt>{name}</dt><dd>{escaped(problem[name])}</dd>" for name in ("evidence", "effect", "cure"))
        items += f"<li><h3>{escaped(problem['kind'].capitalize())} <code>{escaped(problem['place'])}</code></h3>"
        items += f"<p>{escaped(problem['what'])}.</p><dl class='protocol'>{told}</dl></li>"
    return f"<ul class='notes'>{items}</ul>" if items else ""


def _table(head: list[str], rows: list[str]) -> str:
    top = "".join(f"<th>{escaped(cell)}</th>" for cell in head)
    table = f"<table><thead><tr>{top}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f"<div class='wide' tabindex='0'>{table}</div>" if rows else ""


def _losses(found: dict[str, Any], legend: str) -> str:
    rows = []
    for loss in found["losses"]:
        name = loss["name"] if loss["kind"] == "backward" else f"grad of {loss['name']}"
        cells = f"<th>{escaped(name)}</th><td><code>{escaped(loss['place'])}</code></td><td>{loss['calls']}</td>"
        for state in loss["networks"].values():
            cells += f"<td class='{'nothing' if state == '.' else state}'><span>{escaped(state)}</span></td>"
        rows.append(f"<tr>{cells}</tr>")
    table = _table(["loss", "at", "calls", *found["networks"]], rows)
    return f"{table}<p class='legend'>{escaped(legend)}</p>" if table else ""


def _optimizers(found: dict[str, Any]) -> str:
    rows = []
    for each in found["optimizers"]:
        for network, told in each["networks"].items():
            bar = "".join(f"<i style='width:{share:.1%}'></i>" for share in told["shares"].values())
            shares = ", ".join(f"{share:.0%} {escaped(name)}" for name, share in told["shares"].items()) or "nothing"
            cosines = "<br>".join(f"{value:+.2f} ({escaped(pair)})" for pair, value in told["cosines"].items())
            start = f"<tr><th>{escaped(each['name'])}</th><td>{each['steps']}</td><td>{escaped(network)}</td>"
            rows.append(f"{start}<td><div class='bar'>{bar}</div>{shares}</td><td>{cosines}</td></tr>")
    return _table(["optimiser", "steps", "network", "its gradient comes from", "cosine between losses"], rows)
