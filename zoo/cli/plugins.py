"""``zoo plugins``: how every plugin fared; ``disable`` and ``enable`` leave plugins out and take them back.

Listing tries every target, too, of every package but the first party. Disabling and enabling edit the list
``disabled`` of the user's settings and import no plugin, so they work while one is broken or never ends.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from traceback import format_exception
from typing import Any

from zoo.cli.settings import disabled_names, set_disabled
from zoo.columns import json_text, printable, table
from zoo.errors import RequestError, ZooError
from zoo.registry import FIRST_PARTY, Entry, Plugin, RecipeEntry, Registry, clear_cache, load_registry
from zoo.registry.catalogue import chosen, policy, settings_file
from zoo.registry.discovery import canonical, installed
from zoo.registry.isolation import Failure, attempt
from zoo.registry.names import not_installed


def plugins(arguments: argparse.Namespace) -> int:
    """``zoo plugins [disable|enable NAME...] [--traceback [NAME]]``."""
    if arguments.action:
        return _switch(arguments)
    if arguments.names:
        raise RequestError(f"'{arguments.names[0]}' follows no 'disable' or 'enable'")
    registry, name = load_registry(tuple(arguments.plugin)), arguments.traceback or ""
    meant = [plugin for plugin in registry.plugins if not name or plugin.answers_to(name)]
    if not meant:
        raise RequestError(not_installed(name, registry.plugins))
    shown = [_examined(plugin, registry) for plugin in meant]
    traced = arguments.traceback is not None or bool(os.environ.get("ZOO_DEBUG"))
    if arguments.json:
        print(json_text([_described(plugin, registry, traced) for plugin in shown]))
        return 0
    print(table([["plugin", "package", "state", "reason"], *(row for plugin in shown for row in _rows(plugin))]))
    if (collisions := registry.collisions()) and not name:
        print(printable("\n" + "\n".join(map(str, collisions))))
    if traced:
        traces = (f"\n{plugin.id} {plugin.version}\n{plugin.traceback}" for plugin in shown if plugin.traceback)
        print(printable("".join(traces)))
    return 0


def _described(plugin: Plugin, registry: Registry, traced: bool) -> dict[str, Any]:
    described = {key: getattr(plugin, key) for key in ("name", "distribution", "version", "state", "reason")}
    described["note"] = "; ".join(plugin.notes)
    described["collisions"] = [str(c) for c in registry.collisions() if plugin.distribution in c.providers]
    return {**described, "traceback": plugin.traceback} if traced else described


def _rows(plugin: Plugin) -> Iterator[tuple[str, ...]]:
    """Rows of the table: a line for each thing there is to say, folded where a terminal is narrow."""
    width = max(40, shutil.get_terminal_size().columns - 60) if sys.stdout.isatty() else 10_000
    lines = [line for text in (*plugin.reasons, *plugin.notes) for line in textwrap.wrap(text, width)]
    yield plugin.name, f"{plugin.distribution} {plugin.version}", plugin.state, *(lines[:1] or [""])
    yield from (("", "", "", line) for line in lines[1:])


# -- targets -------------------------------------------------------------------------------------------------


def _examined(plugin: Plugin, registry: Registry) -> Plugin:
    """The plugin, with what is wrong with each of its parts and recipes."""
    if plugin.distribution == FIRST_PARTY:
        return plugin
    whose = (plugin.distribution, plugin.name)
    uses = [use for e in registry.components() if (e.distribution, e.plugin) == whose for use in _uses(e)]
    uses += [_reading(r) for r in registry.recipes() if (r.distribution, r.plugin) == whose]
    for label, use in uses:
        fault = attempt("using it", use)
        if isinstance(fault, Failure):
            plugin = plugin.failed("broken", _fault(label, fault))
    return plugin


def _uses(entry: Entry) -> Iterator[tuple[str, Callable[[], object]]]:
    """The target, and each variant's: its parameters are read, then it is imported."""
    label = f"{entry.kind} '{entry.name}'"
    yield label, entry.check
    for value in entry.part.variants:
        yield f"{label} with {entry.part.by} '{value}'", entry.variant(value).check


def _reading(entry: RecipeEntry) -> tuple[str, Callable[[], object]]:
    from zoo.recipe.yaml.read import read

    return f"recipe '{entry.name}'", lambda: read(entry.file.read_bytes(), str(entry.file))


