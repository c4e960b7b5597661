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
import re
from pathlib import Path
from typing import Any

from zoo.compare.request import Only, Table
from zoo.errors import Position, Problem, RecipeError, did_you_mean
from zoo.recipe.tables import tree
from zoo.recipe.text import Node

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
