"""``zoo compare``: recipes, data sets and seeds into one table, and their pictures side by side.

What is built already is not built again; torch is imported only by what is left to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from zoo.api import Watcher
from zoo.compare.build import Site, build_cells
from zoo.compare.pictures import draw_missing
from zoo.compare.plan import Plan, file_name, plan, refuse_unknown_metrics
from zoo.compare.protocol import Score
from zoo.compare.runs import find, given_runs
from zoo.compare.scores import Comparison, Member, columns, read_scores
from zoo.compare.tables import Request, Row, Table, read_table
from zoo.errors import RequestError
from zoo.registry import Registry
from zoo.runs.history import told

__all__ = ["Comparison", "Member", "Plan", "Request", "Row", "compare", "draw_up"]


def draw_up(request: Request, registry: Registry) -> Plan:
    """Plans what a comparison has to build beside what it is given; what can be refused by now is a RequestError."""
    recipes, runs, tables, left_out = find(request.names, registry)
    if len(tables) > 1:
        raise RequestError(f"one table at a time, not {' and '.join(map(str, tables))}")
    table = read_table(tables[0]) if tables else Table()
    registry = registry.within(*map(registry.owner, tables))  # a package's table names its own recipes first
    rows = [*request.rows, *map(Row, (*table.models, *recipes))]
    planned = plan(rows, registry, request, table)
    taken = {cell.model for cell in planned.cells}
    members = given_runs(runs)
    given = [replace(run, model=f"{run.model} (runs)") if run.model in taken else run for run in members]
    scores = _scores(given)
    labels = [part.label for cell in planned.cells for part in cell.recipe.evaluate]
    refuse_unknown_metrics(planned.metrics, [*labels, *(score.label for score in scores)], registry)
    columns(scores, planned.metrics)  # refuses those that cannot share one
    past = [f"{run.folder}: {sentence}" for run in given for sentence in told(run.folder)]
    return replace(planned, given=given, notes=[*left_out, *planned.notes, *past])


def compare(
    request: Request,
    registry: Registry,
    *,
    device: str = "auto",
    watchers: Callable[[], Sequence[Watcher]] = tuple,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Builds what is missing of a comparison, and compares.

    Args:
        watchers: who sees a training, made anew for each.
        stop: asked after each step; True saves and ends.
        say: told what happens, a sentence at a time.

    Raises:
        RequestError: if the request is wrong, or scores were measured in different ways.
        Interrupted: if it was stopped; what was done is saved.
    """
    planned = draw_up(request, registry)

    def check(members: Sequence[Member]) -> None:
        columns(_scores([*planned.given, *members]), planned.metrics)

    members = (*planned.given, *build_cells(planned.cells, Site(registry, device, watchers, stop, say), check))
    made = columns(_scores(members), planned.metrics)
    runs: dict[str, dict[str, Path]] = {}  # of each data set, the first one of each model
    for member in members:
        if member.state != "failed":
            runs.setdefault(member.data, {}).setdefault(member.model, member.folder)
    pictures: list[Path] = []
    notes = [*planned.notes]
    for data, shown in runs.items():
        drawn, failed = draw_missing(file_name(data), shown, registry, request.out, device, say)
        pictures += drawn
        notes += failed
    measured = {column.label for column in made}
    notes += [f"no model here has a score '{label}'" for label in planned.metrics if label not in measured]
    models = tuple(dict.fromkeys(member.model for member in members))
    return Comparison(models, made, members, tuple(pictures), tuple(notes), request.baseline)


def _scores(members: Sequence[Member]) -> list[Score]:
    built = [member for member in members if member.state != "failed"]
    return [score for member in built for score in read_scores(member.folder, member.model, member.data)]
