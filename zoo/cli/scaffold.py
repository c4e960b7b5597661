"""``zoo new-plugin``: writes a plugin package."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

from zoo.registry import load_registry
from zoo.scaffold import Names, check_names, write_package


def new_plugin(arguments: argparse.Namespace) -> int:
    """``zoo new-plugin NAME``."""
    names = Names(arguments.name)
    folder = arguments.out or Path(names.distribution)
    check_names(names, load_registry(tuple(arguments.plugin)), folder)
    files = write_package(names, folder)
    steps = [f"cd {shlex.quote(str(folder))}", "pip install -e '.[test]'", "pytest", f"zoo build {names.part}"]
    if arguments.json:
        provides = [{"kind": kind, "name": name} for kind, name in names.parts]
        listed = [str(file) for file in files]
        print(json.dumps({"folder": str(folder), "files": listed, "provides": provides, "next": steps}))
    else:
        provided = ", ".join(f"{kind} '{name}'" for kind, name in names.parts)
        print("\n".join([f"{folder}: {provided}", "", "next:", *(f"    {step}" for step in steps)]))
    return 0
