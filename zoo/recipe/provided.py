"""Who provided the parts of a run, as it noted; and which of them are not here. No torch."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

from zoo.errors import RunError
from zoo.machine.disk import read_text
from zoo.registry import LOCAL, Registry

FILE = "plugins.json"


def noted(folder: Path) -> dict[str, list[Any]]:
    """Gives ``parts`` and ``plugins`` of ``plugins.json`` as far as it can be read: for advice, and to be shown."""
    try:
        known = json.loads(read_text(folder, FILE) or "{}")
        listed = {"parts": known["parts"].values(), "plugins": known["plugins"]}
        return {name: [each for each in those if isinstance(each, dict)] for name, those in listed.items()}
    except (RunError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {"parts": [], "plugins": []}


def files_of(folder: Path) -> dict[str, str]:
    """The files that a run was given with ``--plugin`` and that some part of it is of, by plugin."""
    known = noted(folder)
    used = {part.get("plugin") for part in known["parts"] if part.get("distribution") == LOCAL}
    return {p["plugin"]: p.get("file", f"{p['plugin']}.py") for p in known["plugins"] if p.get("plugin") in used}


def absent(folder: Path, registry: Registry) -> list[str]:
    """For each plugin that a run's parts are of and that is not here, how to have it."""
    here = {(p.distribution, p.name if p.distribution == LOCAL else "") for p in registry.plugins}
    cures = {}
    files = files_of(folder)
    for part in noted(folder)["parts"]:
        distribution, name = part.get("distribution"), part.get("plugin")
        if distribution == LOCAL and (LOCAL, name) not in here:
            cures[name] = f"give it again, --plugin {shlex.quote(files.get(name, f'{name}.py'))}"
        elif distribution != LOCAL and (distribution, "") not in here:
            cures[distribution] = f"pip install {distribution}=={part.get('version')}"
    return list(cures.values())
