"""``zoo compare``: recipes, data sets and seeds into one table, and their pictures side by side.

What is built already is not built again; torch is imported only by what is left to do.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from zoo.builder import build_run
from zoo.compare.plan import Cell, Request, plan, refuse_unknown_metrics
from zoo.compare.result import Comparison, Member
from zoo.compare.runs import find_runs, given_runs
from zoo.compare.scores import Score, columns, read_scores
from zoo.compare.shown import draw_missing
from zoo.errors import Interrupted, ZooError
from zoo.registry import Registry
from zoo.watch import Watcher

__all__ = ["Comparison", "Member", "Request", "compare"]

Say = Callable[[str], None]


def compare(
    request: Request,
    registry: Registry,
    *,
    device: str = "auto",
    watchers: Callable[[], Sequence[Watcher]] = tuple,
    stop: Callable[[], bool] = lambda: False,
    say: Say = lambda _: None,
) -> Comparison:
    """Builds what is missing of a comparison, and compares.

    Args:
        request: what to compare.
        registry: the plugins to resolve against.
        device: ``auto``, ``cpu``, ``cuda`` ...
        watchers: who sees a training, made anew for each.
        stop: asked after each step; True saves and ends.
        say: told what happens, a sentence at a time.

    Raises:
        RequestError: if the request is wrong, or scores were measured in different ways.
        Interrupted: if it was stopped; what was done is saved.
    """
    runs = {name: find_runs(name, registry) for name in request.names}
    cells = plan([name for name, found in runs.items() if not found], registry, request)
    given = _given([run for found in runs.values() for run in found], {cell.model for cell in cells})
    theirs = _scores(given)
    labels = [*(part.label for cell in cells for part in cell.recipe.evaluate), *(score.label for score in theirs)]
    refuse_unknown_metrics(request.metrics, labels, registry)
    columns(theirs, request.metrics)  # refused now rather than after the building
    members = (*given, *_build(cells, registry, device, watchers, stop, say))
    made = columns(_scores(members), request.metrics)
    missing = [label for label in request.metrics if label not in {column.label for column in made}]
    pictures, notes = _pictures(members, registry, request.out, device, say)
    notes += [f"no model here has a score '{label}'" for label in missing]
    models = tuple(dict.fromkeys(member.model for member in members))
    return Comparison(models, made, members, tuple(pictures), tuple(notes))


def _given(folders: Sequence[Path], taken: set[str]) -> list[Member]:
    """Runs as they are; those that would share a row with a recipe say that they are runs."""
    members = given_runs(folders)
    return [replace(m, model=f"{m.model} (runs)") if m.model in taken else m for m in members]


def _build(
    cells: Sequence[Cell],
    registry: Registry,
    device: str,
    watchers: Callable[[], Sequence[Watcher]],
    stop: Callable[[], bool],
    say: Say,
) -> list[Member]:
    """Every cell built, gone on with, or found up to date; one that fails is noted and passed over."""
    members = []
    for number, cell in enumerate(cells, 1):
        told = f"[{number}/{len(cells)}] {cell.name}"
        state, error = "failed", ""
        try:
            state = build_run(
                cell.recipe,
                registry,
                out=cell.folder,
                device=device,
                watchers=watchers(),
                stop=stop,
                say=lambda sentence, told=told: say(f"{told}: {sentence}"),  # type: ignore[misc]
            ).state
        except Interrupted as stopped:
            raise Interrupted(f"{told}: {stopped}") from None
        except Exception as failure:  # noqa: BLE001 - whatever a plugin raises, the other cells are built
            error = str(failure) if isinstance(failure, ZooError) else f"{type(failure).__name__}: {failure}"
            if os.environ.get("ZOO_DEBUG"):
                traceback.print_exc()
        say(f"{told}: {state}{error and ': ' + error}")
        members.append(Member(cell.model, cell.data, cell.seed, cell.folder, state, error))
    return members


def _scores(members: Sequence[Member]) -> list[Score]:
    finished = [member for member in members if member.state != "failed"]
    return [score for member in finished for score in read_scores(member.folder, member.model)]


def _pictures(
    members: Sequence[Member], registry: Registry, out: Path, device: str, say: Say
) -> tuple[list[Path], list[str]]:
    """The pictures of each data set, drawn again only when a run in them has changed; and what stood in the way."""
    shown: dict[str, dict[str, Path]] = {}
    for member in members:
        if member.state != "failed":
            shown.setdefault(member.data, {}).setdefault(member.model, member.folder)
    files: list[Path] = []
    notes: list[str] = []
    for data, runs in shown.items():
        drawn, failed = draw_missing(data, runs, registry, out, device, say)
        files += drawn
        notes += failed
    return files, notes
