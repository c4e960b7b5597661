"""Notes who provided the parts of a run, in which versions. No torch."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from zoo.errors import RunError
from zoo.machine.disk import read_text
from zoo.recipe import Recipe
from zoo.registry import LOCAL, Registry

FILE = "plugins.json"


def provenance(recipe: Recipe, registry: Registry) -> dict[str, Any]:
    """Notes who provided each part of a recipe, and every plugin that was installed."""
    known = ("distribution", "version", "plugin", "target")
    entries = [part.entry for part in recipe.parts()]
    plugins = [
        {"plugin": p.name, "distribution": p.distribution, "version": p.version, "state": p.state}
        for p in registry.plugins
    ]
    parts = {f"{entry.kind} {entry.id}": {name: getattr(entry, name) for name in known} for entry in entries}
    return {"parts": parts, "plugins": plugins}


@cache
def software() -> Mapping[str, str]:
    """The versions of what everything here runs on."""
    return {"Python": platform.python_version(), "PyTorch": version("torch"), "zoo": version("generative-zoo")}


def other_versions(folder: Path, recipe: Recipe) -> list[str]:
    """A sentence for each package that has another version here than the one a run was built with."""
    try:
        text = read_text(folder, FILE)
        then = {} if text is None else {name: str(part["version"]) for name, part in json.loads(text)["parts"].items()}
    except (RunError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        return [f"{folder / FILE}: cannot be read, so it is unknown which versions this run was built with: {error!r}"]
    moved: dict[str, tuple[str, str, list[str]]] = {}
    for part in recipe.parts():
        entry, known = part.entry, then.get(f"{part.entry.kind} {part.entry.id}")
        if known and known != entry.version and entry.distribution != LOCAL:
            _, _, labels = moved.setdefault(entry.distribution, (known, entry.version, []))
            label = f"{entry.kind} '{entry.name}'"
            labels += [] if label in labels else [label]
    return [
        f"{folder}: was built with {package} {old} ({', '.join(labels)}); {new} is installed here and may compute "
        f"something else. To have it as it was: pip install {package}=={old}"
        for package, (old, new, labels) in moved.items()
    ]
