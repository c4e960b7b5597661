"""Overrides that are for some recipes of a comparison and not for others. No torch here."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.errors import RequestError, did_you_mean
from zoo.recipe import Recipe


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
