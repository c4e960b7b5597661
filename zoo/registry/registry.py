"""The registry: every plugin, what they provide together, and what a name means."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import replace
from functools import cached_property, lru_cache
from pathlib import Path, PurePath

from zoo import api
from zoo.errors import RequestError, did_you_mean
from zoo.registry import catalogue as catalogues
from zoo.registry import discovery, loading, names
from zoo.registry.catalogue import Catalogue
from zoo.registry.discovery import FIRST_PARTY, Plugin
from zoo.registry.entries import Entry, Named, RecipeEntry


class Registry:
    """Everything that is installed. Made by ``load_registry``.

    Args:
        pins: the user's choice of provider by ``kind/name`` or ``name``.
        layers: the user's catalogues, read again (with the bundled one) for unknown names only.
    """

    def __init__(self, plugins: Sequence[Plugin], pins: dict[str, str], layers: Sequence[Path] = ()) -> None:
        ordered = sorted(plugins, key=lambda plugin: (names.order(plugin.distribution), plugin.name))
        self.plugins: tuple[Plugin, ...] = tuple(_without_duplicates(ordered))
        self._pins = pins
        self._layers = tuple(layers)
        self._own: tuple[str, ...] = ()
        whose = [(plugin, (plugin.distribution, plugin.version, plugin.name)) for plugin in self.plugins]
        parts = [Entry(component, *names) for plugin, names in whose for component in plugin.components]
        self._entries = tuple(sorted(parts, key=lambda entry: (api.KINDS.index(entry.kind), entry.name)))
        self._of_kind = {kind: tuple(part for part in self._entries if part.kind == kind) for kind in api.KINDS}
        shipped = [RecipeEntry(recipe, *names) for plugin, names in whose for recipe in plugin.recipes]
        self._shipped = tuple(sorted(shipped, key=lambda entry: entry.name))

    @cached_property
    def catalogue(self) -> Catalogue:
        """The packages known to exist, the user's layers included."""
        return catalogues.whole(self._layers)

    def components(self, kind: str | None = None) -> tuple[Entry, ...]:
        """Every component, or those of one kind; by kind in the order of ``api.KINDS``, then by name."""
        return self._entries if kind is None else self._of_kind.get(kind, ())

    def recipes(self, kind: str = "recipe") -> tuple[RecipeEntry, ...]:
        """Every bundled recipe, or ``table`` of recipes, by name."""
        return tuple(entry for entry in self._shipped if entry.kind == kind)

    def listed(self, kind: str = "") -> list[dict[str, str]]:
        """What there is, or that of one kind, with name, id, package and summary; components, recipes, tables."""
        entries: list[Named] = [*self._entries, *self.recipes(), *self.recipes("table")]
        asked, kinds = kind.removesuffix("s"), (*api.KINDS, "recipe", "table")
        if asked and asked not in kinds:
            raise RequestError(f"there is no kind '{kind}'{did_you_mean(asked, kinds)}")
        return [entry.row() for entry in entries if asked in ("", entry.kind)]

    def find(self, kind: str, name: str) -> Entry:
        """The component that ``[distribution/]name`` means; UnknownName says what to do, AmbiguousName who has it."""
        entry = self._meant(self.components(kind), kind, name)
        if entry is None:
            raise self.unknown(kind, name)
        return entry

    def find_recipe(self, name: str, kind: str = "recipe") -> RecipeEntry | None:
        """The bundled recipe, or ``table`` of recipes, that ``[distribution/]name`` means, if there is one."""
        return self._meant(self.recipes(kind), "recipe", name)

    def _meant(self, entries: Sequence[names.N], kind: str, name: str) -> names.N | None:
        distribution, bare = names.split(name)
        matching = [e for e in entries if e.name == bare and distribution in ("", e.distribution)]
        if distribution or not matching:
            return matching[0] if matching else None
        return names.choose(matching, kind, bare, self._pins, self.plugins, self._own)

    def within(self, *packages: str) -> Registry:
        """The registry as recipes and parts of some packages see it: a bare name means their own part first.

        So neither a release of zoo nor another package changes what they are made of.
        """
        inside = copy(self)
        inside._own = tuple(package for package in packages if package not in ("", FIRST_PARTY))
        return inside

    def owner(self, file: PurePath) -> str:
        """The package that ships a file as a recipe or a table; empty for a file of the user's."""
        for entry in self._shipped:
            if PurePath(entry.part.path.partition(":")[2]).name == file.name:
                with suppress(RequestError):
                    if os.path.samefile(entry.file, file):
                        return entry.distribution
        return ""

    def collisions(self) -> list[names.Collision]:
        """Names that several packages provide, and what each means bare."""
        shipped = [("recipe", entry) for entry in sorted(self._shipped, key=lambda entry: entry.kind)]
        return names.collisions([*((e.kind, e) for e in self._entries), *shipped], self._pins)

    def unknown(self, kind: str, name: str) -> names.UnknownName:
        """The exception for a name that nothing of a kind answers to: it says which package has it, and the cure."""
        return names.unknown(kind, name, (*self.recipes(), *self._entries), self.plugins, self.catalogue)


