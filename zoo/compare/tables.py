"""Requests of a comparison, the toggles of an ablation, and tables, which are comparisons written down in a file.

docs/compare.md has an example of each.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from zoo.errors import Problem, RecipeError, RequestError, did_you_mean
from zoo.recipe.yaml.node import Path as Place
from zoo.recipe.yaml.read import MAX_BYTES, Node, read
from zoo.registry import Registry

KEYS = ("models", "data", "metrics", "seeds", "set", "where")


@dataclass(frozen=True)
class Row:
    """A model of the comparison: a recipe's name or file, what the table calls it, and overrides for this row alone."""

    recipe: str
    label: str = ""
    overrides: Sequence[str] = ()


@dataclass(frozen=True)
class Request:
    """Says what to compare.

    Args:
        names: recipes, directories of runs, a table; ``rows`` are models beside those.
        data: data sets that every recipe is built on, each with its own defaults, or those of the table that are
            wanted; the table's, else the recipes' own, when empty.
        seeds: how many seeds, from 0; the table's, else one, when None.
        metrics: labels of the scores wanted, in their order; the table's, else all, when empty. One that a recipe
            does not ask for is added to it if its outputs can serve it.
        overrides: ``path=value``. One about a slot, a player, an option of the data or of a metric that a recipe
            has not is left out there.
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


@dataclass(frozen=True)
class Table:
    """A comparison as a file says it.

    Args:
        data: what the table calls a data set -> the component and its options; the recipes' own when empty.
        metrics: label -> a metric's name, or the component and its options; the recipes' own when empty.
        overrides: ``path=value``, for every recipe that has it.
        only: for some cells alone: a recipe and a data set, any when empty, and overrides.
    """

    name: str = ""
    models: Sequence[str] = ()
    data: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 1
    overrides: Sequence[str] = ()
    only: Sequence[tuple[str, str, Sequence[str]]] = ()


def find_table(name: str, registry: Registry) -> Path | None:
    """The file of a table: a YAML file with ``models``, else a bundled table of that name; None for anything else."""
    if not os.path.isfile(name):
        entry = registry.find_recipe(name.removesuffix(".yaml"), "table")
        return entry.file if entry else None
    try:
        return Path(name) if name.endswith((".yaml", ".yml")) and tree(Path(name)).child("models") else None
    except RequestError:  # it is refused as a recipe
        return None


def tree(path: Path) -> Node:
    """The tree of a YAML file; a RequestError if it cannot be read."""
    try:
        with path.open("rb") as file:
            return read(file.read(MAX_BYTES + 1), str(path))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from None


def read_table(path: Path) -> Table:
    """A table, or a RecipeError with every problem, each with its place."""
    reader = _Reader(path)
    table = reader.table()
    if reader.problems:
        raise RecipeError(reader.problems)
    return table


class _Reader:
    def __init__(self, path: Path) -> None:
        self.problems: list[Problem] = []
        self._path, self._root = path, tree(path)
        self._said: dict[str, Any] = self._root.plain()

    def _check(self, right: bool, place: Place, message: str) -> bool:
        if not right:
            self.problems.append(Problem(self._root.at(place), message))
        return right

    def table(self) -> Table:
        for key in set(self._said) - set(KEYS):
            self._check(False, (key,), f"a table has no '{key}'{did_you_mean(key, KEYS)}")
        models, data, metrics = self._names("models"), self._parts("data"), self._parts("metrics")
        self._check(bool(models), ("models",), "'models' must name a recipe, or several: [vae, avae]")
        seeds = self._said.get("seeds", 1)
        counts = isinstance(seeds, int) and not isinstance(seeds, bool) and seeds >= 1
        self._check(counts, ("seeds",), "'seeds' must be a whole number, 1 or more")
        return Table(
            name=self._path.stem,
            models=[self._beside(name) for name in models],
            data=data,
            # one that is only named may be a score that recipes have under this label
            metrics={label: label if part == {"use": label} else part for label, part in metrics.items()},
            seeds=seeds,
            overrides=self._overrides(self._said, ()),
            only=self._only({"model": models, "data": list(data)}),
        )

    def _beside(self, name: str) -> str:
        """A recipe beside the table by its path; any other as it is written."""
        path = self._path.parent / name
        return str(path) if path.is_file() else name

    def _names(self, key: str) -> list[str]:
        said = self._said.get(key, [])
        names = [said] if isinstance(said, str) else said
        right = isinstance(names, list) and all(isinstance(name, str) and name for name in names)
        self._check(right, (key,), f"'{key}' must be a list of names, such as [a, b]")
        return list(dict.fromkeys(names)) if right else []

    def _parts(self, key: str) -> dict[str, dict[str, Any]]:
        """Label -> component and options; a list of names has components without options."""
        said = self._said.get(key)
        if not isinstance(said, dict):
            return {name: {"use": name} for name in self._names(key)}
        parts = {}
        for label, part in said.items():
            options = {"use": part or label} if isinstance(part, str | None) else part
            right = key != "data" or bool(re.fullmatch(r"[\w.+=-]+", label))
            self._check(right, (key, label), f"'{label}' names files: letters, digits and . + = - _ alone")
            if self._check(isinstance(options, dict), (key, label), f"'{label}' must be a name, or options in braces"):
                parts[label] = {"use": label, **options}
        return parts

    def _overrides(self, said: Mapping[str, Any], place: Place) -> list[str]:
        """``set``, as the command line has it."""
        settings = said.get("set", {})
        right = isinstance(settings, dict)
        self._check(right, (*place, "set"), "'set' must be a mapping, such as {train.steps: 2000}")
        return [f"{path}={json.dumps(value)}" for path, value in settings.items()] if right else []

    def _only(self, there: Mapping[str, Sequence[str]]) -> list[tuple[str, str, list[str]]]:
        said, only = self._said.get("where", []), []
        for number, item in enumerate(said if isinstance(said, list) else [said]):
            place: Place = ("where", number) if isinstance(said, list) else ("where",)
            keys = set(item) if isinstance(item, dict) else set()
            form = "write it as {model: NAME, data: NAME, set: {PATH: VALUE}}; model or data may lack"
            if not self._check("set" in keys and keys <= {"model", "data", "set"}, place, form):
                continue
            named = {key: str(item.get(key, "")) for key in there}
            for key, name in named.items():
                near = did_you_mean(name, there[key])
                self._check(name in ("", *there[key]), (*place, key), f"the table has no {key} '{name}'{near}")
            model = self._beside(named["model"]) if named["model"] else ""
            only.append((model, named["data"], self._overrides(item, place)))
        return only


# -- with and without ----------------------------------------------------------------------------------------------


def toggled(recipe: str, toggles: Sequence[str]) -> list[Row]:
    """A row for every combination of the values of the toggles; the first has the first value of each.

    A toggle is ``"path=A,B"``: a path, which no other toggle has, and two values or more; commas within brackets and
    quotes part none. Anything else is a RequestError.
    """
    parsed = [_values(toggle) for toggle in toggles]
    paths = [path for path, _ in parsed]
    for path in paths:
        if paths.count(path) > 1:
            raise RequestError(f"--toggle: '{path}' is there twice; write {path}=A,B,C")
    names = _short(paths)
    rows = []
    for chosen in product(*(values for _, values in parsed)):
        label = ", ".join(f"{name}={value}" for name, value in zip(names, chosen, strict=True))
        rows.append(Row(recipe, label, [f"{path}={value}" for path, value in zip(paths, chosen, strict=True)]))
    return rows


def _values(toggle: str) -> tuple[str, list[str]]:
    """Its path, and the values that the path is set to."""
    path, _, text = toggle.partition("=")
    values = [value.strip() for value in split(text)]
    if not path.strip() or len(values) < 2 or "" in values:
        example = "phases.0.generator.entropy=off,-0.01"
        raise RequestError(f"--toggle {toggle}: write it as PATH=A,B, such as {example}: a path and what it is set to")
    if len(set(values)) < len(values):
        raise RequestError(f"--toggle {toggle}: a value is there twice")
    return path.strip(), values


def split(text: str) -> list[str]:
    """Splits a text at its commas, but for those within brackets or quotes."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "[{") - (letter in "]}")
        if letter == "," and not depth and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _short(paths: Sequence[str]) -> list[str]:
    """The ends of different paths, as long as it takes to tell them apart."""
    parts = [path.split(".") for path in paths]
    lengths = range(1, max(map(len, parts)) + 1)
    ends = ([".".join(part[-length:]) for part in parts] for length in lengths)
    return next(names for names in ends if len(set(names)) == len(names))
