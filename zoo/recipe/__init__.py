"""Recipes: found by name or file, extended, overridden, resolved, and written back. Never imports torch."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from zoo.errors import Position, Problem, RecipeError, RequestError, closest
from zoo.recipe.resolve import Reader
from zoo.recipe.schema import Recipe
from zoo.recipe.sections import SECTIONS, Top
from zoo.recipe.weights import RUN_RECIPE as RUN_RECIPE
from zoo.recipe.yaml.node import one_line
from zoo.recipe.yaml.read import MAX_BYTES, MAX_DEPTH, Node, read, too_large, write
from zoo.recipe.yaml.tree import assign, merge
from zoo.recipe.yaml.write import write_value
from zoo.registry import LOCAL, Registry, load_registry
from zoo.registry.option_types import shown

__all__ = ["Recipe", "Source", "lasting", "load_recipe", "locate", "registry_for", "write_recipe"]

SUFFIXES = (".yaml", ".yml")
Source = str | Path | Mapping[str, Any]
"""A recipe's file, the name of a bundled recipe, or a recipe's content."""


Overrides = Sequence[str] | Mapping[str, Any]
"""``"path.to.value=value"``, or path -> value in Python."""


def load_recipe(source: Source, overrides: Overrides = (), registry: Registry | None = None) -> Recipe:
    """A recipe, resolved against the installed plugins.

    Args:
        source: a YAML file or a run's directory; if there is none of that name, a bundled recipe (``avae``,
            ``avae.yaml``); or a mapping with a recipe's content.
        overrides: ``"path.to.value=value"``, later ones win; or a mapping of paths to values.
        registry: the plugins to resolve against; those installed when None.

    Raises:
        RecipeError: with every problem, each with its place.
        RequestError: if there is no such recipe.
    """
    registry = registry or registry_for(source)
    if isinstance(source, Mapping):
        root, path = read(write(source), "<recipe>"), Path()
    else:
        path = locate(source, registry)
        root = _read_quietly(path, quotes=path.suffix in SUFFIXES)
        if root.child("models") and not root.child("slots"):
            message = f"a recipe has no 'models'; this is a table of recipes: zoo compare {path}"
            raise RecipeError([Problem(root.at(("models",)), message)])
    root = _extended(root, path, registry, ())
    return Reader(_overridden(root, overrides), registry.within()).recipe()


def lasting(recipe: Recipe, train_size: int, registry: Registry) -> Recipe:
    """A recipe that trains for so many epochs, in steps, with a training set of so many images; another as it is.

    The batches of all its phases that draw their own count, too: an epoch is a pass over the set.
    """
    if not recipe.train.epochs:
        return recipe
    steps = -(-recipe.train.epochs * train_size // (recipe.train.batch * recipe.turns))
    read = Reader(assign(recipe.source, "train.steps", str(steps)), registry.within()).recipe()
    return replace(read, watch=recipe.watch, evaluate=recipe.evaluate)


def registry_for(source: Source, plugins: Sequence[Path] = ()) -> Registry:
    """The plugins that a recipe is resolved against: installed ones, the given files, the user's catalogue.

    A ``registry.yaml`` beside the recipe's file is layered over the bundled catalogue. A file that is no plugin is a
    RequestError.
    """
    beside = None
    if not isinstance(source, str | Path | Mapping):
        raise RequestError(f"a recipe is a file, a name or a mapping, not {type(source).__name__}")
    if not isinstance(source, Mapping) and os.path.isfile(source):
        beside = Path(source).with_name("registry.yaml")
    registry = load_registry(tuple(plugins), beside if beside and beside.is_file() else None)
    for plugin in registry.plugins:
        if plugin.distribution == LOCAL and plugin.state != "ok":
            raise RequestError(f"--plugin {plugin.name}.py is {plugin.state}: {plugin.reason}")
    return registry


def write_recipe(recipe: Recipe) -> str:
    """A resolved recipe as YAML, every default written out; reading it gives the same recipe."""
    return write(recipe.plain())


def locate(name: str | Path, registry: Registry) -> Path:
    """The file of a recipe: a path, a run's directory, else a bundled recipe (with or without ``.yaml``)."""
    path = Path(name)
    path = path / RUN_RECIPE if os.path.isfile(path / RUN_RECIPE) else path
    return path if os.path.isfile(path) else _bundled(str(name), path, registry)


