"""What a plugin says it provides: its hooks called one by one, each descriptor checked on its own."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pluggy

from zoo import api
from zoo.errors import did_you_mean
from zoo.registry.isolation import Failure, attempt

HOOKS: dict[str, type[api.Component] | type[api.Recipe]] = {
    "zoo_components": api.Component,
    "zoo_recipes": api.Recipe,
}

_NAME = re.compile(r"[A-Za-z0-9]+(-[A-Za-z0-9]+)*")
_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
_PATH = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^/\\:]+(/[^/\\:]+)*\.ya?ml")


@dataclass
class Provided:
    """What one plugin provides, and what of it was refused."""

    components: list[api.Component] = field(default_factory=list)
    recipes: list[api.Recipe] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    traceback: str = ""

    def refuse(self, fault: str | Failure) -> None:
        """Note a fault; what is right stays usable."""
        if isinstance(fault, Failure):
            self.traceback = self.traceback or fault.traceback
            fault = fault.sentence
        self.faults.append(fault)


def ask(plugin: object, name: str) -> Provided:
    """Call the hooks of one plugin (a module, or what its entry point names)."""
    provided = Provided()
    # A manager of its own for each plugin: with a shared one, one raising hook loses everybody's results.
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(api.Hooks)
    registered = attempt("registering its hooks", lambda: manager.register(plugin, name))
    if isinstance(registered, Failure):
        provided.refuse(registered)
        return provided
    for fault in (*_unknown_hooks(manager, plugin), *_unmarked_hooks(manager, plugin)):
        provided.refuse(fault)
    for hook in HOOKS:
        _call(manager, hook, provided)
    return provided


def _unknown_hooks(manager: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    try:
        manager.check_pending()
    except pluggy.PluginValidationError:
        for caller in manager.get_hookcallers(plugin) or ():
            if not caller.has_spec():
                yield f"there is no hook '{caller.name}'{did_you_mean(caller.name, HOOKS)}"


def _unmarked_hooks(manager: pluggy.PluginManager, plugin: object) -> Iterator[str]:
    called = {caller.name for caller in manager.get_hookcallers(plugin) or ()}
    unmarked = [hook for hook in HOOKS if hook not in called and hasattr(plugin, hook)]
    yield from (f"{hook}() is not marked with @zoo.api.hookimpl" for hook in unmarked)
    if not called and not unmarked:
        yield f"it implements no hook; choices: {', '.join(HOOKS)}"


def _call(manager: pluggy.PluginManager, hook: str, provided: Provided) -> None:
    caller = getattr(manager.hook, hook)
    if not caller.get_hookimpls():
        return
    results = attempt(f"{hook}()", lambda: [_as_sequence(hook, result) for result in caller() or [None]])
    if isinstance(results, Failure):
        provided.refuse(results)
        return
    shelf: list[Any] = provided.components if hook == "zoo_components" else provided.recipes
    for index, item in enumerate(item for result in results for item in result):
        fault = attempt(f"checking item {index} of {hook}()", partial(_fault, hook, item))
        if isinstance(fault, Failure) or fault:
            provided.refuse(fault if isinstance(fault, Failure) else f"{hook}() item {index}: {fault}")
        else:
            shelf.append(item)


def _as_sequence(hook: str, result: object) -> Sequence[object]:
    wanted = HOOKS[hook].__name__
    if not isinstance(result, Sequence) or isinstance(result, str | bytes):
        raise TypeError(f"it must return a sequence of zoo.api.{wanted}, not {_kind_of(result)}")
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
    """Why a component cannot be registered, or nothing."""
    if item.kind not in api.KINDS:
        return f"'{item.kind}' of component '{item.name}' is not a kind{did_you_mean(item.kind, api.KINDS)}"
    label = f"{item.kind} '{item.name}'"
    if item.kind in ("value", "term"):
        if not item.name.isidentifier():
            return f"{label} needs an identifier as its name"
    elif not _NAME.fullmatch(item.name):
        return f"{label} needs a name of letters, digits and '-'"
    if not _TARGET.fullmatch(item.target):
        return f"target '{item.target}' of {label} is not 'package.module:attribute'"
    if not isinstance(item.variants, Mapping) or bool(item.variants) != bool(item.by):
        return f"{label} needs both 'by', an option, and 'variants', that option's values and their targets"
    for value, target in item.variants.items():
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            return f"target '{target}' of variant '{value}' of {label} is not 'package.module:attribute'"
    return _summary_fault(label, item.summary)


def recipe_fault(item: api.Recipe) -> str:
    """Why a recipe cannot be registered, or nothing."""
    if not _NAME.fullmatch(item.name):
        return f"recipe '{item.name}' needs a name of letters, digits and '-'"
    if not _PATH.fullmatch(item.path) or ".." in item.path:
        return f"path '{item.path}' of recipe '{item.name}' is not 'package:relative/path.yaml'"
    return _summary_fault(f"recipe '{item.name}'", item.summary)


def _summary_fault(label: str, summary: str) -> str:
    return "" if summary.strip() and len(summary.splitlines()) == 1 else f"{label} needs a summary of one line"


def _kind_of(value: object) -> str:
    if value is None:
        return "None"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"
