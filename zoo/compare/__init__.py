"""``zoo compare``: recipes, data sets and seeds into one table, and their pictures side by side.

What is built already is not built again; torch is imported only by what is left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from zoo.api import Watcher
from zoo.compare.build import Site, build_cells
from zoo.compare.metrics import refuse_unknown_metrics
from zoo.compare.plan import Plan, plan
from zoo.compare.protocol import Score, refuse_different_protocols
from zoo.compare.runs import find, given_runs
from zoo.compare.scores import Comparison, Member, columns, read_scores
from zoo.compare.tables import Request, Row, read_table
from zoo.errors import RequestError
from zoo.registry import Registry

__all__ = ["Comparison", "Drawn", "Member", "Request", "Row", "compare", "draw_up"]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Drawn:
    """A comparison before anything is built.

    Args:
        plan: what is to be built.
        given: finished runs to compare with it.
        notes: sentences worth telling.
    """

    plan: Plan
    given: Sequence[Member]
    notes: Sequence[str]


def draw_up(request: Request, registry: Registry) -> Drawn:
    """What a comparison has to build and what it is given; whatever can be refused by now is.

    Raises:
        RequestError: if the request is wrong, or scores were measured in different ways.
    """
    found = find(request.names, registry)
    if len(found.tables) > 1:
        raise RequestError(f"one table at a time, not {' and '.join(map(str, found.tables))}")
    table = read_table(found.tables[0]) if found.tables else None
    rows = [Row(name) for name in (*(table.models if table else ()), *found.recipes)]
    planned = plan([*request.rows, *rows], registry, request, table)
    given = _given(found.runs, {cell.model for cell in planned.cells})
    theirs = _scores(given)
    labels = [part.label for cell in planned.cells for part in cell.recipe.evaluate]
    refuse_unknown_metrics(planned.metrics, [*labels, *(score.label for score in theirs)], registry)
    refuse_different_protocols(_among(theirs, planned.metrics))
    return Drawn(planned, given, [*found.left_out, *planned.notes])


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
    drawn = draw_up(request, registry)
    metrics = drawn.plan.metrics

    def check(members: Sequence[Member]) -> None:
        refuse_different_protocols(_among(_scores([*drawn.given, *members]), metrics))

    built = build_cells(drawn.plan.cells, Site(registry, device, watchers, stop, say), check)
    members = (*drawn.given, *built)
    made = columns(_scores(members), metrics)
    missing = [label for label in metrics if label not in {column.label for column in made}]
    pictures, notes = _pictures(members, registry, request.out, device, say)
    notes = [*drawn.notes, *notes, *(f"no model here has a score '{label}'" for label in missing)]
    models = tuple(dict.fromkeys(member.model for member in members))
    return Comparison(models, made, members, tuple(pictures), tuple(notes), request.baseline)


def _given(folders: Sequence[Path], taken: set[str]) -> list[Member]:
    """Runs as they are; those that would share a row with a recipe say that they are runs."""
    members = given_runs(folders)
    return [replace(m, model=f"{m.model} (runs)") if m.model in taken else m for m in members]


def _scores(members: Sequence[Member]) -> list[Score]:
    finished = [member for member in members if member.state != "failed"]
    return [score for m in finished for score in read_scores(m.folder, m.model, m.data)]


def _among(scores: Iterable[Score], metrics: Sequence[str]) -> list[Score]:
    return [score for score in scores if not metrics or score.label in metrics]


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
        from zoo.compare.pictures import draw_missing  # torch, which a table does without

        drawn, failed = draw_missing(data, runs, registry, out, device, say)
        files += drawn
        notes += failed
    return files, notes
