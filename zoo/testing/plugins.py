"""Checks of a plugin as a whole: that it is found, and that finding it is cheap and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from zoo.registry import Plugin, Registry
from zoo.testing.core import Body, require

MOST_SECONDS = 0.3
"""How long an entry module may take to import; 'zoo list' imports every plugin's."""
TRIES = 3
PATIENCE = 120.0
"""Seconds after which an import is given up."""


@dataclass(eq=False)
class Package:
    """A distribution, or a plugin's file, and what the registry made of it.

    Args:
        name: of the distribution; of the file without ``.py``.
        file: the file, if it is one.
        registry: every plugin.
        plugins: those that it brings.
    """

    name: str
    file: Path | None
    registry: Registry
    plugins: tuple[Plugin, ...]

    @cached_property
    def modules(self) -> list[str]:
        """The modules of its targets, each to be imported by ``zoo.testing.child``."""
        targets = [
            target
            for plugin in self.plugins
            for component in plugin.components
            for target in (component.target, *component.variants.values())
        ]
        names = dict.fromkeys(target.partition(":")[0] for target in targets)
        return [_as_argument(name, self.file) for name in names]


@dataclass(eq=False)
class Entrance:
    """One plugin, and its module imported in a process of its own."""

    plugin: Plugin

    @cached_property
    def report(self) -> dict[str, Any]:
        """What importing its module did; of several tries the fastest."""
        argument = _as_argument(self.plugin.module, self.plugin.file)
        told = imported("entry", [argument])[0]
        for _ in range(TRIES - 1):
            if told["seconds"] > MOST_SECONDS and not told["torch"]:
                told = min(told, imported("entry", [argument])[0], key=lambda report: float(report["seconds"]))
        return told


def _as_argument(module: str, file: Path | None) -> str:
    return f"{module}={file}" if file and module == file.stem else module


def imported(what: str, modules: Sequence[str]) -> list[dict[str, Any]]:
    """What importing modules did, in a fresh process.

    Raises:
        ContractError: if the process ended, or did not end, before it could tell.
    """
    command = [sys.executable, "-m", "zoo.testing.child", what, *modules]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=PATIENCE)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
    require(len(told) == len(modules), f"importing {' and '.join(modules)} ended the process: {last}")
    return told


def provides(package: Package) -> None:
    """It is installed, zoo finds it, and it brings something: a check of nothing proves nothing."""
    if package.file is None:
        try:
            distribution(package.name)
        except PackageNotFoundError:
            cure = f"pip install -e . in its directory, or give another name than '{package.name}'"
            require(False, f"'{package.name}' is not installed here, so nothing of it was checked: {cure}")
    told = f"'{package.name}' brings no plugin: it has nothing under [project.entry-points.zoo] in pyproject.toml"
    require(package.plugins, f'{told}; add one, my-parts = "my_parts", and install it again')
    brings = [*(c for p in package.plugins for c in p.components), *(r for p in package.plugins for r in p.recipes)]
    states = ", ".join(f"plugin '{p.name}' is {p.state}{f': {p.reason}' if p.reason else ''}" for p in package.plugins)
    told = f"'{package.name}' brings no component and no recipe ({states})"
    require(brings, f"{told}; return some from zoo_components() or zoo_recipes(), marked @api.hookimpl")


def clean_targets(package: Package) -> None:
    """Every module that components name is imported without changing what belongs to the whole process."""
    for told in imported("targets", package.modules) if package.modules else ():
        module = told["module"]
        require(not told["error"], f"module '{module}' cannot be imported: {told['error']}")
        require(not told["printed"], f"module '{module}' prints {told['printed']!r} when imported; remove it")
        what = " and ".join(told["changed"])
        require(not what, f"module '{module}' changes {what} of the whole process when imported; remove it")


def state(entrance: Entrance) -> None:
    """The registry takes it: it is neither broken nor blocked nor disabled."""
    plugin = entrance.plugin
    told = f"plugin '{plugin.name}' of {plugin.distribution} {plugin.version} is {plugin.state}: {plugin.reason}"
    require(plugin.state == "ok", f"{told}\n{plugin.traceback}".rstrip())


def no_torch(entrance: Entrance) -> None:
    """Its entry module imports no torch, so that 'zoo list' stays fast."""
    told = f"importing '{entrance.plugin.module}' imports torch"
    cure = "keep hooks in a module of their own, and name targets as text: 'my_parts.networks:Encoder'"
    require(not entrance.report["torch"], f"{told}, which costs every 'zoo list' seconds; {cure}")


def import_time(entrance: Entrance) -> None:
    """Its entry module is imported within 0.3 seconds."""
    seconds = 0.0 if entrance.report["torch"] else entrance.report["seconds"]  # 'no torch' says it already
    told = f"importing '{entrance.plugin.module}' takes {seconds:.2f} s, and {MOST_SECONDS} are allowed"
    require(seconds <= MOST_SECONDS, f"{told}; import in functions what the hooks do not need")


def quiet_import(entrance: Entrance) -> None:
    """Importing its entry module prints nothing."""
    printed = entrance.report["printed"]
    require(not printed, f"importing '{entrance.plugin.module}' prints {printed[:60]!r}; remove it")


def clean_import(entrance: Entrance) -> None:
    """Importing its entry module changes nothing that belongs to the whole process."""
    what = " and ".join(entrance.report["changed"])
    require(not what, f"importing '{entrance.plugin.module}' changes {what} of the whole process; remove it")


PACKAGE: tuple[Body, ...] = (provides, clean_targets)
ENTRANCE: tuple[Body, ...] = (state, no_torch, import_time, quiet_import, clean_import)


def battery(entrance: Entrance) -> tuple[Body, ...]:
    """The checks of a plugin: of one that is not imported, its state; a file may import torch, as it is asked for."""
    if entrance.plugin.state not in ("ok", "broken"):
        return (state,)
    return (state, quiet_import, clean_import) if entrance.plugin.file else ENTRANCE
