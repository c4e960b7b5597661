"""Asks a plugin what it provides: its hooks are called one by one, each descriptor is checked on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any

import pluggy

from zoo import api
from zoo.errors import a, did_you_mean
from zoo.registry.discovery import Plugin
from zoo.registry.isolation import Failure, attempt

HOOKS: dict[str, type[api.Component | api.Recipe]] = {"zoo_components": api.Component, "zoo_recipes": api.Recipe}

_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^/\\:]+(/[^/\\:]+)*\.ya?ml")


def ask(plugin: Plugin, module: object) -> Plugin:
    """The plugin with what the hooks of its module provide; what is refused is among its reasons."""
    # A manager of its own for each plugin: with a shared one, one raising hook loses everybody's results.
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(api.Hooks)
    registered = attempt("registering its hooks", lambda: manager.register(module, plugin.name))
    if isinstance(registered, Failure):
        return plugin.failed("broken", registered)
    faults: list[str | Failure] = [*_misnamed(manager, module)]
    components, recipes = (_call(manager, hook, faults) for hook in HOOKS)
    plugin = replace(plugin, components=components, recipes=recipes)
    return plugin.failed("broken", *faults) if faults else plugin


def _misnamed(manager: pluggy.PluginManager, module: object) -> Iterator[str]:
    callers = manager.get_hookcallers(module) or ()
    for caller in callers:
        if not caller.has_spec() and not all(hook.optionalhook for hook in caller.get_hookimpls()):
            yield f"there is no hook '{caller.name}'{did_you_mean(caller.name, HOOKS)}"
    called = {caller.name for caller in callers}
    unmarked = [hook for hook in HOOKS if hook not in called and hasattr(module, hook)]
    yield from (f"{hook}() is not marked with @zoo.api.hookimpl" for hook in unmarked)
    if not callers and not unmarked:
        yield f"it implements no hook; choices: {', '.join(HOOKS)}"


def _call(manager: pluggy.PluginManager, hook: str, faults: list[str | Failure]) -> tuple[Any, ...]:
    """Calls a hook; items that are refused are added to ``faults`` instead."""
    caller = getattr(manager.hook, hook)
    if not caller.get_hookimpls():
        return ()
    results = attempt(f"{hook}()", lambda: [_as_sequence(hook, result) for result in caller() or [None]])
    if isinstance(results, Failure):
        faults.append(results)
        return ()
    items = []
    for index, item in enumerate(chain.from_iterable(results)):
        fault = attempt(f"checking item {index} of {hook}()", partial(_fault, hook, item))
        if fault:
            faults.append(fault if isinstance(fault, Failure) else f"{hook}() item {index}: {fault}")
        else:
            items.append(item)
    return tuple(items)


def _as_sequence(hook: str, result: object) -> Sequence[object]:
    if not isinstance(result, Sequence) or isinstance(result, str | bytes):
        raise TypeError(f"it must return a sequence of zoo.api.{HOOKS[hook].__name__}, not {_kind_of(result)}")
    return tuple(result)


def _fault(hook: str, item: object) -> str:
    if not isinstance(item, HOOKS[hook]):
        return f"it is {_kind_of(item)}, not a zoo.api.{HOOKS[hook].__name__}"
    fields = ["name", "summary"]
    fields += ["kind", "target", "contract"] if isinstance(item, api.Component) else ["path"]
    for name in fields:
        if not isinstance(getattr(item, name), str):
            return f"its {name} is {_kind_of(getattr(item, name))}, not text"
    return component_fault(item) if isinstance(item, api.Component) else recipe_fault(item)


def component_fault(item: api.Component) -> str:
    """Says why a component cannot be registered; nothing if it can."""
    if item.kind not in api.KINDS:
        return f"'{item.kind}' of component '{item.name}' is not a kind{did_you_mean(item.kind, api.KINDS)}"
    label = f"{item.kind} '{item.name}'"
    if item.kind in ("value", "term") and not item.name.isidentifier():
        return f"{label} needs an identifier as its name"
    if item.kind not in ("value", "term") and not _NAME.fullmatch(item.name):
        return f"{label} needs a name of letters, digits and '-'"
    if item.kind == "module" and not item.contract:
        return f"{label} needs a contract, such as 'B C H W -> B C H W': its kind has none of its own"
    if not isinstance(item.variants, Mapping) or bool(item.variants) != bool(item.by):
        return f"{label} needs both 'by', an option, and 'variants', that option's values and their targets"
    targets = {"": item.target} | {f" of variant '{value}'": target for value, target in item.variants.items()}
    for whose, target in targets.items():
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            return f"target '{target}'{whose} of {label} is not 'package.module:attribute'"
    return _summary_fault(label, item.summary)


def recipe_fault(item: api.Recipe) -> str:
    """Says why a recipe cannot be registered; nothing if it can."""
    if not _NAME.fullmatch(item.name):
        return f"recipe '{item.name}' needs a name of letters, digits and '-'"
    if not _PATH.fullmatch(item.path) or ".." in item.path:
        return f"path '{item.path}' of recipe '{item.name}' is not 'package:relative/path.yaml'"
    return _summary_fault(f"recipe '{item.name}'", item.summary)


def _summary_fault(label: str, summary: str) -> str:
    return "" if summary.strip() and len(summary.splitlines()) == 1 else f"{label} needs a summary of one line"


def _kind_of(value: object) -> str:
    return "None" if value is None else a(type(value).__name__)
