"""Finds plugins: every installed distribution and every ``--plugin`` file, none imported yet.

pluggy's own loader stops at the first broken plugin, so only its specs and markers are used.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from zoo import api
from zoo.registry.isolation import Failure, attempt

FIRST_PARTY = "generative-zoo"
LOCAL = "local"

State = Literal["ok", "disabled", "blocked", "broken", "too new", "incompatible"]

_ENTRY = re.compile(r"([^\s=][^=]*?)\s*=\s*([\w.]+)\s*(?::\s*([\w.]+))?\s*(?:\[[^\]]*\])?")


@dataclass(frozen=True)
class Plugin:
    """One plugin and how it fared.

    A broken plugin keeps what could be read of it: one bad descriptor does not lose the others.

    Args:
        name: of its entry point; the stem of a ``--plugin`` file.
        distribution: from its metadata, never self-declared; ``local`` for a file.
        state: ``ok``, or why not in a word.
        reasons: why not, in sentences.
        notes: what its user should know though it works, such as that it is slow.
        traceback: of the first failure, for ``zoo plugins --traceback``.
        module: of its entry point; empty where none could be read.
        attribute: of the module, where the entry point names one.
    """

    name: str
    distribution: str
    version: str
    state: State = "ok"
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    traceback: str = ""
    components: tuple[api.Component, ...] = ()
    recipes: tuple[api.Recipe, ...] = ()
    module: str = ""
    attribute: str = ""
    file: Path | None = None

    @property
    def reason(self) -> str:
        """The reasons in one line."""
        return "; ".join(self.reasons)

    @property
    def id(self) -> str:
        """``PACKAGE/PLUGIN``."""
        return f"{self.distribution}/{self.name}"

    def answers_to(self, name: str) -> bool:
        """True if ``PLUGIN``, ``PACKAGE`` or ``PACKAGE/PLUGIN`` means this one."""
        package, slash, bare = name.rpartition("/")
        if slash:
            return (canonical(package), bare) == (self.distribution, self.name)
        return name == self.name or canonical(name) == self.distribution

    def failed(self, state: State, *faults: str | Failure) -> Plugin:
        """The same plugin in a worse state, with more reasons; the first traceback is kept."""
        reasons = (fault.sentence if isinstance(fault, Failure) else fault for fault in faults)
        tracebacks = (self.traceback, *(fault.traceback for fault in faults if isinstance(fault, Failure)))
        traceback = next(filter(None, tracebacks), "")
        return replace(self, state=state, reasons=(*self.reasons, *reasons), traceback=traceback)

    def noted(self, *notes: str) -> Plugin:
        """The same plugin with more notes."""
        return replace(self, notes=(*self.notes, *notes))


def canonical(name: str) -> str:
    """The name of a distribution as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def installed() -> list[Plugin]:
    """Plugins of every installed distribution."""
    by_package: dict[str, list[Plugin]] = {}
    known: dict[str, Distribution] = {}
    for distribution in distributions():
        # Most distributions have nothing for us: look at the raw text before parsing anything.
        text = attempt("reading its entry_points.txt", partial(distribution.read_text, "entry_points.txt"))
        raw = getattr(text.error, "object", b"") if isinstance(text, Failure) else (text or "").encode()
        if b"[zoo]" not in raw:
            continue
        name, version, faults = _identity(distribution)
        if name in by_package:
            # importlib.metadata and the import system take the first on sys.path; nobody should wonder why.
            here, there = _place(known[name]), _place(distribution)
            edited = [here.is_relative_to(root) for root in _edited(distribution)]
            edited += [there.is_relative_to(root) for root in _edited(known[name])]
            if here != there and not any(edited):
                note = f"another copy of {name}, {version} in {there.parent}, is hidden by this one in {here.parent}"
                by_package[name] = [plugin.noted(note) for plugin in by_package[name]]
            continue
        known[name] = distribution
        plugin = Plugin("entry_points.txt", name, version)
        faults = [text] if isinstance(text, Failure) else faults
        by_package[name] = [plugin.failed("broken", *faults)] if faults else list(_entries(raw.decode(), plugin))
    return [plugin for plugins in by_package.values() for plugin in plugins]


def damaged_metadata(error: BaseException) -> str:
    """Names the package with a damaged ``entry_points.txt`` that a library stopped at, and the cure; else nothing.

    A library that asks importlib.metadata for its own plugins, as torch and pydantic do, has it parse every package's.
    """
    from traceback import walk_tb

    for frame, _ in walk_tb(error.__traceback__):
        distribution = frame.f_locals.get("self")
        if frame.f_code.co_name == "entry_points" and isinstance(distribution, Distribution):
            file, (name, version, _) = _place(distribution) / "entry_points.txt", _identity(distribution)
            again = f"remove it, then pip install --force-reinstall {name}"  # pip stops at it, too
            return f"{file} of package {name} {version} is damaged, and torch and other libraries stop at it; {again}"
    return ""


def _place(distribution: Distribution) -> Path:
    return Path(str(getattr(distribution, "_path", "unknown"))).resolve()


def _edited(distribution: Distribution) -> Iterator[Path]:
    """The directory that a distribution is edited in, by ``pip install -e``: metadata there is no other copy's."""
    text = attempt("reading its direct_url.json", partial(distribution.read_text, "direct_url.json"))
    with suppress(ValueError, LookupError, TypeError):
        said = json.loads(str(text))
        if said["dir_info"]["editable"]:
            yield Path(unquote(said["url"].removeprefix("file://"))).resolve()


def _identity(distribution: Distribution) -> tuple[str, str, list[str | Failure]]:
    """Name, version, and what is wrong with the metadata if one of them is missing."""
    read = attempt("reading its METADATA", lambda: distribution.metadata)
    fields = {} if isinstance(read, Failure) else {key: read[key] for key in ("Name", "Version") if key in read}
    name, version = fields.get("Name"), fields.get("Version")
    if name and version:
        return canonical(name), version, []
    folder = _place(distribution).name
    guess = canonical(name or re.sub(r"\.(dist|egg)-info$", "", folder).partition("-")[0])
    fault = read if isinstance(read, Failure) else f"{folder}/METADATA lacks a name or a version"
    return guess, version or "unknown", [fault]


def _entries(text: str, nobody: Plugin) -> Iterator[Plugin]:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line
        elif section == "[zoo]" and line and not line.startswith("#"):
            match = _ENTRY.fullmatch(line)
            if match:
                name, module, attribute = match.groups()
                yield replace(nobody, name=name, module=module, attribute=attribute or "")
            else:
                reason = f"entry_points.txt is malformed: '{line}' under [zoo] is not 'NAME = MODULE'"
                name = line.partition("=")[0].strip() or nobody.name
                yield replace(nobody, name=name).failed("broken", reason)


def local(file: Path) -> Plugin:
    """The plugin in a ``--plugin`` file. It is imported as a module named after the file."""
    plugin = Plugin(file.stem, LOCAL, "0", module=file.stem, file=file)
    if not file.is_file():
        return plugin.failed("broken", f"there is no file {file}")
    if file.suffix != ".py" or not file.stem.isidentifier():
        fault = f"the name of {file} is not that of a Python module; rename it, such as my_parts.py"
        return plugin.failed("broken", fault)
    return plugin
