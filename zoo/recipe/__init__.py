"""Recipes: found by name or file, extended, overridden, resolved, and written back. Never imports torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import Position, Problem, RecipeError, RequestError
from zoo.recipe.resolve import resolve
from zoo.recipe.schema import Recipe
from zoo.recipe.text import Node, read, write
from zoo.recipe.tree import assign, merge
from zoo.registry import LOCAL, Registry, load_registry

__all__ = ["Recipe", "Source", "load_recipe", "locate", "registry_for", "write_recipe"]

Source = str | Path | Mapping[str, Any]
"""What a recipe can be given as: a file, the name of a bundled recipe, or its content."""


def load_recipe(source: Source, overrides: Sequence[str] = (), registry: Registry | None = None) -> Recipe:
    """A recipe, resolved against the installed plugins.

    Args:
        source: a YAML file; if there is none of that name, a bundled recipe (``avae``, ``avae.yaml``);
            or a mapping with a recipe's content.
        overrides: ``"path.to.value=value"``, later ones win.
        registry: the plugins to resolve against; those installed when None.

    Raises:
        RecipeError: with every problem, each with its place.
        RequestError: if there is no such recipe.
    """
    registry = registry or registry_for(source)
    root, folder = _open(source, registry)
    root = _extended(root, folder, registry, ())
    for override in overrides:
        path, equals, value = override.partition("=")
        if not equals:
            message = "write it as path=value, such as slots.encoder.width=32"
            raise RecipeError([Problem(Position(f"--set {override}"), message)])
        root = assign(root, path, value, is_component)
    return resolve(root, registry)


def registry_for(source: Source, plugins: Sequence[Path] = ()) -> Registry:
    """The plugins that a recipe is resolved against: installed ones, the given files, the user's catalogue.

    Args:
        source: the recipe; a ``registry.yaml`` beside its file is layered over the bundled catalogue.
        plugins: Python files with plugins of the user's own.

    Raises:
        RequestError: if one of those files is no plugin.
    """
    beside = None if isinstance(source, Mapping) or not Path(source).is_file() else Path(source).parent
    registry = load_registry(tuple(plugins), _catalogue_beside(beside) if beside else None)
    for plugin in registry.plugins:
        if plugin.distribution == LOCAL and plugin.state != "ok":
            raise RequestError(f"--plugin {plugin.name}.py is {plugin.state}: {plugin.reason}")
    return registry


def write_recipe(recipe: Recipe) -> str:
    """A resolved recipe as YAML, every default written out; reading it gives the same recipe."""
    return write(recipe.plain())


def is_component(path: tuple[str | int, ...]) -> bool:
    """Whether a component's name may stand at a path, so that ``NAME`` means ``{use: NAME}``."""
    if len(path) == 1:
        return path[0] == "data"
    if len(path) == 2:
        return path[0] in ("slots", "values", "augment", "evaluate", "watch") or path == ("train", "optimizer")
    return len(path) == 3 and path[:2] == ("train", "optimizers")


def locate(name: str | Path, registry: Registry) -> Path:
    """The file of a recipe: a path, else a bundled recipe of that name (with or without ``.yaml``)."""
    path = Path(name)
    if path.is_file():
        return path
    bundled = registry.find_recipe(str(name).removesuffix(".yaml"))
    if bundled:
        return bundled.file
    if path.is_dir():
        raise RequestError(f"{name} is a directory, not a recipe")
    raise RequestError(str(registry.unknown_recipe(str(name))))


def _open(source: Source, registry: Registry) -> tuple[Node, Path]:
    if isinstance(source, Mapping):
        return read(write(source), "<recipe>"), Path()
    path = locate(source, registry)
    return _read_file(path), path.parent


def _read_file(path: Path) -> Node:
    try:
        return read(path.read_bytes(), str(path))
    except OSError as error:
        raise RequestError(f"{path}: cannot be read: {error.strerror}") from None


def _catalogue_beside(folder: Path) -> Path | None:
    path = folder / "registry.yaml"
    return path if path.is_file() else None


def _extended(root: Node, folder: Path, registry: Registry, seen: tuple[str, ...]) -> Node:
    """``root`` over the recipe it extends, and that over its own, down to one that extends nothing."""
    extends = root.get(("extends",))
    if extends is None:
        return root
    if not isinstance(extends.value, str):
        raise RecipeError([Problem(extends.position, "'extends' must be the name of a recipe or a file")])
    here = folder / extends.value
    path = here if here.is_file() else _base(extends.value, root.at(("extends",)), registry)
    if str(path.resolve()) in seen:
        circle = " -> ".join(Path(p).name for p in (*seen, str(path.resolve())))
        raise RecipeError([Problem(root.at(("extends",)), f"recipes extend each other in a circle: {circle}")])
    base = _extended(_read_file(path), path.parent, registry, (*seen, str(path.resolve())))
    return merge(base, root.without("extends"), is_component)


def _base(name: str, position: Position, registry: Registry) -> Path:
    try:
        return locate(name, registry)
    except RecipeError:
        raise
    except RequestError as error:
        raise RecipeError([Problem(position, f"extends: {error}")]) from None
