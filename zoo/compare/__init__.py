"""``zoo compare``: recipes, data sets and seeds into one table, and their pictures side by side.

What is built already is not built again; torch is imported only by what is left to do.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from zoo.builder import build_run
from zoo.compare.plan import Cell, plan, refuse_unknown_metrics
from zoo.compare.runs import find_runs, row_names
from zoo.compare.scores import Column, Score, columns, read_scores
from zoo.errors import Interrupted, RequestError, ZooError
from zoo.recipe.text import read
from zoo.registry import Registry
from zoo.watch import Watcher

Say = Callable[[str], None]


@dataclass(frozen=True)
class Member:
    """A run of the comparison.

    Args:
        model: its row.
        data: its data set.
        seed: its recipe's seed.
        folder: where it is.
        state: ``"done"``, ``"up to date"``, ``"given"``, or ``"failed"``.
        error: why it failed.
    """

    model: str
    data: str
    seed: int
    folder: Path
    state: str
    error: str = ""


@dataclass(frozen=True)
class Comparison:
    """A comparison, as far as it came.

    Args:
        models: the rows.
        columns: the columns.
        members: every run, failed ones too.
        pictures: PNG files.
        notes: sentences worth telling.
    """

    models: tuple[str, ...]
    columns: tuple[Column, ...]
    members: tuple[Member, ...]
    pictures: tuple[Path, ...]
    notes: tuple[str, ...] = ()

    @property
    def failures(self) -> tuple[str, ...]:
        """A sentence for each run that failed."""
        return tuple(f"{m.data}/{m.model}/seed-{m.seed}: {m.error}" for m in self.members if m.state == "failed")

    @property
    def seeds(self) -> int:
        """How many seeds the fullest entry has."""
        return max((len(e.values) for column in self.columns for e in column.entries.values()), default=0)


def compare(
    names: Sequence[str],
    registry: Registry,
    *,
    data: Sequence[str] = (),
    seeds: int = 1,
    metrics: Sequence[str] = (),
    overrides: Sequence[str] = (),
    out: Path = Path("runs/compare"),
    device: str = "auto",
    watchers: Callable[[], Sequence[Watcher]] = tuple,
    stop: Callable[[], bool] = lambda: False,
    say: Say = lambda _: None,
) -> Comparison:
    """Builds what is missing of a comparison, and compares.

    Args:
        names: recipes, and directories of runs.
        registry: the plugins to resolve against.
        data: data sets that every recipe is built on; each recipe's own when empty.
        seeds: how many seeds, from 0.
        metrics: labels of the scores wanted, in their order; all when empty.
        overrides: ``path=value``, for every recipe that has what they name.
        out: the directory of what is built, and of the pictures.
        device: ``auto``, ``cpu``, ``cuda`` ...
        watchers: who sees a training, made anew for each.
        stop: asked after each step; True saves and ends.
        say: told what happens, a sentence at a time.

    Raises:
        RequestError: if the request is wrong; nothing was built then, unless scores turn out to be
            measured in different ways.
        Interrupted: if it was stopped; what was done is saved.
    """
    runs = {name: [] if registry.find_recipe(name) and not _is_run(name) else find_runs(name) for name in names}
    given = _given([run for found in runs.values() for run in found])
    recipes = [name for name, found in runs.items() if not found]
    _refuse_orphans(recipes, data=data, seeds=seeds, overrides=overrides)
    cells = plan(
        recipes, registry, data=data, seeds=seeds, metrics=metrics, overrides=overrides, out=out
    )
    labels = [part.label for cell in cells for part in cell.recipe.evaluate]
    ours = [score for member in given for score in read_scores(member.folder, member.model)]
    refuse_unknown_metrics(metrics, [*labels, *(score.label for score in ours)], registry)
    members = (*given, *_build(cells, registry, device, watchers, stop, say))
    scores = [*ours, *_scores(members)]
    models = tuple(dict.fromkeys(member.model for member in members))
    made = columns(scores, metrics)
    pictures, notes = _pictures(members, registry, out, device, say)
    return Comparison(models, made, members, pictures, notes)


def _is_run(name: str) -> bool:
    return (Path(name) / "recipe.yaml").is_file()


def _given(folders: Sequence[Path]) -> list[Member]:
    """Runs given by their directories, as they are."""
    members = []
    for folder, model in row_names(folders).items():
        plain = read((folder / "recipe.yaml").read_bytes(), str(folder / "recipe.yaml")).plain()
        scores = read_scores(folder, model)
        use = scores[0].data if scores else str(plain["data"]["use"]).rpartition("/")[2]
        members.append(Member(model, use, int(plain.get("seed", 0)), folder, "given"))
    return members


def _refuse_orphans(recipes: Sequence[str], *, data: Sequence[str], seeds: int, overrides: Sequence[str]) -> None:
    if seeds < 1:
        raise RequestError(f"--seeds must be at least 1, not {seeds}")
    said = [name for name, used in (("--data", data), ("--seeds", seeds > 1), ("--set", overrides)) if used]
    if said and not recipes:
        raise RequestError(f"{said[0]} is for recipes; runs are compared as they are")


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
    built = [member for member in members if member.state in ("done", "up to date")]
    return [score for member in built for score in read_scores(member.folder, member.model)]


def _pictures(
    members: Sequence[Member], registry: Registry, out: Path, device: str, say: Say
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """The pictures of each data set, drawn again only when a run in them has changed; and what stood in the way."""
    from zoo.compare.shown import draw_missing

    shown: dict[str, dict[str, Path]] = {}
    for member in members:
        if member.state != "failed":
            shown.setdefault(member.data, {}).setdefault(member.model, member.folder)
    files: list[Path] = []
    notes: list[str] = []
    for data, runs in shown.items():
        try:
            files += draw_missing(data, runs, registry, out, device, say)
        except ZooError as error:
            notes.append(f"no pictures of {data}: {error}")
    return tuple(files), tuple(notes)
