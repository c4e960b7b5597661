"""``zoo schema``: a JSON Schema of recipes, for editors. Imports no torch."""

from __future__ import annotations

import argparse

from zoo.columns import json_text
from zoo.machine.disk import write_atomically
from zoo.recipe import registry_for
from zoo.recipe.json_schema import recipe_schema


def schema(arguments: argparse.Namespace) -> int:
    """``zoo schema``: to the standard output, or into a file that recipes can name."""
    written = json_text(recipe_schema(registry_for({}, arguments.plugin)))
    if not arguments.out:
        print(written)
        return 0
    write_atomically(arguments.out, f"{written}\n".encode())
    told = f"{arguments.out}: begin a recipe with '# yaml-language-server: $schema={arguments.out.name}'"
    print(json_text({"file": str(arguments.out)}) if arguments.json else told)
    return 0
