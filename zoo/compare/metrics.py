"""The metrics that a comparison wants, added to the recipes that can have them. No torch here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoo.errors import RecipeError, RequestError, did_you_mean
from zoo.recipe import Recipe, load_recipe
from zoo.registry import Registry


def with_metrics(
    name: str, said: Sequence[str], wanted: Mapping[str, Any], registry: Registry
) -> tuple[Recipe, dict[str, str]]:
    """The recipe that is built, the metrics wanted added where its outputs serve them.

    Args:
        name: the recipe.
        said: ``path=value``; those about options of metrics are said once these are there.
        wanted: label -> a metric's name, which leaves a recipe's own of that label as it is; or the component and
            its options, which replace the recipe's, but for what it judges (``with``).
        registry: the plugins to resolve against.

    Returns:
        the recipe; label -> why it cannot have such a score.
    """
    early, late = [o for o in said if not of_a_metric(o)], [o for o in said if of_a_metric(o)]
    recipe = load_recipe(name, early, registry)
    own: dict[str, Any] = {part.label: part.plain() for part in recipe.evaluate}
    lacking: dict[str, str] = {}
    for label, metric in wanted.items():
        if label in own and isinstance(metric, str):
            continue
        if not _known(metric if isinstance(metric, str) else metric["use"], registry):
            lacking[label] = "its recipe has no such score"
            continue
        judged = {"with": own[label]["with"]} if "with" in own.get(label, {}) else {}
        more = {**own, label: metric if isinstance(metric, str) else {**judged, **metric}}
        try:
            recipe, own = load_recipe(name, [*early, *_evaluating(more)], registry), more
        except RecipeError as error:  # such as a reconstruction error for a model that reconstructs nothing: a dash
            lacking[label] = error.problems[0].message.partition(";")[0]
    if late:
        recipe = load_recipe(name, [*early, *_evaluating(own), *fitting(late, recipe, metrics=True)], registry)
    return recipe, lacking


def _evaluating(metrics: Mapping[str, Any]) -> list[str]:
    """What has a recipe evaluate these alone, however it writes its own."""
    return ["evaluate=null", f"evaluate={json.dumps(metrics)}"]


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


def path_of(override: str) -> str:
    """What an override sets."""
    return override.partition("=")[0].strip()


def of_a_metric(override: str) -> bool:
    """Whether it sets an option of a metric, which may be there only once the metrics wanted are added."""
    return path_of(override).startswith("evaluate.") and path_of(override).count(".") > 1


def fitting(overrides: Sequence[str], recipe: Recipe, metrics: bool = False) -> list[str]:
    """Those about what a recipe has.

    Args:
        overrides: ``path=value``.
        recipe: the recipe.
        metrics: whether its metrics are all there; before, options of any metric may be about one that is added.
    """
    early = [] if metrics else [override for override in overrides if of_a_metric(override)]
    return [override for override in overrides if override in early or not _missing(override, recipe)]


def refuse_idle(overrides: Sequence[str], recipes: Sequence[Recipe]) -> None:
    """Refuses an override that is for none of the recipes.

    Raises:
        RequestError: with what was perhaps meant.
    """
    for override in overrides:
        prefixes = {_missing(override, recipe) for recipe in recipes}
        if prefixes and "" not in prefixes:
            prefix = prefixes.pop()
            name = path_of(override).removeprefix(f"{prefix}.").partition(".")[0]
            names = {n for recipe in recipes for n in _optional(recipe)[prefix]}
            raise RequestError(f"--set {override}: no recipe here has '{prefix}.{name}'{did_you_mean(name, names)}")


def _optional(recipe: Recipe) -> dict[str, list[str]]:
    """What of a recipe others may not have: where an override names it, and its names."""
    return {
        "slots": list(recipe.slots),
        "data": ["use", *(option.name for option in recipe.data.entry.signature.options)],
        "train.optimizers": list(recipe.players()),
        "evaluate": [part.label for part in recipe.evaluate],
    }


def _missing(override: str, recipe: Recipe) -> str:
    """The prefix under which an override names what a recipe has not; empty if it is for this recipe."""
    path = path_of(override)
    for prefix, names in _optional(recipe).items():
        rest = path.removeprefix(f"{prefix}.")
        if rest == path or (prefix == "evaluate" and not of_a_metric(override)):
            continue
        if not any(rest == name or rest.startswith(f"{name}.") for name in names):
            return prefix
    return ""
