"""Loads plugins: each is imported and asked what it provides, isolated from the others.

Order of events for one plugin: verdict of the catalogue (a blocked or disabled plugin is never imported), import,
API version, hooks, descriptors.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from zoo import api
from zoo.registry.descriptors import ask
from zoo.registry.discovery import FIRST_PARTY, LOCAL, Plugin, State, damaged_metadata
from zoo.registry.isolation import Failure, attempt, torch_as_it_was

Verdict = tuple[State, str]

HEAVY = ("torch", "torchvision", "timm", "tensorflow", "jax", "scipy", "sklearn", "pandas", "transformers")
SLOW = 0.5
"""Modules that no plugin should import before one of its parts is used, and the seconds its import may take."""

UNSTATED = (1, 0)
"""The version of ``zoo.api`` that a plugin without ``ZOO_API`` was written for."""

_API_LINE = re.compile(r"^ZOO_API\b[^=\n]*=\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", re.MULTILINE)


def load(found: Sequence[Plugin], verdict: Callable[[Plugin], Verdict | None]) -> Iterator[Plugin]:
    """Imports and questions each plugin that has no verdict (state and reason); a failure stays with its plugin."""
    for plugin in found:
        plugin = plugin.noted(*_sharing(plugin, found))
        refused = None if plugin.distribution == LOCAL else verdict(plugin)
        if refused:
            plugin = replace(plugin, state=refused[0], reasons=refused[1:])
        elif plugin.state == "ok":
            asked = attempt("reading it", partial(_question, plugin))
            plugin = plugin.failed("broken", asked) if isinstance(asked, Failure) else asked
        yield plugin


def _sharing(plugin: Plugin, found: Sequence[Plugin]) -> Iterator[str]:
    """Says which plugins of other packages name the same module: an entry point may name any."""
    for other in found:
        if plugin.module and other.module == plugin.module and other.distribution != plugin.distribution:
            yield f"its module '{plugin.module}' is also plugin '{other.name}' of {other.distribution}"


@contextmanager
def running(distribution: str, plugin: str) -> Iterator[None]:
    """Names the plugin in a KeyboardInterrupt raised inside: only its user can end code that never ends."""
    try:
        yield
    except KeyboardInterrupt as error:
        where = f"plugin '{plugin}' of {distribution}; 'zoo plugins disable {distribution}/{plugin}' goes on without it"
        if distribution == LOCAL:
            where = f"--plugin {plugin}.py; correct it, or leave it out"
        if distribution != FIRST_PARTY:
            error.args = error.args or (f"inside {where}",)
        raise


def _question(plugin: Plugin) -> Plugin:
    with running(plugin.distribution, plugin.name):
        heavy, start = {name for name in HEAVY if name in sys.modules}, perf_counter()
        said: list[str] = []
        with torch_as_it_was(said.append):
            module = attempt(f"importing '{plugin.file or plugin.module}'", lambda: _import(plugin))
        plugin = plugin.noted(*said)
        if plugin.distribution != LOCAL:  # its parts are in the file itself
            brought = [name for name in HEAVY if name in sys.modules and name not in heavy]
            plugin = plugin.noted(*_slow(perf_counter() - start, brought))
        misfit = _misfit(_needed_api(plugin, module), plugin.distribution)
        if misfit:
            return plugin.failed(*misfit)
        if isinstance(module, Failure):
            return plugin.failed("broken", replace(module, sentence=explained(module, plugin.distribution)))
        return ask(plugin, module)


def _slow(seconds: float, heavy: Sequence[str]) -> Iterator[str]:
    """Says that every command waits for an import, where it takes long."""
    names = " and ".join(heavy)
    if heavy or seconds >= SLOW:
        took = f"its import took {seconds:.1f} s{f' and imported {names}' if heavy else ''}"
        instead = f"{f'import {names}' if heavy else 'do that'} in the module of the target instead"
        yield f"{took}, which every zoo command now waits for; {instead}"


def explained(failure: Failure, distribution: str) -> str:
    """The sentence of a failed import, and its cause where that is another package: damaged, not installed, or in a
    version that does not meet the requirements."""
    causes: list[str] | Failure = [damage] if (damage := damaged_metadata(failure.error)) else []
    if not causes and isinstance(failure.error, ImportError) and distribution != LOCAL:
        from zoo.registry.requirements import unmet  # packaging, which nobody else needs

        causes = attempt("reading its requirements", lambda: unmet(distribution))
    return "; ".join([failure.sentence, *([] if isinstance(causes, Failure) else causes)])


def _import(plugin: Plugin) -> Any:
    thing: Any = _import_file(plugin.module, plugin.file) if plugin.file else importlib.import_module(plugin.module)
    for name in filter(None, plugin.attribute.split(".")):
        thing = getattr(thing, name)
    return thing


def _import_file(name: str, file: Path) -> Any:
    """Import a ``--plugin`` file under its own name, so that its targets can be ``name:attribute``."""
    spec = importlib.util.find_spec(name)
    if spec and not (spec.origin and Path(spec.origin).resolve() == file.resolve()):
        raise ImportError(f"the name '{name}' is taken by {spec.origin or 'another module'}; rename the file")
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec and spec.loader  # noqa: PT018
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _needed_api(plugin: Plugin, module: Any) -> object:
    """``ZOO_API`` of the plugin, or ``UNSTATED``. Read as text if the import failed: a plugin that is too new often
    fails by importing what does not exist here yet."""
    if not isinstance(module, Failure):
        return getattr(module, "ZOO_API", getattr(sys.modules.get(plugin.module), "ZOO_API", UNSTATED))
    file = attempt("", lambda: plugin.file or getattr(importlib.util.find_spec(plugin.module), "origin", None))
    text = attempt("", lambda: Path(str(file)).read_text("utf-8"))
    match = _API_LINE.search(text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2])) if match else UNSTATED


def _misfit(needs: object, distribution: str) -> Verdict | None:
    """The state of a plugin that was written for another version of ``zoo.api``, and the cure."""
    if not (isinstance(needs, tuple) and len(needs) == 2 and all(type(n) is int for n in needs)):
        return "broken", f"its ZOO_API must be two whole numbers, such as {api.VERSION}, not {needs!r}"
    wanted, have = (".".join(map(str, version)) for version in (needs, api.VERSION))
    if needs > api.VERSION:
        return (
            "too new",
            f"it needs version {wanted} of zoo.api and this is {have}; pip install --upgrade {FIRST_PARTY}",
        )
    if needs[0] < api.VERSION[0]:
        upgrade = "" if distribution == LOCAL else f"; pip install --upgrade {distribution}, or ask its author"
        return "incompatible", f"it was written for version {wanted} of zoo.api and this is {have}{upgrade}"
    return None
