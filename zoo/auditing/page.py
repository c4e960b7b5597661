"""What an audit found as one HTML page that loads nothing from anywhere."""

from __future__ import annotations

import html
from typing import Any

STYLE = """:root{color-scheme:light dark;--page:#f6f6f3;--card:#fff;--ink:#1d2025;--soft:#5c626c;--rule:#e4e4df;
--learns:#0b7268;--learns-page:#e2f3ee;--warn:#8a4b00;--warn-page:#fff6e5;--warn-rule:#f0d9a8}
@media (prefers-color-scheme:dark){:root{--page:#131518;--card:#1b1e22;--ink:#e7e8ea;--soft:#a0a6b0;--rule:#2c3036;
--learns:#62d6c2;--learns-page:#14332f;--warn:#f3c77d;--warn-page:#2a2216;--warn-rule:#524224}}
*{box-sizing:border-box}body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,sans-serif;
font-variant-numeric:tabular-nums}main{max-width:1100px;margin:0 auto;padding:40px 24px 72px}
h1{font-size:32px;line-height:1.15;letter-spacing:-.02em;margin:0 0 6px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:18px;margin:44px 0 14px;font-weight:620}h3{font-size:15px;margin:0 0 4px;font-weight:620}
p{margin:0 0 6px}.legend{margin:12px 2px 0;font-size:13px}.soft,dt{color:var(--soft)}
code{font:13px/1.5 ui-monospace,Menlo,Consolas,monospace}
.card{background:var(--card);border:1px solid var(--rule);border-radius:10px;overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:14px}th,td{text-align:left;padding:9px 18px;font-weight:400;
border-top:1px solid var(--rule);vertical-align:baseline}thead th{color:var(--soft);font-size:13px;border-top:0}
tbody th{font-weight:560}.learns span{background:var(--learns-page);color:var(--learns);border-radius:5px;
padding:2px 8px;margin:0 -8px;font-weight:560}.receives{color:var(--warn)}.passes,.stops,.nothing{color:var(--soft)}
.problems{list-style:none;margin:0;padding:0;display:grid;gap:10px}.problems li{background:var(--warn-page);
border:1px solid var(--warn-rule);border-radius:10px;padding:14px 18px;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:2px 16px;margin:8px 0 0;font-size:14px}dd{margin:0}
.bar{display:flex;height:8px;min-width:160px;border-radius:4px;overflow:hidden;background:var(--rule);margin:4px 0}
.bar i:nth-child(4n+1){background:#0b62c4}.bar i:nth-child(4n+2){background:#b4500b}
.bar i:nth-child(4n+3){background:#a8327f}.bar i:nth-child(4n){background:#4c7410}
@media (max-width:640px){main{padding:24px 14px}th,td{padding:9px 12px}}"""
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def page(found: dict[str, Any], legend: str, title: str = "") -> str:
    """The whole page, of what ``Found.as_json`` tells: the problems, who learns from what, the optimisers."""
    number = len(found["problems"])
    head = f"{number} problem{'s' * (number != 1)}" if number else "No problem found"
    body = f"<h1>{_safe(title or 'zoo audit')}</h1><p class='soft'>{head}</p>"
    body += _problems(found) + _losses(found)
    body += f"<p class='soft legend'>{_safe(legend)}</p>" + _optimizers(found)
    if found["notes"]:
        body += "<h2>Notes</h2>" + "".join(f"<p>{_safe(note)}</p>" for note in found["notes"])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1"><link rel="icon" href="data:,">'
        f"<title>{_safe(title or 'zoo audit')}</title><style>{STYLE}</style></head>\n"
        f"<body><main>{body}</main></body></html>\n"
    )


def _safe(text: object) -> str:
    return html.escape("".join(c if c.isprintable() else "\ufffd" for c in str(text)))


def _problems(found: dict[str, Any]) -> str:
    items = ""
    for problem in found["problems"]:
        told = "".join(f"<dt>{name}</dt><dd>{_safe(problem[name])}</dd>" for name in ("evidence", "effect", "cure"))
        items += f"<li><h3>{_safe(problem['kind'].capitalize())} <code>{_safe(problem['place'])}</code></h3>"
        items += f"<p>{_safe(problem['what'])}.</p><dl>{told}</dl></li>"
    return f"<h2>Problems</h2><ul class='problems'>{items}</ul>" if items else ""


def _table(head: list[str], rows: list[list[str]]) -> str:
    top = "".join(f"<th>{_safe(cell)}</th>" for cell in head)
    body = "".join(map("".join, rows))
    return f"<div class='card'><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>"


def _losses(found: dict[str, Any]) -> str:
    rows = []
    for loss in found["losses"]:
        name = loss["name"] if loss["kind"] == "backward" else f"grad of {loss['name']}"
        cells = [f"<tr><th>{_safe(name)}</th><td><code>{_safe(loss['place'])}</code></td><td>{loss['calls']}</td>"]
        for state in loss["networks"].values():
            style = "nothing" if state == "." else state
            cells.append(f"<td class='{style}'><span>{_safe(state)}</span></td>")
        rows.append([*cells, "</tr>"])
    return "<h2>Who learns from what</h2>" + _table(["loss", "at", "calls", *found["networks"]], rows) if rows else ""


def _optimizers(found: dict[str, Any]) -> str:
    rows = []
    for each in found["optimizers"]:
        for network, told in each["networks"].items():
            bar = "".join(f"<i style='width:{share:.1%}'></i>" for share in told["shares"].values())
            shares = ", ".join(f"{share:.0%} {_safe(name)}" for name, share in told["shares"].items()) or "nothing"
            cosines = "<br>".join(f"{value:+.2f} ({_safe(pair)})" for pair, value in told["cosines"].items())
            start = f"<tr><th>{_safe(each['name'])}</th><td>{each['steps']}</td><td>{_safe(network)}</td>"
            rows.append([start, f"<td><div class='bar'>{bar}</div>{shares}</td><td>{cosines}</td></tr>"])
    head = ["optimiser", "steps", "network", "its gradient comes from", "cosine between losses"]
    return "<h2>Optimisers</h2>" + _table(head, rows) if rows else ""
