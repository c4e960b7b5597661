"""Finding plugins: every installed distribution and every ``--plugin`` file, each isolated from the others.

pluggy's own loader stops at the first broken plugin, so only its specs and markers are used here.
Order of events for one plugin: metadata, verdict of the catalogue (a blocked plugin is never imported),
import, API version, hooks, descriptors.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from importlib import import_module
from importlib import util as importlib_util
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Any, Literal, Protocol

from zoo import api
from zoo.registry.descriptors import ask
from zoo.registry.isolation import Failure, attempt

FIRST_PARTY = "generative-zoo"
LOCAL = "local"

State = Literal["ok", "disabled", "blocked", "broken", "too new"]
Verdict = tuple[Literal["disabled", "blocked"], str]

_ENTRY = re.compile(r"([^\s=][^=]*?)\s*=\s*([\w.]+)\s*(?::\s*([\w.]+))?\s*(?:\[[^\]]*\])?")
_API_LINE = re.compile(r"^ZOO_API\b[^=\n]*=\s*\(\s*(\d+)\s*,\s*(\d+)\s*\)", re.MULTILINE)


@dataclass(frozen=True)
class Plugin:
    """One plugin and how it fared.

    A broken plugin keeps what could be read of it: one bad descriptor does not lose the others.

    Args:
        name: of its entry point; the stem of a ``--plugin`` file.
        distribution: from its metadata, never self-declared; ``local`` for a file.
        version: of the distribution.
        state: ``ok``, or why not in a word.
        reason: why not, in a sentence.
        traceback: of the first failure, for ``zoo plugins --traceback`` and the like.
        components: what it provides.
        recipes: what it ships.
    """

    name: str
    distribution: str
    version: str
    state: State = "ok"
    reason: str = ""
    traceback: str = ""
    components: tuple[api.Component, ...] = ()
    recipes: tuple[api.Recipe, ...] = ()


class Policy(Protocol):
    """Who may be imported at all."""

    def verdict(self, distribution: str, version: str, plugin: str) -> Verdict | None:
        """Why a plugin is not imported, or None."""


@dataclass(frozen=True)
class Found:
    """A plugin before it is imported: where to look, or what is wrong already."""

    plugin: Plugin
    module: str = ""
    attribute: str = ""
    file: Path | None = None


def canonical(name: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> Iterator[Found]:
    """Plugins of every installed distribution, none imported yet."""
    seen: set[str] = set()
    for distribution in distributions():
        # Most distributions have nothing for us: look at the raw text before parsing anything.
        read = partial(distribution.read_text, "entry_points.txt")
        text = attempt("reading its entry_points.txt", read)
        if isinstance(text, Failure):
            raw = text.error.object if isinstance(text.error, UnicodeDecodeError) else b""
            if b"[zoo]" not in raw:
                continue  # a stranger's fault, and no plugin of ours
        elif not text or "[zoo]" not in text:
            continue
        name, version, fault = _identity(distribution)
        if canonical(name) in seen:
            continue  # shadowed by the same distribution earlier on sys.path, as in importlib.metadata
        seen.add(canonical(name))
        nobody = Plugin("entry_points.txt", name, version, "broken")
        if isinstance(text, Failure):
            yield Found(replace(nobody, reason=text.sentence, traceback=text.traceback))
        elif fault:
            yield Found(replace(nobody, reason=fault))
        else:
            yield from _entries(text or "", nobody)


def _identity(distribution: Distribution) -> tuple[str, str, str]:
    """Name, version and what is wrong with them."""
    read = attempt("reading its METADATA", lambda: distribution.metadata)
    fields = {} if isinstance(read, Failure) else {key: read[key] for key in ("Name", "Version") if key in read}
    name, version = fields.get("Name"), fields.get("Version")
    if name and version:
        return canonical(name), version, ""
    folder = Path(str(getattr(distribution, "_path", "unknown"))).name
    guess = canonical(name or re.sub(r"\.(dist|egg)-info$", "", folder).partition("-")[0])
    fault = read.sentence if isinstance(read, Failure) else f"{folder}/METADATA lacks a name or a version"
    return guess, version or "unknown", fault


def _entries(text: str, nobody: Plugin) -> Iterator[Found]:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[zoo]" and line and not line.startswith("#"):
            match = _ENTRY.fullmatch(line)
            if match:
                name, module, attribute = match.groups()
                yield Found(replace(nobody, name=name, state="ok"), module, attribute or "")
            else:
                reason = f"entry_points.txt is malformed: '{line}' under [zoo] is not 'NAME = MODULE'"
                yield Found(replace(nobody, name=line.partition("=")[0].strip() or nobody.name, reason=reason))


def local(file: Path) -> Found:
    """The plugin in a ``--plugin`` file. It is imported as a module named after the file."""
    plugin = Plugin(file.stem, LOCAL, "0")
    if not file.is_file():
        fault = f"there is no file {file}"
    elif file.suffix != ".py" or not file.stem.isidentifier():
        fault = f"the name of {file} is not that of a Python module; rename it, such as my_parts.py"
    else:
        return Found(plugin, file.stem, file=file)
    return Found(replace(plugin, state="broken", reason=fault))


def load(found: Iterable[Found], policy: Policy) -> Iterator[Plugin]:
    """Import and question each plugin; a failure stays with its plugin."""
    for item in found:
        plugin = item.plugin
        if plugin.state == "ok" and plugin.distribution != LOCAL:
            verdict = policy.verdict(plugin.distribution, plugin.version, plugin.name)
            if verdict:
                plugin = replace(plugin, state=verdict[0], reason=verdict[1])
        yield _question(item) if plugin.state == "ok" else plugin


def _question(found: Found) -> Plugin:
    plugin = found.plugin
    where = str(found.file or found.module)
    module = attempt(f"importing '{where}'", lambda: _import(found))
    needs = _needed_api(found, module)
    if isinstance(needs, str):
        return replace(plugin, state="broken", reason=needs)
    if needs and needs > api.VERSION:
        return replace(plugin, state="too new", reason=_too_new(needs))
    if isinstance(module, Failure):
        return replace(plugin, state="broken", reason=module.sentence, traceback=module.traceback)
    provided = ask(module, plugin.name)
    return replace(
        plugin,
        state="broken" if provided.faults else "ok",
        reason="; ".join(provided.faults),
        traceback=provided.traceback,
        components=tuple(provided.components),
        recipes=tuple(provided.recipes),
    )


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


def _needed_api(found: Found, module: Any) -> tuple[int, ...] | str | None:
    """``ZOO_API`` of the plugin, or what is wrong with it. Read as text if the import failed:
    a plugin that is too new often fails by importing what does not exist here yet."""
    if isinstance(module, Failure):
        read = attempt("", lambda: _source(found))
        match = _API_LINE.search(read) if isinstance(read, str) else None
        return (int(match[1]), int(match[2])) if match else None
    holder = sys.modules.get(found.module, module)
    needs = getattr(module, "ZOO_API", None) or getattr(holder, "ZOO_API", None)
    if needs is None or (isinstance(needs, tuple) and len(needs) == 2 and all(type(n) is int for n in needs)):
        return needs
    return f"its ZOO_API must be two whole numbers, such as {api.VERSION}, not {needs!r}"


def _source(found: Found) -> str:
    spec = None if found.file else importlib_util.find_spec(found.module)
    return Path(str(found.file or (spec and spec.origin))).read_text("utf-8")


def _too_new(needs: tuple[int, ...]) -> str:
    wanted, have = (".".join(map(str, version)) for version in (needs, api.VERSION))
    return f"it needs version {wanted} of zoo.api and this is {have}; pip install --upgrade {FIRST_PARTY}"
