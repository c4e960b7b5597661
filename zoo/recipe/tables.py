"""Which files are tables of recipes, for ``zoo compare``, rather than recipes."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.errors import RequestError
from zoo.recipe.text import MAX_BYTES, Node, read
from zoo.registry import Registry


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
