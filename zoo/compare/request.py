"""What a comparison is asked for. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Row:
    """A model of the comparison.

    Args:
        recipe: a recipe's name or file.
        label: what the table calls it; the recipe's own name when empty.
        overrides: ``path=value``, for this row alone.
    """

    recipe: str
    label: str = ""
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class Only:
    """What holds for some cells of a table alone.

    Args:
        model: the recipe, as the table writes it; any when empty.
        data: the data set, as the table calls it; any when empty.
        overrides: ``path=value``.
    """

    model: str
    data: str
    overrides: Sequence[str]

    def concerns(self, model: str, data: str) -> bool:
        """Whether it holds for a cell."""
        return self.model in ("", model) and self.data in ("", data)


@dataclass(frozen=True)
class Table:
    """A comparison as a file says it.

    Args:
        name: the file's, without its extension.
        models: recipes.
        data: what the table calls a data set -> the component and its options; the recipes' own when empty.
        metrics: label -> a metric's name, or the component and its options; the recipes' own when empty.
        seeds: how many.
        overrides: ``path=value``, for every recipe that has it.
        only: what holds for some cells alone.
    """

    name: str
    models: Sequence[str]
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    overrides: Sequence[str] = ()
    only: Sequence[Only] = ()


@dataclass(frozen=True)
class Request:
    """What to compare.

    Args:
        names: recipes, directories of runs, a table.
        data: data sets that every recipe is built on, each with its own defaults, or those of the table that are
            wanted; the table's, else the recipes' own, when empty.
        seeds: how many seeds, from 0; the table's, else one, when None.
        metrics: labels of the scores wanted, in their order; the table's, else all, when empty. One that a recipe
            does not ask for is added to it if its outputs can serve it.
        overrides: ``path=value``. One about a slot, a player, an option of the data or of a metric that a recipe
            has not is left out there.
        out: the directory of what is built, and of the pictures.
        rows: models beside those that ``names`` mean.
        baseline: the row that the others' differences are taken from; none when empty.
    """

    names: Sequence[str] = ()
    data: Sequence[str] = ()
    seeds: int | None = None
    metrics: Sequence[str] = ()
    overrides: Sequence[str] = ()
    out: Path = Path("runs/compare")
    rows: Sequence[Row] = ()
    baseline: str = ""
