"""The metrics that a comparison wants, added to the recipes that can have them. No torch here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoo.compare.overrides import fitting, of_a_metric
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
