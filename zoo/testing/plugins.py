"""Checks of a plugin as a whole: that it is found, and that finding it is cheap and changes nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection, Sequence
from functools import cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from zoo.registry import Plugin
from zoo.testing.core import Subject, require

MOST_SECONDS = 0.3
"""How long an entry module may take to import; 'zoo list' imports every plugin's."""
TRIES = 3


class Package(Subject):
    """A distribution, or a plugin's file, and the plugins that the registry found in it."""

    kind = "plugin"

    def __init__(self, name: str, file: Path | None, plugins: Sequence[Plugin]) -> None:
        self.name, self.file, self.plugins = name, file, plugins

    def __str__(self) -> str:
        return f"'{self.name}'"

    def check_provides(self) -> None:
        """It is installed, zoo finds it, and it brings something: a check of nothing proves nothing."""
        if self.file is None:
            try:
                distribution(self.name)
            except PackageNotFoundError:
                cure = f"pip install -e . in its directory, or give another name than '{self.name}'"
                self.require(False, f"is not installed here, so nothing of it was checked: {cure}")
        told = "brings no plugin: it has nothing under [project.entry-points.zoo] in pyproject.toml"
        self.require(self.plugins, f'{told}; add one, my-parts = "my_parts", and install it again')
        states = ", ".join(f"plugin '{p.name}' is {p.state}{f': {p.reason}' if p.reason else ''}" for p in self.plugins)
        cure = "return some from zoo_components() or zoo_recipes(), marked @api.hookimpl"
        brings = any(plugin.components or plugin.recipes for plugin in self.plugins)
        self.require(brings, f"brings no component and no recipe ({states}); {cure}")

    def check_clean_targets(self) -> None:
        """Every module that components name is imported without changing what belongs to the whole process."""
        components = [component for plugin in self.plugins for component in plugin.components]
        targets = [target for c in components for target in (c.target, *c.variants.values())]
        modules = [_argument(name, self.file) for name in dict.fromkeys(t.partition(":")[0] for t in targets)]
        for told in imported("targets", modules) if modules else ():
            module = told["module"]
            require(not told["error"], f"module '{module}' cannot be imported: {told['error']}")
            require(not told["printed"], f"module '{module}' prints {told['printed']!r} when imported; remove it")
            what = " and ".join(told["changed"])
            require(not what, f"module '{module}' changes {what} of the whole process when imported; remove it")


class Entrance(Subject):
    """One plugin, and its module imported in a process of its own."""

    kind = "plugin"

    def __init__(self, plugin: Plugin) -> None:
        self.name, self.plugin = plugin.name, plugin

    def __str__(self) -> str:
        return f"importing '{self.plugin.module}'"

    def left_out(self) -> Collection[str]:
        """Of one that is not imported, all but its state; a file may import torch, as it is asked for."""
        if self.plugin.state not in ("ok", "broken"):
            return {*self.names()} - {"state"}
        return ("no_torch", "import_time") if self.plugin.file else ()

    @cached_property
    def report(self) -> dict[str, Any]:
        """The report of importing its module; of several tries the fastest."""
        argument = _argument(self.plugin.module, self.plugin.file)
        told = imported("entry", [argument])
        while len(told) < TRIES and told[-1]["seconds"] > MOST_SECONDS and not told[-1]["torch"]:
            told += imported("entry", [argument])
        return min(told, key=lambda report: float(report["seconds"]))

    def check_state(self) -> None:
        """The registry takes it: it is neither broken nor blocked nor disabled."""
        plugin = self.plugin
        told = f"plugin '{plugin.name}' of {plugin.distribution} {plugin.version} is {plugin.state}: {plugin.reason}"
        require(plugin.state == "ok", f"{told}\n{plugin.traceback}".rstrip())

    def check_no_torch(self) -> None:
        """Its entry module imports no torch, so that 'zoo list' stays fast."""
        cure = "keep hooks in a module of their own, and name targets as text: 'my_parts.networks:Encoder'"
        self.require(not self.report["torch"], f"imports torch, which costs every 'zoo list' seconds; {cure}")

    def check_import_time(self) -> None:
        """Its entry module is imported within 0.3 seconds."""
        seconds = 0.0 if self.report["torch"] else self.report["seconds"]  # 'no torch' says it already
        told = f"takes {seconds:.2f} s, and {MOST_SECONDS} are allowed"
        self.require(seconds <= MOST_SECONDS, f"{told}; import in functions what the hooks do not need")

    def check_quiet_import(self) -> None:
        """Importing its entry module prints nothing."""
        printed = self.report["printed"]
        self.require(not printed, f"prints {printed[:60]!r}; remove it")

    def check_clean_import(self) -> None:
        """Importing its entry module changes nothing that belongs to the whole process."""
        what = " and ".join(self.report["changed"])
        self.require(not what, f"changes {what} of the whole process; remove it")


def imported(what: str, modules: Sequence[str]) -> list[dict[str, Any]]:
    """Imports modules in a fresh process; returns its reports."""
    command = [sys.executable, "-m", "zoo.testing.child", what, *modules]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=120)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    last = (done.stderr.strip().splitlines() or ["without a word"])[-1]
    require(len(told) == len(modules), f"importing {' and '.join(modules)} ended the process: {last}")
    return told


def _argument(module: str, file: Path | None) -> str:
    return f"{module}={file}" if file and module == file.stem else module