def _without_duplicates(plugins: Sequence[Plugin]) -> Iterator[Plugin]:
    """Within one distribution the first to claim a name has it; the second is refused, both are named."""
    owners: dict[tuple[str, str, str], str] = {}
    for plugin in plugins:
        faults: list[str] = []

        def claims(kind: str, name: str, plugin: Plugin = plugin, faults: list[str] = faults) -> bool:
            key = (plugin.distribution, kind, name)
            if key in owners:
                whose = f"plugin '{owners[key]}' of {plugin.distribution} provides it already"
                faults.append(f"{kind} '{name}' of plugin '{plugin.name}' is refused: {whose}")
                return False
            owners[key] = plugin.name
            return True

        components = tuple(part for part in plugin.components if claims(part.kind, part.name))
        recipes = tuple(recipe for recipe in plugin.recipes if claims("recipe", recipe.name))
        yield replace(plugin.failed("broken", *faults), components=components, recipes=recipes) if faults else plugin


def load_registry(plugin_files: Sequence[Path] = (), user_catalogue: Path | None = None) -> Registry:
    """Every installed plugin and the given ``--plugin`` files; cached for equal arguments and environment.

    The user's catalogue is layered over the bundled one and the settings; if one is wrong, that is a RecipeError.
    """
    files = tuple(Path(file).resolve() for file in plugin_files)
    settings = catalogues.settings_file()
    layers = (settings,) if os.path.isfile(settings) else ()  # False, too, where it may not be looked for
    if user_catalogue:
        layers = (*layers, Path(user_catalogue).resolve())
    return _load(files, layers, catalogues.chosen())


def clear_cache() -> None:
    """Forgets every registry: the next ``load_registry`` looks again."""
    _load.cache_clear()


@lru_cache(maxsize=8)
def _load(plugin_files: tuple[Path, ...], layers: tuple[Path, ...], only: tuple[str, ...] | None) -> Registry:
    found = [*discovery.installed(), *map(discovery.local, plugin_files)]
    _warn_of_unknown(only or (), found)
    policy = catalogues.policy({plugin.distribution for plugin in found}, layers, only)
    return Registry(list(loading.load(found, policy.verdict)), dict(policy.pins), layers)


_warned: set[str] = set()


def _warn_of_unknown(only: Sequence[str], found: Sequence[Plugin]) -> None:
    """Warns once of a name in ``ZOO_PLUGINS`` that nothing answers to; the variable may serve several machines."""
    for name in only:
        if name not in _warned and not any(plugin.answers_to(name) for plugin in found):
            _warned.add(name)
            known = (part for plugin in found for part in (plugin.name, plugin.distribution))
            near = did_you_mean(name, known, listed=False)
            print(f"zoo: warning: ZOO_PLUGINS names '{name}', which is not installed{near}", file=sys.stderr)
