"""Plans what a comparison has to build: every recipe on every data set with every seed. No torch here.

An override is for those recipes that have what it names; metrics wanted are added to recipes that can have them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any

from zoo.compare.protocol import Score, refuse_different_protocols
from zoo.compare.scores import Member, Place
from zoo.compare.tables import Request, Row, Table
from zoo.errors import RecipeError, RequestError, did_you_mean
from zoo.recipe import Recipe, load_recipe
from zoo.recipe.data_fields import side_of
from zoo.recipe.schema import WHEREABOUTS
from zoo.registry import Registry


@dataclass(frozen=True)
class Cell(Place):
    """A run that a recipe is to be built in."""

    recipe: Recipe


@dataclass(frozen=True)
class Plan:
    """A comparison before anything is built, and the finished runs ``given`` to compare with.

    Cells come seed by seed, so that a comparison cut short has whole tables of the first seeds; of no ``metrics``, all
    scores are wanted.
    """

    cells: Sequence[Cell]
    metrics: Sequence[str]
    notes: Sequence[str] = ()
    given: Sequence[Member] = ()


def plan(rows: Sequence[Row], registry: Registry, request: Request, table: Table) -> Plan:
    """Every cell of the rows, which are the table's too.

    An override that no recipe could be meant by, or recipes that could not share a column, are a RequestError.
    """
    _refuse_idle_options(rows, request)
    wanted = {label: table.metrics.get(label, label) for label in request.metrics} or dict(table.metrics)
    wanted = {label: _meant(metric, registry) for label, metric in wanted.items()}
    notes: dict[str, dict[str, None]] = {}
    drawn: list[Cell] = []
    for data, source in _sources(request, table, registry).items():
        for row in rows:
            overrides = _overrides(row, data, source, request, table, registry)
            recipe, lacking = _with_metrics(row.recipe, overrides, wanted, registry)
            model, name = row.label or recipe.name, data or recipe.data.entry.name
            drawn.append(Cell(model, name, 0, request.out / file_name(name) / file_name(model), recipe))
            for why in dict.fromkeys(lacking.values()):
                labels = ", ".join(label for label in lacking if lacking[label] == why)
                notes.setdefault(f"no {labels}, for {why}", {})[model] = None
    _refuse_idle_overrides(request.overrides, [cell.recipe for cell in drawn])
    _refuse_same(rows, drawn)
    trained_apart = any(_path(override).startswith("data") for row in rows for override in row.overrides)
    refuse_different_protocols(s for cell in drawn for s in _expected(cell, list(wanted), trained_apart))
    cells = [
        replace(cell, seed=seed, recipe=replace(cell.recipe, seed=seed), folder=cell.folder / f"seed-{seed}")
        for seed in range(request.seeds or table.seeds)
        for cell in drawn
    ]
    return Plan(cells, list(wanted), [f"{', '.join(models)}: {said}" for said, models in notes.items()])


def file_name(label: str) -> str:
    """A label as it is where it can name a file, else what of it can, and a digest of it."""
    plain = re.sub(r"[^\w=+,. -]+", "_", label)[:80]
    return label if plain == label and label.strip(".") else f"{plain}-{hashlib.sha256(label.encode()).hexdigest()[:8]}"


def _expected(cell: Cell, metrics: Sequence[str], trained_apart: bool) -> list[Score]:
    """Scores without a number, of the protocols as far as the recipe tells them: hours are not spent on a refusal.

    Where rows differ by options of their data on purpose, whether the images measured are the same is seen later.
    """
    recipe = cell.recipe
    known: dict[str, Any] = {} if trained_apart else {"data": recipe.data_identity()}
    known |= {"batch_stats": recipe.batch_stats, "size": side_of(recipe.x)}
    scores = []
    for part in recipe.evaluate:
        if not metrics or part.label in metrics:
            options = {name: value for name, value in part.options.items() if name not in WHEREABOUTS}
            protocol = {**known, "metric": part.entry.id, **options}
            scores.append(Score(cell.model, cell.data, part.label, 0, 0.0, protocol))
    return scores


# -- what each is built with -----------------------------------------------------------------------------------


def _sources(request: Request, table: Table, registry: Registry) -> dict[str, list[str]]:
    """Data set, as the table calls it -> the overrides that set it; one without a name where each has its recipe's."""
    for name in request.data:
        if table.data and name not in table.data:
            raise RequestError(f"--data: table '{table.name}' has no '{name}'{did_you_mean(name, table.data)}")
    sources = {}
    for label in request.data or table.data:
        data = table.data.get(label, {"use": label})
        entry = registry.find("data", data["use"])
        options = [f"data.{name}={json.dumps(value)}" for name, value in {**data, "use": entry.id}.items()]
        sources[label if label in table.data else entry.name] = ["data=null", *options]  # none of the recipe's own
    return sources or {"": []}


def _overrides(
    row: Row, data: str, source: Sequence[str], request: Request, table: Table, registry: Registry
) -> list[str]:
    """Every override of a cell: of its data, the table's for all, the table's for it alone, the user's, its row's."""
    users = [override for override in request.overrides if _path(override) in ("data", "data.use")]
    recipe = load_recipe(row.recipe, [*source, *users], registry)

    def fitting(overrides: Sequence[str]) -> list[str]:
        """Without those about what the recipe lacks; a metric may yet be added to it."""
        return [override for override in overrides if _of_a_metric(override) or not _lacked(override, recipe)]

    only = [said for model, name, said in table.only if model in ("", row.recipe) and name in ("", data)]
    return [*source, *fitting(table.overrides), *chain(*only), *fitting(request.overrides), *row.overrides]