def _fault(label: str, fault: Failure) -> Failure:
    """A fault of a part. Of what zoo itself says of it, the sentence, and the traceback of what made it say so."""
    error = fault.error
    if isinstance(error, ZooError):
        trace = "".join(format_exception(error.__cause__)) if error.__cause__ else ""
        fault = Failure("; ".join(getattr(error, "cause", str(error)).splitlines()), trace, error)
    return replace(fault, sentence=f"{label}: {fault.sentence}")


# -- disable, enable -----------------------------------------------------------------------------------------


def _switch(arguments: argparse.Namespace) -> int:
    """Disables or enables plugins; 1 where something else keeps one disabled that should be enabled."""
    if not arguments.names:
        raise RequestError(f"name what to {arguments.action}: a plugin, a package or PACKAGE/PLUGIN")
    there, file = installed(), settings_file()
    change = _disable if arguments.action == "disable" else _enable
    before = disabled_names(file)
    after, said = before, []
    for name in arguments.names:
        after, sentence = change(name, after, there)
        said.append(f"{sentence} in {file}")
    if after != before:
        set_disabled(file, after)
        clear_cache()
    still = list(_still(arguments.names, there, file)) if arguments.action == "enable" else []
    if arguments.json:
        print(json_text({"file": str(file), "disabled": list(after), "said": [*said, *still]}))
    else:
        print("\n".join([*said, *still]))
    return 1 if still else 0


def _disable(name: str, names: tuple[str, ...], there: Sequence[Plugin]) -> tuple[tuple[str, ...], str]:
    """The list with what ``name`` means, and what to say."""
    target = _target(name, there)
    covering = [n for n in names if all(plugin.answers_to(n) for plugin in there if plugin.answers_to(target))]
    if covering:
        by = "" if target in covering else f" with '{covering[0]}'"
        return names, f"{target} is disabled already{by}"
    return (*names, target), f"disabled {target}"


def _target(name: str, there: Sequence[Plugin]) -> str:
    """``PACKAGE`` or ``PACKAGE/PLUGIN``: what is written for a name, so that it never means another plugin later."""
    meant = [plugin for plugin in there if plugin.answers_to(name)]
    if not meant:
        raise RequestError(not_installed(name, there))
    package = canonical(name)
    if package == FIRST_PARTY:
        raise RequestError(f"{FIRST_PARTY} is zoo itself; name one of its plugins, such as {meant[0].id}")
    if any(plugin.distribution == package for plugin in meant):
        return package
    if len(meant) > 1:
        raise RequestError(f"{len(meant)} packages have a plugin '{name}'; write {' or '.join(p.id for p in meant)}")
    if meant[0].distribution == FIRST_PARTY and "/" not in name:
        raise RequestError(f"'{name}' is a plugin of zoo itself; write {meant[0].id} to disable it all the same")
    return meant[0].id


def _enable(name: str, names: tuple[str, ...], there: Sequence[Plugin]) -> tuple[tuple[str, ...], str]:
    """The list without the entries that mean nothing but what ``name`` means, and what to say."""
    wanted = {plugin.id for plugin in there if plugin.answers_to(name)}
    covered = {entry: {plugin.id for plugin in there if plugin.answers_to(entry)} for entry in names}
    dropped = [n for n in names if canonical(n) == canonical(name) or (covered[n] and covered[n] <= wanted)]
    if not wanted and not dropped:
        raise RequestError(not_installed(name, there, names))
    if not dropped:
        return names, f"{name} is not disabled"
    return tuple(n for n in names if n not in dropped), f"enabled {' and '.join(dropped)}"


def _still(names: Sequence[str], there: Sequence[Plugin], file: Path) -> Iterator[str]:
    """Says what else keeps the plugins from being imported: the catalogue, a registry.yaml here, ``ZOO_PLUGINS``."""
    layers = [path for path in (file, Path("registry.yaml").resolve()) if path.is_file()]
    whole = policy({plugin.distribution for plugin in there}, layers, chosen())
    for plugin in there:
        verdict = whole.verdict(plugin)
        if verdict and any(map(plugin.answers_to, names)):
            yield f"{plugin.id} stays {verdict[0]}: {verdict[1]}"
