"""What a comparison has to build: every recipe on every data set with every seed. No torch here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zoo.compare.scores import Score, refuse_different_protocols
from zoo.errors import RecipeError, RequestError, did_you_mean
from zoo.recipe import Recipe, load_recipe
from zoo.registry import Registry


@dataclass(frozen=True)
class Request:
    """What to compare.

    Args:
        names: recipes, and directories of runs.
        data: data sets that every recipe is built on, each with its own defaults; the recipes' own when empty.
        seeds: how many seeds, from 0.
        metrics: labels of the scores wanted, in their order; all when empty. One that a recipe does not
            ask for is added to it if its outputs can serve it.
        overrides: ``path=value``. One about a slot, a player or an option of the data that a recipe has
            not is left out there.
        out: the directory of what is built, and of the pictures.
    """

    names: Sequence[str]
    data: Sequence[str] = ()
    seeds: int = 1
    metrics: Sequence[str] = ()
    overrides: Sequence[str] = ()
    out: Path = Path("runs/compare")


@dataclass(frozen=True)
class Cell:
    """One run of the comparison.

    Args:
        model: the row it belongs to.
        data: the data set's name.
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
        return f"{self.data}/{self.model}/seed-{self.seed}"


def plan(names: Sequence[str], registry: Registry, request: Request) -> list[Cell]:
    """Every cell, seed by seed, so that a comparison cut short has whole tables of the first seeds.

    Args:
        names: the recipes among the names of the request.
        registry: the plugins to resolve against.
        request: what to compare.

    Raises:
        RequestError: for what no recipe could be meant by, or recipes that could not share a column.
    """
    _refuse_idle_options(names, request)
    data = [registry.find("data", name).id for name in request.data]
    drawn = [(name, *_on(name, use, request.overrides, registry)) for use in data or [""] for name in names]
    _refuse_idle(request.overrides, [recipe for _, recipe, _ in drawn])
    recipes = [_with_metrics(name, said, request.metrics, registry) for name, _, said in drawn]
    _refuse_namesakes(recipes, len(data) or 1)
    refuse_different_protocols(score for recipe in recipes for score in _expected(recipe, request.metrics))
    return [_cell(recipe, seed, request.out) for seed in range(request.seeds) for recipe in recipes]


def _refuse_idle_options(names: Sequence[str], request: Request) -> None:
    if request.seeds < 1:
        raise RequestError(f"--seeds must be at least 1, not {request.seeds}")
    given = {"--data": request.data, "--seeds": request.seeds > 1, "--set": request.overrides}
    said = [option for option, used in given.items() if used]
    if said and not names:
        raise RequestError(f"{said[0]} is for recipes; runs are compared as they are")


def _cell(recipe: Recipe, seed: int, out: Path) -> Cell:
    data = recipe.data.entry.name
    return Cell(recipe.name, data, seed, replace(recipe, seed=seed), out / data / recipe.name / f"seed-{seed}")


def _on(name: str, data: str, overrides: Sequence[str], registry: Registry) -> tuple[Recipe, list[str]]:
    """A recipe on a data set as it stands, and every override that is for it."""
    use = ["data=null", f"data.use={data}"] if data else []  # null first: none of the recipe's own options stay
    chosen = [o for o in overrides if o.partition("=")[0] in ("data", "data.use")]
    recipe = load_recipe(name, [*use, *chosen], registry)
    return recipe, [*use, *(override for override in overrides if not _missing(override, recipe))]


def _optional(recipe: Recipe) -> dict[str, list[str]]:
    """What of a recipe others may not have: where an override names it, and its names."""
    return {
        "slots": list(recipe.slots),
        "data": ["use", *(option.name for option in recipe.data.entry.signature.options)],
        "train.optimizers": list(recipe.players()),
    }


def _missing(override: str, recipe: Recipe) -> str:
    """The prefix under which an override names what a recipe has not; empty if it is for this recipe."""
    path = override.partition("=")[0]
    for prefix, names in _optional(recipe).items():
        rest = path.removeprefix(f"{prefix}.")
        if rest != path and not any(rest == name or rest.startswith(f"{name}.") for name in names):
            return prefix
    return ""


def _refuse_idle(overrides: Sequence[str], recipes: Sequence[Recipe]) -> None:
    for override in overrides:
        prefixes = {_missing(override, recipe) for recipe in recipes}
        if prefixes and "" not in prefixes:
            prefix = prefixes.pop()
            name = override.partition("=")[0].removeprefix(f"{prefix}.").partition(".")[0]
            names = {n for recipe in recipes for n in _optional(recipe)[prefix]}
            raise RequestError(f"--set {override}: no recipe here has '{prefix}.{name}'{did_you_mean(name, names)}")


def _with_metrics(name: str, said: Sequence[str], metrics: Sequence[str], registry: Registry) -> Recipe:
    """The recipe that is built; the metrics wanted are added where its outputs serve them."""
    recipe = load_recipe(name, said, registry)
    for metric in metrics:
        labels: dict[str, Any] = {part.label: part.plain() for part in recipe.evaluate}
        if metric in labels or not _known(metric, registry):
            continue
        try:
            recipe = load_recipe(name, [*said, f"evaluate={json.dumps({**labels, metric: metric})}"], registry)
        except RecipeError:  # such as a reconstruction error for a model that reconstructs nothing: a dash
            continue
    return recipe


def _known(metric: str, registry: Registry) -> bool:
    return any(metric in (entry.name, entry.id) for entry in registry.components("metric"))


def refuse_unknown_metrics(metrics: Sequence[str], labels: Iterable[str], registry: Registry) -> None:
    """Refuses a metric that neither a plugin has nor a recipe or run has a score of.

    Raises:
        RequestError: with the choices.
    """
    there = set(labels)
    names = there | {entry.name for entry in registry.components("metric")}
    for metric in metrics:
        if metric not in names and not _known(metric, registry):
            raise RequestError(f"--metrics: there is no '{metric}'{did_you_mean(metric, names)}")


def _refuse_namesakes(recipes: Sequence[Recipe], data: int) -> None:
    files: dict[str, set[str]] = {}
    for recipe in recipes:
        files.setdefault(recipe.name, set()).add(recipe.file)
    for name, there in files.items():
        if len(there) > 1 or sum(recipe.name == name for recipe in recipes) > data:
            raise RequestError(f"two recipes are called '{name}' ({', '.join(sorted(there))}); give one another 'name'")


def _expected(recipe: Recipe, metrics: Sequence[str]) -> list[Score]:
    """What is known of a recipe's protocols before anything is built: hours are not spent on a refusal."""
    common: Mapping[str, Any] = {"data": recipe.data.plain(), "batch_stats": recipe.batch_stats}
    return [
        Score(
            recipe.name, recipe.data.entry.name, part.label, 0, 0.0, {**common, "metric": part.entry.id, **part.options}
        )
        for part in recipe.evaluate
        if not metrics or part.label in metrics
    ]
