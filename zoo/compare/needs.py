"""What a comparison would do, and what it lacks: the cells, their steps, and every file that is not there yet."""

from __future__ import annotations

import inspect
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from zoo.columns import table
from zoo.compare.plan import Cell
from zoo.errors import RecipeError
from zoo.recipe import Recipe
from zoo.registry.options import to_arguments
from zoo.runs.identity import up_to_date


@dataclass(frozen=True)
class Outlook:
    """A comparison as it would be built.

    Args:
        cells: each with ``"up to date"``, ``"begun"`` or ``"to build"``.
        lacking: what keeps a cell from being built -> the cells.
    """

    cells: Sequence[tuple[Cell, str]]
    lacking: dict[str, list[Cell]]


def outlook(cells: Sequence[Cell]) -> Outlook:
    """Looks at every cell without training: its shapes, its rows, its metrics' weights, its data's files.

    Data are not read. Whether their files are there is known of those that can say so (``zoo.api``).
    """
    states = [(cell, _state(cell)) for cell in cells]
    left = [cell for cell, state in states if state != "up to date"]
    lacking: dict[str, list[Cell]] = {}
    for cell in left:
        for sentence in _data_lacks(cell.recipe):
            lacking.setdefault(sentence, []).append(cell)
    return Outlook(states, lacking | problems(left))


def problems(cells: Sequence[Cell]) -> dict[str, list[Cell]]:
    """Why cells cannot be built, as ``zoo check`` finds it: a shape, a row, the weights of a metric. Data aside."""
    found: dict[str, list[str]] = {}
    lacking: dict[str, list[Cell]] = {}
    for cell in cells:
        without_data = {key: value for key, value in cell.recipe.plain().items() if key not in ("data", "seed")}
        key = json.dumps([without_data, asdict(cell.recipe.sizes)], default=str)
        found[key] = found[key] if key in found else _recipe_lacks(cell.recipe)
        for sentence in found[key]:
            lacking.setdefault(sentence, []).append(cell)
    return lacking


def _state(cell: Cell) -> str:
    if up_to_date(cell.folder, cell.recipe):
        return "up to date"
    return "begun" if (cell.folder / "recipe.yaml").is_file() else "to build"


def _data_lacks(recipe: Recipe) -> list[str]:
    """Why the data cannot be had, as its loader's attribute ``ready`` says."""
    ready = getattr(recipe.data.load(), "ready", None)
    if ready is None:
        return []
    arguments = to_arguments(recipe.data.entry.signature, recipe.data.options)
    try:
        ready(**{name: arguments[name] for name in inspect.signature(ready).parameters})
    except (OSError, ValueError) as error:
        return [str(error)]
    return []


def _recipe_lacks(recipe: Recipe) -> list[str]:
    from zoo.check.probe import probe

    try:
        probe(recipe)
    except RecipeError as error:
        return [problem.message for problem in error.problems]
    return []


def as_text(found: Outlook) -> str:
    """A table of the cells, and what each lacks."""
    rows = [["cell", "steps", "batch", ""]]
    for cell, state in found.cells:
        train = cell.recipe.train
        rows.append([cell.name, f"{train.steps:,}", str(train.batch), state])
    to_do = [cell for cell, state in found.cells if state != "up to date"]
    steps = sum(cell.recipe.train.steps for cell in to_do)
    parts = [table(rows), f"{len(found.cells)} cells, {len(to_do)} to build: {steps:,} steps."]
    if found.lacking:
        lines = [f"- {sentence} ({_cells(cells, len(to_do))})" for sentence, cells in found.lacking.items()]
        parts.append("\n".join(["missing:", *lines]))
    return "\n\n".join(parts)


def _cells(cells: Sequence[Cell], every: int) -> str:
    return "every cell" if len(cells) == every else f"{len(cells)} cells, the first {cells[0].name}"


def as_json(found: Outlook) -> dict[str, object]:
    """The same as one JSON document."""
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
        for cell, state in found.cells
    ]
    missing = [{"what": what, "cells": [cell.name for cell in cells]} for what, cells in found.lacking.items()]
    return {"cells": cells, "missing": missing}