def _with_metrics(
    name: str, overrides: Sequence[str], wanted: Mapping[str, Any], registry: Registry
) -> tuple[Recipe, dict[str, str]]:
    """The recipe with the metrics wanted that its outputs serve, and label -> why it cannot have such a score.

    A metric's name leaves a recipe's own of that label as it is; a component and its options replace it, but for what
    it judges (``with``). Overrides of metrics' options are applied once these are there.
    """
    early = [override for override in overrides if not _of_a_metric(override)]

    def evaluating(metrics: Mapping[str, Any]) -> list[str]:
        """Overrides for these metrics alone, however the recipe writes its own."""
        return [*early, "evaluate=null", f"evaluate={json.dumps(metrics)}"]

    recipe = load_recipe(name, early, registry)
    metrics: dict[str, Any] = {part.label: part.plain() for part in recipe.evaluate}
    lacking: dict[str, str] = {}
    for label, metric in wanted.items():
        if label in metrics and isinstance(metric, str):
            continue
        if (metric if isinstance(metric, str) else metric["use"]) not in _metrics(registry):
            lacking[label] = "the recipe has no such score"
            continue
        judged = {"with": metrics[label]["with"]} if "with" in metrics.get(label, {}) else {}
        more = {**metrics, label: metric if isinstance(metric, str) else {**judged, **metric}}
        try:
            recipe, metrics = load_recipe(name, evaluating(more), registry), more
        except RecipeError as error:  # such as a reconstruction error for a model that reconstructs nothing: a dash
            lacking[label] = error.problems[0].message.partition(";")[0].removeprefix(f"metric '{label}': ")
    if len(early) < len(overrides):
        late = [override for override in overrides if _of_a_metric(override) and not _lacked(override, recipe)]
        recipe = load_recipe(name, [*evaluating(metrics), *late], registry)
    return recipe, lacking


def _meant(metric: Any, registry: Registry) -> Any:
    """A metric by its whole name, as the table's own package sees it."""
    use = metric if isinstance(metric, str) else metric["use"]
    with suppress(RequestError):  # told where a recipe is to have it
        use = registry.find("metric", use).id
    return use if isinstance(metric, str) else {**metric, "use": use}


def _metrics(registry: Registry) -> set[str]:
    return {name for entry in registry.components("metric") for name in (entry.name, entry.id)}


def _path(override: str) -> str:
    return override.partition("=")[0].strip()


def _of_a_metric(override: str) -> bool:
    """Tells overrides of a metric's options: the metric may be there only once those wanted are added."""
    return _path(override).startswith("evaluate.") and _path(override).count(".") > 1


def _lacked(override: str, recipe: Recipe) -> str:
    """The prefix of an override that names what the recipe lacks; empty if it is for this recipe."""
    path = _path(override)
    for prefix, names in _optional(recipe).items():
        rest = path.removeprefix(f"{prefix}.")
        named = any(rest == name or rest.startswith(f"{name}.") for name in names)
        if rest != path and not named and (prefix != "evaluate" or _of_a_metric(override)):
            return prefix
    return ""


def _optional(recipe: Recipe) -> dict[str, list[str]]:
    """The parts of a recipe that other recipes may lack, by override prefix."""
    return {
        "slots": list(recipe.slots),
        "data": ["use", *(option.name for option in recipe.data.entry.signature.options)],
        "train.optimizers": list(recipe.players()),
        "evaluate": [part.label for part in recipe.evaluate],
    }


# -- what is refused -------------------------------------------------------------------------------------------


def refuse_unknown_metrics(metrics: Sequence[str], labels: Iterable[str], registry: Registry) -> None:
    """Refuses a metric that neither a plugin has nor a recipe or run has a score of: a RequestError with choices."""
    names = {*labels, *(entry.name for entry in registry.components("metric"))}
    for metric in metrics:
        if metric not in names | _metrics(registry):
            raise RequestError(f"--metrics: there is no '{metric}'{did_you_mean(metric, names)}")


def _refuse_idle_options(rows: Sequence[Row], request: Request) -> None:
    if request.seeds is not None and request.seeds < 1:
        raise RequestError(f"--seeds must be at least 1, not {request.seeds}")
    for option, value in {"--data": request.data, "--seeds": request.seeds, "--set": request.overrides}.items():
        if value and not rows:
            raise RequestError(f"{option} is for recipes; runs are compared as they are")


def _refuse_idle_overrides(overrides: Sequence[str], recipes: Sequence[Recipe]) -> None:
    """Refuses an override that is for none of the recipes, with what was perhaps meant."""
    for override in overrides:
        prefixes = {_lacked(override, recipe) for recipe in recipes}
        if prefixes and "" not in prefixes:
            prefix = prefixes.pop()
            name = _path(override).removeprefix(f"{prefix}.").partition(".")[0]
            names = {n for recipe in recipes for n in _optional(recipe)[prefix]}
            raise RequestError(f"--set {override}: no recipe here has '{prefix}.{name}'{did_you_mean(name, names)}")


def _refuse_same(rows: Sequence[Row], drawn: Sequence[Cell]) -> None:
    """Refuses two recipes of one name, and toggles of one recipe that come to the same model."""
    for cell in drawn:
        there = [other.recipe.file for other in drawn if other.folder == cell.folder]
        if len(there) > 1:
            files = ", ".join(sorted(set(there)))
            raise RequestError(f"two recipes are called '{cell.model}' ({files}); give one another 'name'")
    first: dict[str, str] = {}
    for row, cell in zip(rows, drawn, strict=False):
        other = first.setdefault(json.dumps(cell.recipe.plain(), default=str), cell.model)
        if row.label and other != cell.model:
            raise RequestError(f"'{other}' and '{cell.model}' are the same recipe; there is nothing to compare")
