"""A comparison before it is built: the cells, their steps, and every file that is not there yet."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from zoo.columns import table
from zoo.compare.plan import Cell
from zoo.errors import RecipeError
from zoo.recipe import Recipe
from zoo.runs.identity import up_to_date

States = Sequence[tuple[Cell, str]]
"""Cells, each with ``"up to date"``, ``"begun"`` or ``"to build"``."""

Lacking = Mapping[str, Sequence[Cell]]
"""Reason why cells cannot be built -> the cells."""


def outlook(cells: Sequence[Cell]) -> tuple[States, Lacking]:
    """Looks at every cell without training: its shapes, its rows, its metrics' weights, its data's files.

    Data are not read. Whether their files are there is known of those that can say so (``zoo.api``).
    """
    states = []
    for cell in cells:
        state = "begun" if (cell.folder / "recipe.yaml").is_file() else "to build"
        states.append((cell, "up to date" if up_to_date(cell.folder, cell.recipe) else state))
    return states, problems([cell for cell, state in states if state != "up to date"])


def problems(cells: Sequence[Cell]) -> Lacking:
    """Why cells cannot be built, as ``zoo check`` finds it: files of data, a shape, a row, the weights of a metric."""
    from zoo.data.batches import lacks

    known: dict[str, list[str]] = {}
    lacking: dict[str, list[Cell]] = {}
    for cell in cells:
        for reason in (problem.message for problem in lacks(cell.recipe)):
            lacking.setdefault(reason, []).append(cell)
        without_data = {key: value for key, value in cell.recipe.plain().items() if key not in ("data", "seed")}
        key = json.dumps(
            [without_data, [*map(str, cell.recipe.fields.values())], cell.recipe.latent, cell.recipe.noise], default=str
        )
        known[key] = known[key] if key in known else _recipe_lacks(cell.recipe)
        for reason in known[key]:
            lacking.setdefault(reason, []).append(cell)
    return lacking


def _recipe_lacks(recipe: Recipe) -> list[str]:
    from zoo.check.probe import probe

    try:
        probe(recipe)
    except RecipeError as error:
        return [problem.message for problem in error.problems]
    return []


def as_text(states: States, lacking: Lacking) -> str:
    """A table of the cells, and what each lacks."""
    rows = [["cell", "steps", "batch", ""]]
    rows += [[cell.name, f"{cell.recipe.train.steps:,}", str(cell.recipe.train.batch), state] for cell, state in states]
    left = [cell.recipe.train.steps for cell, state in states if state != "up to date"]
    parts = [table(rows), f"{len(states)} cells, {len(left)} to build: {sum(left):,} steps."]
    lines = ["missing:"] if lacking else []
    for reason, cells in lacking.items():
        which = "every cell" if len(cells) == len(left) else f"{len(cells)} cells, the first {cells[0].name}"
        lines.append(f"- {reason} ({which})")
    return "\n\n".join([*parts, *(["\n".join(lines)] if lines else [])])


def as_json(states: States, lacking: Lacking) -> dict[str, object]:
    """The cells and their needs as one JSON document."""
    cells = [
        {
            "model": cell.model,
            "data": cell.data,
            "seed": cell.seed,
            "folder": str(cell.folder),
            "steps": cell.recipe.train.steps,
            "batch": cell.recipe.train.batch,
            "state": state,
        }
        for cell, state in states
    ]
    missing = [{"what": reason, "cells": [cell.name for cell in cells]} for reason, cells in lacking.items()]
    return {"cells": cells, "missing": missing}
