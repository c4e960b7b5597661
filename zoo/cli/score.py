"""``zoo score A B``: numbers between two sets of images, each with a passport."""

from __future__ import annotations

import argparse

from zoo.cli.stopping import tell
from zoo.columns import json_text
from zoo.machine.disk import write_atomically
from zoo.machine.processes import joined
from zoo.scoring.score import Request, scores_of
from zoo.scoring.why import explain
from zoo.scoring.words import as_table


def score_sets(arguments: argparse.Namespace) -> int:
    """Measures, prints a table or a document, and writes it where it is asked for; or says ``--why``."""
    if arguments.why:
        found = explain(Request.of(arguments, arguments.device), *arguments.why)
        print(json_text(found.as_json()) if arguments.json else found.text())
        return int(found.cause is None and not found.same)
    with joined(arguments.device) as (processes, device):
        scores = scores_of(Request.of(arguments, device), processes)
    if not processes.first:
        return 0
    if arguments.to:
        write_atomically(arguments.to, json_text(scores, indent=2).encode())
    print(json_text(scores) if arguments.json else as_table(scores))
    for sentence in dict.fromkeys(said for one in scores.values() for said in one.get("notes", ())):
        tell(sentence)
    return 0
