"""``zoo plugins``: how every plugin fared. Targets are tried too, of every package but the first party."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from traceback import format_exception
from typing import Any

from zoo.columns import json_text, table
from zoo.errors import RequestError, ZooError, did_you_mean
from zoo.registry import FIRST_PARTY, Entry, Plugin, RecipeEntry, Registry, load_registry
from zoo.registry.isolation import Failure, attempt

KEYS = ("name", "distribution", "version", "state", "reason", "note")


def plugins(arguments: argparse.Namespace) -> int:
    """``zoo plugins [disable|enable NAME...] [--traceback [NAME]]``."""
    if arguments.action:
        from zoo.cli.switch import switch

        return switch(arguments)
    if arguments.names:
        raise RequestError(f"'{arguments.names[0]}' follows no 'disable' or 'enable'")
    registry = load_registry(tuple(arguments.plugin))
    traced = arguments.traceback is not None or bool(os.environ.get("ZOO_DEBUG"))
    shown = [_examined(plugin, registry) for plugin in _asked_for(registry.plugins, arguments.traceback or "")]
    collisions = registry.collisions()
    if arguments.json:
        print(json_text([_described(plugin, registry, traced) for plugin in shown]))
        return 0
    print(table([["plugin", "package", "state", "reason"], *(row for plugin in shown for row in _rows(plugin))]))
    if collisions and not arguments.traceback:
        print("\n" + "\n".join(map(str, collisions)))
    if traced:
        print("".join(f"\n{plugin.id} {plugin.version}\n{plugin.traceback}" for plugin in shown if plugin.traceback))
    return 0


def _asked_for(found: Sequence[Plugin], name: str) -> Sequence[Plugin]:
    """Those that a name means; all for none."""
    meant = [plugin for plugin in found if not name or plugin.answers_to(name)]
    if not meant:
        names = {text for p in found for text in (p.name, p.distribution)}
        raise RequestError(f"no plugin or package '{name}' is installed{did_you_mean(name, names)}")
    return meant


def _described(plugin: Plugin, registry: Registry, traced: bool) -> dict[str, Any]:
    told = {key: getattr(plugin, key) for key in KEYS}
    told["collisions"] = [str(c) for c in registry.collisions() if plugin.distribution in c.providers]
    return {**told, "traceback": plugin.traceback} if traced else told


def _rows(plugin: Plugin) -> Iterator[tuple[str, str, str, str]]:
    """Rows of the table: a line for each thing there is to say, folded where a terminal is narrow."""
    head: tuple[str, str, str] = (plugin.name, f"{plugin.distribution} {plugin.version}", plugin.state)
    width = max(40, shutil.get_terminal_size().columns - 60) if sys.stdout.isatty() else 10_000
    for sentence in (*plugin.reasons, *plugin.notes):
        for line in textwrap.wrap(sentence, width):
            yield (*head, line)
            head = ("", "", "")
    if head[0]:
        yield (*head, "")


# -- targets -------------------------------------------------------------------------------------------------


def _examined(plugin: Plugin, registry: Registry) -> Plugin:
    """The plugin, with what is wrong with each of its parts and recipes."""
    if plugin.distribution == FIRST_PARTY:
        return plugin
    whose = (plugin.distribution, plugin.name)
    tried = [found for e in registry.components() if (e.distribution, e.plugin) == whose for found in _tried(e)]
    tried += [_reading(r) for r in registry.recipes() if (r.distribution, r.plugin) == whose]
    for label, error in tried:
        if error is not None:
            plugin = _blamed(plugin, label, error)
    return plugin


Fault = Failure | ZooError | None


def _tried(entry: Entry) -> Iterator[tuple[str, Fault]]:
    """The target, and each variant's: its parameters read, then imported."""
    label = f"{entry.kind} '{entry.name}'"
    yield label, _fault(entry.check)
    for value in entry.component.variants:
        yield f"{label} with {entry.component.by} '{value}'", _fault(entry.variant(value).check)


def _reading(entry: RecipeEntry) -> tuple[str, Fault]:
    from zoo.recipe.yaml.read import read

    return f"recipe '{entry.name}'", _fault(lambda: read(entry.file.read_bytes(), str(entry.file)))


def _fault(use: Callable[[], object]) -> Fault:
    """What went wrong, if anything: told by zoo, or raised by foreign code."""

    def used() -> ZooError | None:
        try:
            use()
        except ZooError as error:
            return error
        return None

    return attempt("using it", used)


def _blamed(plugin: Plugin, label: str, fault: Failure | ZooError) -> Plugin:
    if not isinstance(fault, Failure):
        trace = "".join(format_exception(fault.__cause__)) if fault.__cause__ else ""
        fault = Failure("; ".join(getattr(fault, "cause", str(fault)).splitlines()), trace, fault)
    return plugin.failed("broken", replace(fault, sentence=f"{label}: {fault.sentence}"))
