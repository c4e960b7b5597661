"""What a comparison has to build: every recipe on every data set with every seed. No torch here."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.compare.metrics import fitting, path_of, refuse_idle, with_metrics
from zoo.compare.protocol import Score, refuse_different_protocols
from zoo.compare.tables import Request, Row, Table
from zoo.errors import RequestError, did_you_mean
from zoo.recipe import Recipe, load_recipe
from zoo.recipe.schema import WHEREABOUTS
from zoo.registry import Registry


@dataclass(frozen=True)
class Cell:
    """One run of the comparison.

    Args:
        model: the row it belongs to.
        data: the data set, as the table calls it.
        seed: the recipe's seed.
        recipe: what to build.
        folder: where.
    """

    model: str
    data: str
    seed: int
    recipe: Recipe
    folder: Path

    @property
    def name(self) -> str:
        """What progress and errors call it."""
        return f"{self.model} on {self.data}, seed {self.seed}"


@dataclass(frozen=True)
class Source:
    """A data set of the comparison.

    Args:
        label: what the table calls it; each recipe's own when empty.
        overrides: what sets it in a recipe.
    """

    label: str = ""
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class Plan:
    """What is to be built.

    Args:
        cells: seed by seed, so that a comparison cut short has whole tables of the first seeds.
        metrics: labels of the scores wanted, in their order; all when empty.
        notes: why a model has no score of a kind: sentences.
    """

    cells: Sequence[Cell]
    metrics: Sequence[str]
    notes: Sequence[str] = ()


def plan(rows: Sequence[Row], registry: Registry, request: Request, table: Table | None = None) -> Plan:
    """Every cell.

    Args:
        rows: the recipes, those of the table too.
        registry: the plugins to resolve against.
        request: what to compare.
        table: what a file says of it.

    Raises:
        RequestError: for what no recipe could be meant by, or recipes that could not share a column.
    """
    _refuse_idle_options(rows, request)
    sources = _sources(request, table, registry)
    wanted = _wanted(request, table)
    notes: dict[str, None] = {}
    drawn: list[tuple[str, str, Recipe]] = []
    for source in sources:
        for row in rows:
            recipe, lacking = with_metrics(row.recipe, _said(row, source, request, table, registry), wanted, registry)
            model, data = row.label or recipe.name, source.label or recipe.data.entry.name
            drawn.append((model, data, recipe))
            notes |= dict.fromkeys(f"{model} has no {label}: {why}" for label, why in lacking.items())
    refuse_idle(request.overrides, [recipe for *_, recipe in drawn])
    _refuse_namesakes(drawn)
    _refuse_idle_toggles(rows, drawn)
    trained_apart = any(path_of(override).startswith("data") for row in rows for override in row.overrides)
    refuse_different_protocols(s for drew in drawn for s in _expected(*drew, list(wanted), trained_apart))
    seeds = request.seeds or (table.seeds if table else 1)
    cells = [_cell(*drew, seed, request.out) for seed in range(seeds) for drew in drawn]
    return Plan(cells, list(wanted), list(notes))


def _cell(model: str, data: str, recipe: Recipe, seed: int, out: Path) -> Cell:
    folder = out / _folder_name(data) / _folder_name(model) / f"seed-{seed}"
    return Cell(model, data, seed, replace(recipe, seed=seed), folder)


def _folder_name(label: str) -> str:
    """A label as it is where it can name a folder, else what of it can, and a digest of it."""
    plain = re.sub(r"[^\w=+,. -]+", "_", label)[:80]
    return label if plain == label and label.strip(".") else f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


# -- what each is built with -----------------------------------------------------------------------------------


def _sources(request: Request, table: Table | None, registry: Registry) -> list[Source]:
    """The data sets: those asked for, with what the table says of them; the table's; the recipes' own."""
    there = table.data if table else {}
    if there and request.data:
        for name in request.data:
            if name not in there:
                raise RequestError(f"--data: table '{table and table.name}' has no '{name}'{did_you_mean(name, there)}")
    chosen = {name: there.get(name, {"use": name}) for name in request.data or there}
    sources = []
    for label, data in chosen.items():
        entry = registry.find("data", data["use"])
        said = [f"data.{name}={json.dumps(value)}" for name, value in {**data, "use": entry.id}.items()]
        sources.append(Source(label if label in there else entry.name, ["data=null", *said]))  # none of their own stay
    return sources or [Source()]


def _wanted(request: Request, table: Table | None) -> dict[str, Any]:
    """Label -> the metric, of those asked for; the table's."""
    there = table.metrics if table else {}
    return {label: there.get(label, label) for label in request.metrics} or dict(there)


def _said(row: Row, source: Source, request: Request, table: Table | None, registry: Registry) -> list[str]:
    """Every override of a cell: of its data, the table's for all, the table's for it alone, the user's, its row's."""
    users = [o for o in request.overrides if path_of(o) in ("data", "data.use")]
    recipe = load_recipe(row.recipe, [*source.overrides, *users], registry)
    tables = [*fitting(table.overrides, recipe)] if table else []
    for only in table.only if table else ():
        tables += only.overrides if only.concerns(row.recipe, source.label) else []
    return [*source.overrides, *tables, *fitting(request.overrides, recipe), *row.overrides]


# -- what is refused -------------------------------------------------------------------------------------------


def _refuse_idle_options(rows: Sequence[Row], request: Request) -> None:
    if request.seeds is not None and request.seeds < 1:
        raise RequestError(f"--seeds must be at least 1, not {request.seeds}")
    given = {"--data": request.data, "--seeds": request.seeds, "--set": request.overrides}
    said = [option for option, used in given.items() if used]
    if said and not rows:
        raise RequestError(f"{said[0]} is for recipes; runs are compared as they are")


def _refuse_namesakes(drawn: Sequence[tuple[str, str, Recipe]]) -> None:
    files: dict[tuple[str, str], list[str]] = {}
    for model, data, recipe in drawn:
        files.setdefault((model, data), []).append(recipe.file)
    for (model, _), there in files.items():
        if len(there) > 1:
            said = ", ".join(sorted(set(there)))
            raise RequestError(f"two recipes are called '{model}' ({said}); give one another 'name'")


def _refuse_idle_toggles(rows: Sequence[Row], drawn: Sequence[tuple[str, str, Recipe]]) -> None:
    """Refuses rows of one recipe whose overrides come to the same model."""
    first: dict[str, str] = {}
    for row, (model, _, recipe) in zip(rows, drawn, strict=False):
        if row.label and (other := first.setdefault(json.dumps(recipe.plain(), default=str), model)) != model:
            raise RequestError(f"'{other}' and '{model}' are the same recipe; there is nothing to compare")


def _expected(model: str, data: str, recipe: Recipe, metrics: Sequence[str], trained_apart: bool) -> list[Score]:
    """What is known of a recipe's protocols before anything is built: hours are not spent on a refusal.

    Where rows differ by options of their data on purpose, whether the images measured are the same is seen later.
    """
    common: Mapping[str, Any] = {"batch_stats": recipe.batch_stats, "size": recipe.sizes.size}
    common = common if trained_apart else {**common, "data": recipe.data.identity()}
    scores = []
    for part in recipe.evaluate:
        if not metrics or part.label in metrics:
            options = {name: value for name, value in part.options.items() if name not in WHEREABOUTS}
            scores.append(Score(model, data, part.label, 0, 0.0, {**common, "metric": part.entry.id, **options}))
    return scores
