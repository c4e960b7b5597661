"""Ablations: one recipe with and without something. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from zoo.compare.tables import Row
from zoo.errors import RequestError


def toggled(recipe: str, toggles: Sequence[str]) -> list[Row]:
    """A row for every combination of the values of the toggles; the first has the first value of each.

    Args:
        recipe: a recipe's name or file.
        toggles: ``"path=A,B"``: a path and two values or more; commas within brackets and quotes part none.

    Raises:
        RequestError: for a toggle without two values, or a path that is there twice.
    """
    values = [_values(toggle) for toggle in toggles]
    paths = [path for path, _ in values]
    for path in paths:
        if paths.count(path) > 1:
            raise RequestError(f"--toggle: '{path}' is there twice; write {path}=A,B,C")
    names = _short(paths)
    rows = []
    for chosen in product(*(options for _, options in values)):
        label = ", ".join(f"{name}={value}" for name, value in zip(names, chosen, strict=True))
        rows.append(Row(recipe, label, [f"{path}={value}" for path, value in zip(paths, chosen, strict=True)]))
    return rows


def _values(toggle: str) -> tuple[str, list[str]]:
    path, _, text = toggle.partition("=")
    values = [value.strip() for value in split(text)]
    if not path.strip() or len(values) < 2 or "" in values:
        example = "phases.0.generator.entropy=off,on"
        raise RequestError(f"--toggle {toggle}: write it as PATH=A,B, such as {example}: a path and what it is set to")
    if len(set(values)) < len(values):
        raise RequestError(f"--toggle {toggle}: a value is there twice")
    return path.strip(), values


def split(text: str) -> list[str]:
    """A text at its commas, but for those within brackets or quotes."""
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
    """The ends of paths, as long as it takes to tell them apart."""
    parts = [path.split(".") for path in paths]
    for length in range(1, max(map(len, parts)) + 1):
        names = [".".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            break
    return names
