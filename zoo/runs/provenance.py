"""Notes who provided the parts of a run, in which versions. No torch."""

from __future__ import annotations

import json
import platform
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from os.path import exists, isdir, isfile
from pathlib import Path
from typing import Any

from zoo.errors import RecipeError, RequestError, RunError
from zoo.machine.disk import read_text
from zoo.recipe import RUN_RECIPE, Recipe, Source, load_recipe, registry_for
from zoo.registry import LOCAL, Registry
from zoo.runs.run import own_recipe

FILE = "plugins.json"


def provenance(recipe: Recipe, registry: Registry) -> dict[str, Any]:
    """Notes who provided each part of a recipe, and every plugin that was installed."""
    known = ("distribution", "version", "plugin", "target")
    entries = [part.entry for part in recipe.parts()]
    plugins = [
        {"plugin": p.name, "distribution": p.distribution, "version": p.version, "state": p.state}
        | ({"file": str(p.file.resolve())} if p.distribution == LOCAL and p.file else {})
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


def run_of(source: Source) -> Path | None:
    """The run that a recipe's source is, by its directory or its ``recipe.yaml``; None for any other recipe."""
    if not isinstance(source, str | Path):
        return None
    path = Path(source)
    folder = path.parent if path.name == RUN_RECIPE else path
    is_run = isfile(folder / RUN_RECIPE) and any(exists(folder / name) for name in ("state", FILE))  # of any text
    return folder if is_run else None


def resolved(source: Source, overrides: Sequence[str] = (), plugins: Sequence[Path] = ()) -> tuple[Recipe, Registry]:
    """A recipe, resolved, and the registry that it was resolved against.

    Raises:
        RequestError: if it is a run's, and plugins that it was built with are not here; says how to give them.
        RecipeError: as ``load_recipe``.
        RunError: if it is a run's, and not as it was written.
    """
    folder = run_of(source)
    file = own_recipe(folder) if folder and isdir(str(source)) else source
    registry = registry_for(file, plugins)
    try:
        return load_recipe(file, overrides, registry), registry
    except RecipeError:
        if folder and (cures := _absent(folder, registry)):
            raise RequestError(f"{folder}: was built with plugins that are not here: {'; '.join(cures)}") from None
        raise


def build_again(folder: Path) -> str:
    """The command that goes on with a run, or makes again what it lost."""
    files = [f" --plugin {shlex.quote(file)}" for file in _files(folder).values()]
    return f"zoo build {shlex.quote(str(folder))}{''.join(files)}"


def _plugins(folder: Path) -> dict[str, Any]:
    """``plugins.json`` as far as it can be read: it gives advice."""
    try:
        known = json.loads(read_text(folder, FILE) or "{}")
        return {"parts": list(known["parts"].values()), "plugins": list(known["plugins"])}
    except (RunError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {"parts": [], "plugins": []}


def _files(folder: Path) -> dict[str, str]:
    """The files that a run was given with ``--plugin`` and that some part of it is of, by plugin."""
    known = _plugins(folder)
    used = {part.get("plugin") for part in known["parts"] if part.get("distribution") == LOCAL}
    return {p["plugin"]: p.get("file", f"{p['plugin']}.py") for p in known["plugins"] if p.get("plugin") in used}


def _absent(folder: Path, registry: Registry) -> list[str]:
    """For each plugin that a run's parts are of and that is not here, how to have it."""
    here = {(p.distribution, p.name if p.distribution == LOCAL else "") for p in registry.plugins}
    cures = {}
    files = _files(folder)
    for part in _plugins(folder)["parts"]:
        distribution, name = part.get("distribution"), part.get("plugin")
        if distribution == LOCAL and (LOCAL, name) not in here:
            cures[name] = f"give it again, --plugin {shlex.quote(files.get(name, f'{name}.py'))}"
        elif distribution != LOCAL and (distribution, "") not in here:
            cures[distribution] = f"pip install {distribution}=={part.get('version')}"
    return list(cures.values())
