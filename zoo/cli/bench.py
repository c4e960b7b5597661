"""``zoo bench``: times a recipe's step here and now. It writes nothing."""

from __future__ import annotations

import argparse
from dataclasses import replace

from zoo.columns import json_text
from zoo.errors import Position, RecipeError, RequestError
from zoo.machine.process import import_torch
from zoo.recipe import Recipe, load_recipe, registry_for


def bench(arguments: argparse.Namespace) -> int:
    """``zoo bench RECIPE``."""
    if arguments.steps < 1:
        raise RequestError(f"--steps must be at least 1, not {arguments.steps}")
    registry = registry_for(arguments.recipe, arguments.plugin)

    def variant(*overrides: str) -> Recipe:
        return load_recipe(arguments.recipe, [*arguments.set, *overrides], registry)

    recipe = variant()
    try:
        others = {override: variant(override) for override in arguments.against}
    except RecipeError as error:  # the recipe alone is right
        raise RecipeError(
            replace(p, position=Position(p.position.file.replace("--set", "--try"))) for p in error.problems
        ) from None
    import_torch()
    from zoo.bench import bench as benched
    from zoo.bench.report import as_json, as_text

    found = benched(
        recipe,
        variant,
        against=others,
        device=arguments.device,
        steps=arguments.steps,
        random_data=arguments.random_data,
    )
    print(json_text(as_json(found)) if arguments.json else as_text(found))
    return 0
