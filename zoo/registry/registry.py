"""The registry: every plugin, what they provide together, and what a name means."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path

from zoo import api
from zoo.registry import catalogue as catalogues
from zoo.registry import discovery, names
from zoo.registry.catalogue import Catalogue
from zoo.registry.discovery import Plugin
from zoo.registry.entries import Entry, RecipeEntry


class Registry:
    """What is installed. Made by ``load_registry``.

    Args:
        plugins: every plugin, however it fared.
        pins: the user's choice of provider by ``kind/name`` or ``name``.
        user_catalogue: the user's registry.yaml, read again (with the bundled one) for unknown names only.
    """

    def __init__(self, plugins: Sequence[Plugin], pins: dict[str, str], user_catalogue: Path | None = None) -> None:
        ordered = sorted(plugins, key=lambda plugin: (names.order(plugin.distribution), plugin.name))
        self.plugins: tuple[Plugin, ...] = tuple(_without_duplicates(ordered))
        self._pins = pins
        self._user_catalogue = user_catalogue
        found = [
            Entry(component, plugin.distribution, plugin.version, plugin.name)
            for plugin in self.plugins
            for component in plugin.components
        ]
        self._entries = tuple(sorted(found, key=lambda e: (api.KINDS.index(e.kind), e.name)))
        recipes = [
            RecipeEntry(recipe, plugin.distribution, plugin.version, plugin.name)
            for plugin in self.plugins
            for recipe in plugin.recipes
        ]
        self._recipes = tuple(sorted(recipes, key=lambda recipe: recipe.name))

    @cached_property
    def catalogue(self) -> Catalogue:
        """The packages known to exist, the user's layer included."""
        return catalogues.whole(self._user_catalogue)

    def components(self, kind: str | None = None) -> tuple[Entry, ...]:
        """Every component, or those of one kind; by kind in the order of ``api.KINDS``, then by name."""
        return tuple(entry for entry in self._entries if kind is None or entry.kind == kind)

    def recipes(self) -> tuple[RecipeEntry, ...]:
        """Every bundled recipe, by name."""
        return self._recipes

    def find(self, kind: str, name: str) -> Entry:
        """The component that ``[distribution/]name`` means.

        Raises:
            UnknownName: nothing answers to it; the message says what to do.
            AmbiguousName: several packages provide it and nothing says which is meant.
        """
        distribution, bare = names.split(name)
        matching = [e for e in self._entries if (e.kind, e.name) == (kind, bare)]
        matching = [e for e in matching if not distribution or e.distribution == distribution]
        if not matching:
            raise self._unknown(kind, name)
        return matching[0] if distribution else names.choose(matching, kind, bare, self._pins)

    def find_recipe(self, name: str) -> RecipeEntry | None:
        """The bundled recipe that ``[distribution/]name`` means, if there is one."""
        distribution, bare = names.split(name)
        matching = [r for r in self._recipes if r.name == bare]
        matching = [r for r in matching if not distribution or r.distribution == distribution]
        if not matching:
            return None
        return matching[0] if distribution else names.choose(matching, "recipe", bare, self._pins)

    def unknown_recipe(self, name: str) -> names.UnknownName:
        """The exception to raise where ``find_recipe`` answered None and there is no file either."""
        return self._unknown("recipe", name)

    def _unknown(self, kind: str, name: str) -> names.UnknownName:
        kinds: dict[str, set[str]] = {"recipe": {recipe.name for recipe in self._recipes}}
        for entry in self._entries:
            kinds.setdefault(entry.kind, set()).add(entry.name)
        return names.unknown(kind, name, kinds, self.plugins, self.catalogue)


def _without_duplicates(plugins: Sequence[Plugin]) -> Iterator[Plugin]:
    """Within one distribution the first to claim a name has it; the second is refused, both are named."""
    owners: dict[tuple[str, str, str], str] = {}
    for plugin in plugins:
        faults: list[str] = []
        components = tuple(c for c in plugin.components if _claim(owners, plugin, c.kind, c.name, faults))
        recipes = tuple(r for r in plugin.recipes if _claim(owners, plugin, "recipe", r.name, faults))
        if faults:
            reason = "; ".join(filter(None, [plugin.reason, *faults]))
            plugin = replace(plugin, state="broken", reason=reason, components=components, recipes=recipes)
        yield plugin


def _claim(owners: dict[tuple[str, str, str], str], plugin: Plugin, kind: str, name: str, faults: list[str]) -> bool:
    owner = owners.get((plugin.distribution, kind, name))
    if owner is None:
        owners[plugin.distribution, kind, name] = plugin.name
        return True
    whose = f"plugin '{owner}' of {plugin.distribution} provides it already"
    faults.append(f"{kind} '{name}' of plugin '{plugin.name}' is refused: {whose}")
    return False


def load_registry(plugin_files: Sequence[Path] = (), user_catalogue: Path | None = None) -> Registry:
    """Every installed plugin and the given ``--plugin`` files; cached for equal arguments.

    Raises:
        RecipeError: the user's catalogue is wrong.
    """
    files = tuple(Path(file).resolve() for file in plugin_files)
    return _load(files, Path(user_catalogue).resolve() if user_catalogue else None)


def clear_cache() -> None:
    """Forget every registry: the next ``load_registry`` looks again."""
    _load.cache_clear()


@lru_cache(maxsize=8)
def _load(plugin_files: tuple[Path, ...], user_catalogue: Path | None) -> Registry:
    found = [*discovery.installed(), *map(discovery.local, plugin_files)]
    policy = catalogues.policy({item.plugin.distribution for item in found}, user_catalogue)
    return Registry(list(discovery.load(found, policy)), dict(policy.pins), user_catalogue)
