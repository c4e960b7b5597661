"""Loading plugins: each is imported and asked what it provides, isolated from the others.

Order of events for one plugin: verdict of the catalogue (a blocked or disabled plugin is never imported), import,
API version, hooks, descriptors.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib import import_module
from importlib import util as importlib_util
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

from zoo import api
from zoo.registry.descriptors import ask
from zoo.registry.discovery import FIRST_PARTY, LOCAL, Found, Plugin, State, damaged_metadata
from zoo.registry.isolation import Failure, attempt

Verdict = tuple[State, str]

HEAVY = ("torch", "torchvision", "timm", "tensorflow", "jax", "scipy", "sklearn", "pandas", "transformers")
SLOW = 0.5
"""Modules that no plugin should import before one of its parts is used, and the seconds its import may take."""

UNSTATED = (1, 0)
"""The version of ``zoo.api`` that a plugin without ``ZOO_API`` was written for."""

_API_LINE = re.compile(r"^ZOO_API\b[^=\n]*=\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", re.MULTILINE)


class Policy(Protocol):
    """Who may be imported at all."""

    def verdict(self, plugin: Plugin) -> Verdict | None:
        """Why a plugin is not imported, or None."""


def load(found: Sequence[Found], policy: Policy) -> Iterator[Plugin]:
    """Import and question each plugin; a failure stays with its plugin."""
    for item in map(partial(_shared, found), found):
        plugin = item.plugin
        verdict = None if plugin.distribution == LOCAL else policy.verdict(plugin)
        if verdict:
            plugin = replace(plugin, state=verdict[0], reasons=(verdict[1],))
        elif plugin.state == "ok":
            asked = attempt("reading it", partial(_question, item))
            plugin = plugin.failed("broken", asked.sentence) if isinstance(asked, Failure) else asked
        yield plugin


def _shared(found: Sequence[Found], item: Found) -> Found:
    """An entry point may name any module, another package's too: who else names it is noted."""
    for other in found:
        mine = other.plugin.distribution == item.plugin.distribution
        if item.module and other.module == item.module and not mine:
            item = item.noted(
                f"its module '{item.module}' is also plugin '{other.plugin.name}' of {other.plugin.distribution}"
            )
    return item


@contextmanager
def running(distribution: str, plugin: str) -> Iterator[None]:
    """Names the plugin in a KeyboardInterrupt raised inside: only its user can end code that never ends."""
    try:
        yield
    except KeyboardInterrupt as error:
        if distribution == LOCAL:
            where = f"--plugin {plugin}.py; correct it, or leave it out"
        else:
            cure = f"'zoo plugins disable {distribution}/{plugin}' goes on without it"
            where = f"plugin '{plugin}' of {distribution}; {cure}"
        if distribution != FIRST_PARTY:
            error.args = error.args or (f"inside {where}",)
        raise


def _question(found: Found) -> Plugin:
    plugin = found.plugin
    where = str(found.file or found.module)
    with running(plugin.distribution, plugin.name):
        heavy, start = {name for name in HEAVY if name in sys.modules}, perf_counter()
        module = attempt(f"importing '{where}'", lambda: _import(found))
        if plugin.distribution != LOCAL:  # its parts are in the file itself
            brought = [name for name in HEAVY if name in sys.modules and name not in heavy]
            plugin = replace(plugin, notes=(*plugin.notes, *_slow(perf_counter() - start, brought)))
        needs = _needed_api(found, module)
        if isinstance(needs, str):
            return plugin.failed("broken", needs)
        misfit = _misfit(needs, plugin.distribution)
        if misfit:
            return plugin.failed(*misfit)
        if isinstance(module, Failure):
            return plugin.failed("broken", explained(module, plugin.distribution), traceback=module.traceback)
        provided = ask(module, plugin.name)
    plugin = replace(plugin, components=tuple(provided.components), recipes=tuple(provided.recipes))
    return plugin.failed("broken", *provided.faults, traceback=provided.traceback) if provided.faults else plugin


def _slow(seconds: float, heavy: Sequence[str]) -> Iterator[str]:
    """What to say of an import that every command waits for, if anything."""
    if not heavy and seconds < SLOW:
        return
    imported = f" and imported {' and '.join(heavy)}" if heavy else ""
    cure = f"import {' and '.join(heavy)}" if heavy else "do that"
    yield (
        f"its import took {seconds:.1f} s{imported}, which every zoo command now waits for; "
        f"{cure} in the module of the target instead"
    )


def explained(failure: Failure, distribution: str) -> str:
    """The sentence of a failed import, and its cause where that is another package: damaged, not installed, or in a
    version that does not meet the requirements."""
    causes: list[str] | Failure = [damage] if (damage := damaged_metadata(failure.error)) else []
    if not causes and isinstance(failure.error, ImportError) and distribution != LOCAL:
        from zoo.registry.requirements import unmet  # packaging, which nobody else needs

        causes = attempt("reading its requirements", lambda: unmet(distribution))
    return "; ".join([failure.sentence, *([] if isinstance(causes, Failure) else causes)])


def _import(found: Found) -> Any:
    thing: Any = _import_file(found.module, found.file) if found.file else import_module(found.module)
    for name in filter(None, found.attribute.split(".")):
        thing = getattr(thing, name)
    return thing


def _import_file(name: str, file: Path) -> Any:
    """Import a ``--plugin`` file under its own name, so that its targets can be ``name:attribute``."""
    spec = importlib_util.find_spec(name)
    if spec and not (spec.origin and Path(spec.origin).resolve() == file.resolve()):
        raise ImportError(f"the name '{name}' is taken by {spec.origin or 'another module'}; rename the file")
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib_util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib_util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _needed_api(found: Found, module: Any) -> tuple[int, ...] | str:
    """``ZOO_API`` of the plugin, (1, 0) where it states none, or what is wrong with it. Read as text if the import
    failed: a plugin that is too new often fails by importing what does not exist here yet."""
    if isinstance(module, Failure):
        read = attempt("", lambda: _source(found))
        match = _API_LINE.search(read) if isinstance(read, str) else None
        return (int(match[1]), int(match[2])) if match else UNSTATED
    holder = sys.modules.get(found.module, module)
    needs = getattr(module, "ZOO_API", getattr(holder, "ZOO_API", UNSTATED))
    if isinstance(needs, tuple) and len(needs) == 2 and all(type(n) is int for n in needs):
        return needs
    return f"its ZOO_API must be two whole numbers, such as {api.VERSION}, not {needs!r}"


def _source(found: Found) -> str:
    spec = None if found.file else importlib_util.find_spec(found.module)
    return Path(str(found.file or (spec and spec.origin))).read_text("utf-8")


def _misfit(needs: tuple[int, ...], distribution: str) -> tuple[State, str] | None:
    """The state of a plugin that was written for another version of ``zoo.api``, and the cure."""
    wanted, have = (".".join(map(str, version)) for version in (needs, api.VERSION))
    if needs > api.VERSION:
        cure = f"pip install --upgrade {FIRST_PARTY}"
        return "too new", f"it needs version {wanted} of zoo.api and this is {have}; {cure}"
    if needs[0] < api.VERSION[0]:
        cure = "" if distribution == LOCAL else f"; pip install --upgrade {distribution}, or ask its author"
        return "incompatible", f"it was written for version {wanted} of zoo.api and this is {have}{cure}"
    return None
