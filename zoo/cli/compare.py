"""``zoo compare`` and ``zoo ablate``: the paper's table in one command."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from zoo.cli.stopping import stop_signals, tell
from zoo.columns import json_text, printable
from zoo.compare import Comparison, Request, compare, draw_up
from zoo.compare.tables import toggled
from zoo.compare.words import caption
from zoo.compare.write import as_json, as_text, writer_for
from zoo.errors import Position, Problem, RecipeError
from zoo.machine.disk import write_atomically
from zoo.recipe import registry_for
from zoo.registry import Registry, load_registry
from zoo.training.watchers import ProgressWatcher


def compare_models(arguments: argparse.Namespace) -> int:
    """``zoo compare``: builds every missing run and prints the table; 1 if a run failed."""
    return _run(replace(_request(arguments), names=arguments.models), load_registry(tuple(arguments.plugin)), arguments)


def ablate(arguments: argparse.Namespace) -> int:
    """``zoo ablate``: the same of one recipe, a row for each combination of the toggles' values."""
    rows = toggled(arguments.recipe, arguments.toggle)
    out = arguments.out or Path("runs/ablate") / Path(arguments.recipe).stem
    request = replace(_request(arguments), rows=rows, baseline=rows[0].label, out=out)
    try:
        return _run(request, registry_for(arguments.recipe, tuple(arguments.plugin)), arguments)
    except RecipeError as error:  # a toggle's value is an override of the row's
        raise RecipeError(_toggled(problem, arguments.toggle) for problem in error.problems) from None


def _toggled(problem: Problem, toggles: list[str]) -> Problem:
    """Moves a problem of an override to the toggle that it comes from."""
    path = problem.position.file.removeprefix("--set ").partition("=")[0]
    toggle = next((toggle for toggle in toggles if toggle.partition("=")[0].strip() == path), "")
    return replace(problem, position=Position(f"--toggle {toggle}")) if toggle else problem


def _request(arguments: argparse.Namespace) -> Request:
    data, metrics = ([*dict.fromkeys(names)] for names in (arguments.data, arguments.metrics))
    return Request(data=data, seeds=arguments.seeds, metrics=metrics, overrides=arguments.set, out=arguments.out)


def _run(request: Request, registry: Registry, arguments: argparse.Namespace) -> int:
    write = writer_for(arguments.to) if arguments.to else None
    if arguments.dry_run:
        return _look(request, registry, arguments)
    with stop_signals() as stop:
        comparison = compare(
            request,
            registry,
            device=arguments.device,
            watchers=lambda: (stop,) if arguments.json else (stop, ProgressWatcher()),
            stop=stop,
            say=tell,
        )
    if write:
        write_atomically(arguments.to, write(comparison, arguments.to.parent).encode())
    _show(comparison, arguments)
    return int(bool(comparison.failures))


def _look(request: Request, registry: Registry, arguments: argparse.Namespace) -> int:
    """``--dry-run``: what would be built, and what is missing for it; 1 if anything is."""
    from zoo.compare import needs

    plan = draw_up(request, registry)
    states, lacking = needs.outlook(plan.cells)
    print(json_text(needs.as_json(states, lacking)) if arguments.json else needs.as_text(states, lacking))
    for sentence in plan.notes:
        tell(sentence)
    return int(bool(lacking))


def _show(comparison: Comparison, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json_text(as_json(comparison) | {"file": str(arguments.to) if arguments.to else None}))
    else:
        files = [*([arguments.to] if arguments.to else []), *comparison.pictures]
        spread = printable(caption(comparison).partition(" Bold")[0])
        parts = [_table(comparison), spread, "\n".join(map(str, files))]
        text = "\n\n".join(part for part in parts if part)
        encoding = sys.stdout.encoding or "utf-8"
        print(text.encode(encoding, "replace").decode(encoding))
    for sentence in (*comparison.notes, *(f"failed: {failure}" for failure in comparison.failures)):
        tell(sentence)


def _table(comparison: Comparison) -> str:
    """The best in bold where the output is a terminal that has it, else with a star."""
    width = max(shutil.get_terminal_size((120, 24)).columns, 60)
    if sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb":
        return as_text(comparison, width, lambda text: f"\x1b[1m{text}\x1b[0m")
    starred = any(entry.best for column in comparison.columns for entry in column.entries.values())
    return as_text(comparison, width) + ("\n\n* the best of its column" if starred else "")
