"""A JSON Schema of recipes, made from the installed plugins: what an editor completes and underlines by.

The loader decides what a recipe is; the schema follows it as far as JSON Schema can say. It takes whatever the loader
takes, but for three things that no file says by itself: a slot named for one kind that its base says is another, a
base that is itself wrong and is put right by a null, and a common optimiser that no player uses.
"""

from __future__ import annotations

from zoo.recipe.json_schema.components import choices_of
from zoo.recipe.json_schema.sections import Sections
from zoo.recipe.json_schema.types import Schema, says
from zoo.registry import Registry

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ID = "urn:generative-zoo:recipe"


def recipe_schema(registry: Registry) -> Schema:
    """What recipes can be written with the plugins of a registry (JSON Schema, draft 2020-12).

    Args:
        registry: the plugins; of several packages with one name, the options of each are taken.

    Returns:
        plain data, the same for the same plugins, whatever the machine.
    """
    definitions: dict[str, Schema] = {}
    over, alone = (Sections(choices_of(registry), definitions, over) for over in (True, False))
    shipped = registry.recipes()
    bundled = {"enum": [recipe.name for recipe in shipped], "enumDescriptions": [recipe.summary for recipe in shipped]}
    file = {"type": "string", "pattern": r"\S"}
    plugins = [plugin for plugin in registry.plugins if plugin.components or plugin.recipes]
    packages = sorted({f"{plugin.distribution} {plugin.version}" for plugin in plugins})
    return {
        "$schema": DIALECT,
        "$id": ID,
        "$comment": f"Made by zoo schema from {', '.join(packages)}.",
        "title": "A recipe of the zoo",
        "description": "Who minimises what, with which parts, on what data.",
        "type": "object",
        "properties": {
            "extends": {"description": "The recipe under this one: bundled, or a file.", "anyOf": [bundled, file]}
        },
        "if": says("extends"),
        "then": over.recipe(),
        "else": alone.recipe(),
        "$defs": dict(sorted(definitions.items())),
    }
