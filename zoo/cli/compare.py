"""``zoo compare``: the paper's table in one command."""

from __future__ import annotations

import argparse
import json
import sys

from zoo.cli.recipes import stop_signals
from zoo.compare import Comparison, Request, compare
from zoo.compare.words import caption
from zoo.compare.write import as_json, as_text, writer_for
from zoo.errors import Interrupted
from zoo.registry import load_registry
from zoo.run import write_atomically
from zoo.watch import Progress


def compare_models(arguments: argparse.Namespace) -> int:
    """Builds every missing run and prints the table; 1 if a run failed."""
    write = writer_for(arguments.to) if arguments.to else None
    request = Request(
        names=arguments.models,
        data=_names(arguments.data),
        seeds=arguments.seeds,
        metrics=_names(arguments.metrics),
        overrides=arguments.set,
        out=arguments.out,
    )
    registry = load_registry(tuple(arguments.plugin))
    watchers = tuple if arguments.json else lambda: (Progress(),)
    with stop_signals() as stopped:
        try:
            comparison = compare(request, registry, device=arguments.device, watchers=watchers, stop=stopped, say=_say)
        except Interrupted as stop:
            print(f"stopped and saved: {stop}; go on with the same command", file=sys.stderr)
            return stop.exit_code
    if write:
        write_atomically(arguments.to, write(comparison, arguments.to.parent).encode())
    _show(comparison, arguments)
    return int(bool(comparison.failures))


def _show(comparison: Comparison, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps(as_json(comparison) | {"file": str(arguments.to) if arguments.to else None}))
    else:
        files = [*([arguments.to] if arguments.to else []), *comparison.pictures]
        parts = [as_text(comparison), caption(comparison).partition(" Bold")[0], "\n".join(map(str, files))]
        text = "\n\n".join(part for part in parts if part)
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding))
    for sentence in (*comparison.notes, *(f"failed: {failure}" for failure in comparison.failures)):
        print(sentence, file=sys.stderr)


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def _names(texts: list[str]) -> list[str]:
    return list(dict.fromkeys(name.strip() for text in texts for name in text.split(",") if name.strip()))
