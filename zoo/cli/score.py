"""``zoo score A B``: numbers between two sets of images, each with a passport."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from zoo.cli.stopping import tell
from zoo.columns import ARROWS, json_text, table
from zoo.machine.disk import write_atomically
from zoo.machine.processes import joined
from zoo.scoring.score import Request, score


def score_sets(arguments: argparse.Namespace) -> int:
    """Measures, prints a table or a document, and writes it where it is asked for."""
    with joined(arguments.device) as (processes, device):
        request = _request(arguments, device)
        scores = score(request, processes)
        if not processes.first:
            return 0
    if arguments.to:
        write_atomically(arguments.to, json_text(scores, indent=2).encode())
    if arguments.json:
        print(json_text(scores))
        return 0
    for sentence in dict.fromkeys(note for one in scores.values() for note in one.get("notes", ())):
        tell(sentence)
    print(table(_rows(scores)))
    for one in scores.values():
        if "warning" in one:
            tell(one["warning"])
    return 0


def _request(arguments: argparse.Namespace, device: str) -> Request:
    names = [name for names in arguments.metrics for name in names.split(",") if name]
    return Request(
        arguments.a,
        arguments.b,
        names,
        arguments.protocol,
        arguments.set,
        arguments.n,
        arguments.seed,
        arguments.weights,
        arguments.interval,
        arguments.extrapolate,
        device,
        arguments.plugin,
    )


def _rows(scores: Mapping[str, Any]) -> list[list[str]]:
    extra = [name for name in ("interval", "infinite") if any(name in one for one in scores.values())]
    heads = {"interval": "95 of 100", "infinite": "of infinitely many"}
    rows = [["score", "value", *(heads[name] for name in extra), "judged", "reference", "how"]]
    for label, one in scores.items():
        told = [_extra(name, one.get(name)) for name in extra]
        passport = one["passport"]
        sets = [_set(passport[name]) for name in ("judged", "reference")]
        head = f"{label} {ARROWS.get(one.get('better', ''), '')}".rstrip()
        rows.append([head, f"{one['value']:.5g}", *told, *sets, _how(passport)])
    return rows


def _extra(name: str, value: Any) -> str:
    if value is None:
        return ""
    return f"{value['low']:.5g} to {value['high']:.5g}" if name == "interval" else f"{value:.5g}"


def _set(about: Mapping[str, Any]) -> str:
    if "n" not in about:
        return "statistics"
    sizes = list(about["sizes"])
    return f"{about['n']:,} of {sizes[0]}{' ...' if len(sizes) > 1 else ''}"


def _how(passport: Mapping[str, Any]) -> str:
    """The protocol, and what it does that makes the number another."""
    how = passport["how"]
    said = [str(how[name]) for name in ("model", "resize") if name in how]
    return ", ".join([*([passport["protocol"]] if "protocol" in passport else []), *said])
