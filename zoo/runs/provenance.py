"""Notes who provided the parts of a run, in which versions. No torch."""

from __future__ import annotations

import json
import platform
import re
import shlex
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.metadata import version
from os.path import exists, isdir, isfile
from pathlib import Path
from typing import Any

from zoo.errors import Damaged, RecipeError, RequestError, RunError, closest
from zoo.machine.disk import inside, read_text
from zoo.recipe import RUN_RECIPE, Overrides, Recipe, Source, load_recipe, registry_for
from zoo.recipe.provided import FILE, absent, files_of, noted
from zoo.recipe.yaml.read import read
from zoo.registry import LOCAL, Registry
from zoo.runs.manifest import seal_holds
from zoo.runs.run import steps_of


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
    except (Damaged, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
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


def resolved(source: Source, overrides: Overrides = (), plugins: Sequence[Path] = ()) -> tuple[Recipe, Registry]:
    """A recipe, resolved, and the registry that it was resolved against.

    Raises:
        RequestError: if it is a run's, and plugins that it was built with are not here; says how to give them.
        RecipeError: as ``load_recipe``.
        RunError: if it is a run's, and not as it was written.
    """
    folder = run_of(source)
    file = own_recipe(folder) if folder and isdir(str(source)) else source
    if folder:
        inside(folder, RUN_RECIPE)
    registry = registry_for({} if folder else file, plugins)  # a run has no say in which plugins there are
    try:
        return load_recipe(file, overrides, registry), registry
    except RecipeError as error:
        if folder and (cures := absent(folder, registry)):
            raise RequestError(f"{folder}: was built with plugins that are not here: {'; '.join(cures)}") from None
        if folder and not noted(folder)["parts"]:
            cure = "give their files again, --plugin FILE, or install their packages"
            lost = f"{folder / FILE}: which plugins this run was built with is gone or damaged"
            raise RequestError(f"{lost}; {cure}:\n{error}") from None
        raise


def own_recipe(folder: Path) -> Path:
    """Finds the file of a run's recipe, once it is known to be the one that was written.

    No run is a RequestError, no recipe a RecipeError; one changed, not whole, or that lies elsewhere, a RunError.
    """
    path = folder / RUN_RECIPE
    try:
        text = read_text(folder, RUN_RECIPE)
    except Damaged as error:
        raise Damaged(f"{error}. {_recipe_again(folder)}") from None
    if text is None and steps_of(folder, "json"):
        raise Damaged(f"{path}: is gone. {_recipe_again(folder)}")
    if text is None:
        raise RequestError(f"{folder}: is not a run ({_no_run(folder)})")
    if not seal_holds(text):
        raise Damaged(
            f"{path}: is not as it was written: damaged, or edited. {_recipe_again(folder, text)}. "
            "If it was edited and is meant so, let its last line be '# edited'"
        )
    if read(text, str(path)).child("extends"):
        raise RunError(f"{path}: extends another recipe; that of a run is whole, as zoo build writes it")
    return path


def _no_run(folder: Path) -> str:
    """Says why a path is no run, and what was meant."""
    if folder.is_file() or (not folder.exists() and registry_for({}).find_recipe(str(folder))):
        return f"a run is the directory that a build writes: zoo build {folder}"
    beside = () if folder.exists() else (other.name for other in folder.parent.glob("*"))
    near = closest(folder.name, beside)
    return f"it has no recipe.yaml; did you mean '{folder.with_name(near)}'?" if near else "it has no recipe.yaml"


def _recipe_again(folder: Path, text: str = "") -> str:
    """Advice on a run whose recipe is lost."""
    name = match[1] if (match := re.search(r"^name: ([\w.-]+)$", text, re.MULTILINE)) else folder.absolute().name
    known = name if registry_for({}).find_recipe(name) else "RECIPE"
    command = build_again(folder, f"{name}.yaml" if isfile(f"{name}.yaml") else known)
    return f"Bring it back from a copy, or go on from the recipe that it was built from: {command}"


def build_again(folder: Path, recipe: str = "") -> str:
    """The command that goes on with a run, or makes again what it lost; from a ``recipe`` where its own is lost."""
    files = [f" --plugin {shlex.quote(file)}" for file in files_of(folder).values()]
    what = f"{shlex.quote(recipe)} --out {shlex.quote(str(folder))}" if recipe else shlex.quote(str(folder))
    return f"zoo build {what}{''.join(files)}"
