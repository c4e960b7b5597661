"""Tables: comparisons written down in a file, bundled or the user's own. No torch here.

::

    models: [vae-paper, avae-paper]                    # recipes: names, or files beside this one
    data:                                              # or a list of names; left out: the recipes' own
      celeba: {size: 64, crop: paper}                  # options; 'use: NAME' where the label is not the name
      svhn: {train_on: extra}
    metrics: {mse: mse, fid: {samples: 50000}}         # likewise; left out: the recipes' own
    seeds: 3
    set: {train.steps: 2000}                           # for every recipe that has it
    where:                                             # for some cells alone
      - {model: vae-paper, data: svhn, set: {latent: 32}}
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.errors import Position, Problem, RecipeError, RequestError, did_you_mean
from zoo.recipe.yaml.read import MAX_BYTES, Node, read
from zoo.registry import Registry

KEYS = ("models", "data", "metrics", "seeds", "set", "where")


def read_table(path: Path) -> Table:
    """A table.

    Raises:
        RecipeError: with every problem, each with its place.
    """
    root = tree(path)
    reader = _Reader(path)
    for key in set(root.value) - set(KEYS):
        reader.refuse(root.at((key,)), f"a table has no '{key}'{did_you_mean(key, KEYS)}")
    table = Table(
        name=path.stem,
        models=[reader.beside(name) for name in reader.names(root, "models")],
        data=reader.parts(root, "data"),
        metrics=reader.metrics(root),
        seeds=reader.count(root, "seeds"),
        overrides=reader.overrides(root),
        only=reader.only(root),
    )
    if not table.models:
        reader.refuse(root.at(("models",)), "'models' must name a recipe, or several: [vae, avae]")
    if reader.problems:
        raise RecipeError(reader.problems)
    return table


class _Reader:
    """Reads the parts of a table, and collects what is wrong with them."""

    def __init__(self, path: Path) -> None:
        self.problems: list[Problem] = []
        self._folder = path.parent

    def refuse(self, place: Position, message: str) -> None:
        self.problems.append(Problem(place, message))

    def beside(self, name: str) -> str:
        """A recipe beside the table by its path; any other as it is written."""
        return str(self._folder / name) if (self._folder / name).is_file() else name

    def names(self, node: Node, key: str) -> list[str]:
        found = node.child(key)
        plain = found.plain() if found else []
        plain = [plain] if isinstance(plain, str) else plain
        if isinstance(plain, list) and all(isinstance(name, str) and name for name in plain):
            return list(dict.fromkeys(plain))
        self.refuse(node.at((key,)), f"'{key}' must be a list of names, such as [a, b]")
        return []

    def parts(self, root: Node, key: str) -> dict[str, Any]:
        """Label -> component and options; a list of names has components without options."""
        node = root.child(key)
        if node is None or not isinstance(node.value, dict):
            return {name: {"use": name} for name in self.names(root, key)}
        found = {}
        for label, below in node.value.items():
            plain = below.plain()
            if isinstance(plain, str | None):
                plain = {"use": plain or label}
            if not isinstance(plain, dict):
                self.refuse(root.at((key, label)), f"'{label}' must be a name, or options in braces")
                continue
            if key == "data" and not re.fullmatch(r"[\w.+=-]+", label):
                self.refuse(root.at((key, label)), f"'{label}' names files: letters, digits and . + = - _ alone")
            found[label] = {"use": label, **plain}
        return found

    def metrics(self, root: Node) -> dict[str, Any]:
        """As ``parts``; a metric that is only named may be a score that recipes have under this label."""
        found = self.parts(root, "metrics")
        return {label: label if part == {"use": label} else part for label, part in found.items()}

    def count(self, root: Node, key: str) -> int:
        node = root.child(key)
        plain = node.plain() if node else 1
        if isinstance(plain, int) and not isinstance(plain, bool) and plain >= 1:
            return plain
        self.refuse(root.at((key,)), f"'{key}' must be a whole number, 1 or more")
        return 1

    def overrides(self, node: Node) -> list[str]:
        """``set``, as the command line has it."""
        found = node.child("set")
        plain = found.plain() if found else {}
        if isinstance(plain, dict):
            return [f"{path}={json.dumps(value)}" for path, value in plain.items()]
        self.refuse(node.at(("set",)), "'set' must be a mapping, such as {train.steps: 2000}")
        return []

    def only(self, root: Node) -> list[Only]:
        node = root.child("where")
        if node is None:
            return []
        found = []
        for number, item in enumerate(node.value if isinstance(node.value, list) else [node]):
            place = root.at(("where", number))
            keys = set(item.value) if isinstance(item.value, dict) else set()
            if "set" not in keys or keys - {"model", "data", "set"}:
                self.refuse(place, "write it as {model: NAME, data: NAME, set: {PATH: VALUE}}; model or data may lack")
                continue
            model, data = (str(child.plain()) if (child := item.child(key)) else "" for key in ("model", "data"))
            self._known(root, item, {"model": model, "data": data})
            found.append(Only(self.beside(model) if model else "", data, self.overrides(item)))
        return found

    def _known(self, root: Node, item: Node, named: dict[str, str]) -> None:
        """Refuses an exception for what the table has not."""
        data = root.child("data")
        there = {"model": self.names(root, "models"), "data": list(self.parts(root, "data")) if data else []}
        for key, name in named.items():
            if name and name not in there[key]:
                self.refuse(item.at((key,)), f"the table has no {key} '{name}'{did_you_mean(name, there[key])}")


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


def find_table(name: str, registry: Registry) -> Path | None:
    """The file of a table: a YAML file with ``models``, else a bundled table of that name; None for anything else."""
    if os.path.isfile(name):
        return Path(name) if name.endswith((".yaml", ".yml")) and _has_models(Path(name)) else None
    entry = registry.find_table(name.removesuffix(".yaml"))
    return entry.file if entry else None


def tree(path: Path) -> Node:
    """What a file says.

    Raises:
        RequestError: if it cannot be read.
    """
    return read(_content(path), str(path))


def _has_models(path: Path) -> bool:
    """Whether a file is meant as a table; one that cannot be read is none, and is refused as a recipe."""
    try:
        return b"models" in _content(path) and tree(path).child("models") is not None
    except RequestError:
        return False


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from None