def _bundled(name: str, path: Path, registry: Registry) -> Path:
    """The file of a bundled recipe; ``path`` is where a file of that name would be."""
    bundled = registry.find_recipe(name.removesuffix(".yaml"))
    if bundled:
        return bundled.file
    said = one_line(name)
    if registry.find_recipe(name.removesuffix(".yaml"), "table"):
        raise RequestError(f"'{said}' is a table of recipes, not one; build it with: zoo compare {said}")
    if not name.strip():
        raise RequestError("the name of a recipe is empty; 'zoo list recipe' has the choices")
    if os.path.exists(path):
        raise RequestError(f"{said} is {'a directory' if path.is_dir() else 'no ordinary file'}, not a recipe")
    there = path.parent.glob(f"*{path.suffix}") if os.path.isdir(path.parent) else ()
    near = closest(path.stem, (file.stem for file in there))
    beside = f"; did you mean '{path.with_name(near + path.suffix)}'?" if near else ""
    if name.startswith((".", "/", "~")) or (path.suffix in (".yaml", ".yml") and "/" in name):
        raise RequestError(f"there is no file '{said}'{beside}")
    if path.suffix and beside:
        raise RequestError(f"there is no recipe '{said}'{beside}")
    if "/" in name and os.path.isdir(path.parent):
        raise RequestError(f"there is no run or file '{said}'{beside}")
    nor = f"there is no file '{said}', and " if "/" in name or path.suffix in (".yaml", ".yml") else ""
    raise RequestError(f"{nor}{registry.unknown('recipe', said)}")


def _read_file(path: Path) -> Node:
    try:
        with path.open("rb") as file:
            content, size = file.read(MAX_BYTES + 1), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from None
    if len(content) > MAX_BYTES:
        raise RecipeError([Problem(Position(str(path), 1, 1), too_large(max(size, len(content))))])
    return read(content, str(path))


def _read_quietly(path: Path, *, quotes: bool) -> Node:
    """The recipe in a file. Unless it ``quotes``, all that is told of a file which is no recipe is that.

    A recipe or a table of somebody else's may name any file.
    """
    try:
        base = _read_file(path)
    except RecipeError:
        if quotes:
            raise
        base = Node(None, Position(""))
    known = ("extends", *SECTIONS, *(key.name for key in fields(Top)))
    if not (quotes or (isinstance(base.value, dict) and all(closest(key, known) for key in base.value))):
        raise RequestError(f"{one_line(str(path))} is no recipe")
    return base


def _overridden(root: Node, overrides: Overrides) -> Node:
    """``root`` with every ``path=value`` set; problems point at the arguments."""
    if isinstance(overrides, str):
        raise RequestError(f"overrides is text, {overrides!r}; give a list, [{overrides!r}], or a dict")
    if isinstance(overrides, Mapping):
        overrides = [f"{path}={write_value(value)}" for path, value in overrides.items()]
    problems: list[Problem] = []
    for override in _uses_first(overrides):
        place = f"--set {one_line(override)}"
        path, equals, value = override.partition("=")
        if not equals:
            problems.append(Problem(Position(place), "write it as path=value, such as slots.encoder.width=32"))
        elif path.partition(".")[0].strip(" '\"") == "extends":
            message = "what a recipe extends cannot be set; build that recipe, or write a file that extends it"
            problems.append(Problem(Position(place), message))
        else:
            try:
                root = assign(root, path.strip(), value, source=place)
            except RecipeError as error:
                problems += error.problems
    if problems:
        raise RecipeError(problems)
    return root


def _uses_first(overrides: Iterable[str]) -> list[str]:
    """Each ``X.use=...`` before what is said of X's options, which it would undo; else in their order."""
    ordered: list[str] = []
    for override in overrides:
        path = override.partition("=")[0].strip()
        paths = (other.partition("=")[0].strip() for other in ordered)
        options = [at for at, one in enumerate(paths) if one != path and one.startswith(path.removesuffix("use"))]
        ordered.insert(options[0] if options and path.endswith(".use") else len(ordered), override)
    return ordered


def _extended(root: Node, file: Path, registry: Registry, seen: tuple[str, ...]) -> Node:
    """``root``, of a file, over the recipe it extends, and that over its own, down to one that extends nothing."""
    extends = root.get(("extends",))
    if extends is None:
        return root
    place = root.at(("extends",))
    if not isinstance(extends.value, str):
        what = f"'extends' must be the name of a recipe or a file, not {shown(extends.plain())}"
        raise RecipeError([Problem(extends.position, what)])
    beside = file.parent / extends.value
    try:
        own = registry.within(registry.owner(file))
        path = beside if os.path.isfile(beside) else _bundled(extends.value, beside, own)
        ours = path is not beside or path.resolve().is_relative_to(file.parent.resolve())
        base = _read_quietly(path, quotes=ours and path.suffix in SUFFIXES)
    except RecipeError:
        raise
    except RequestError as error:
        raise RecipeError([Problem(place, f"extends: {error}")]) from None
    here = str(path.resolve())
    if here in seen:
        circle = " -> ".join(Path(p).name for p in (*seen, here))
        raise RecipeError([Problem(place, f"recipes extend each other in a circle: {circle}")])
    if len(seen) == MAX_DEPTH:
        raise RecipeError([Problem(place, f"recipes extend each other more than {MAX_DEPTH} deep")])
    return merge(_extended(base, path, registry, (*seen, here)), root.without("extends"))
