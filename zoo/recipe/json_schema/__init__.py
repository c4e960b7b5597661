"""A JSON Schema of recipes, made from the installed plugins: what an editor completes and underlines by.

The loader decides what a recipe is; the schema follows it as far as JSON Schema can say. It takes whatever the loader
takes, but for three things that no file says by itself: a slot named for one kind that its base says is another, a
base that is itself wrong and is put right by a null, and a common optimiser that no player uses.
"""

from __future__ import annotations

from zoo.api import KINDS
from zoo.recipe.json_schema import alone, sections
from zoo.recipe.json_schema.components import Kind
from zoo.recipe.json_schema.sections import keys_of
from zoo.recipe.json_schema.types import Schema, part, ref, says
from zoo.recipe.sections import NETWORKS, SECTIONS
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
    kinds = {kind: _kind(kind, registry) for kind in KINDS}
    definitions = sections.definitions(kinds) | alone.definitions(kinds)
    return {
        "$schema": DIALECT,
        "$id": ID,
        "$comment": f"Made by zoo schema from {', '.join(_packages(registry))}.",
        "title": "A recipe of the zoo",
        "description": "Who minimises what, with which parts, on what data.",
        "type": "object",
        "properties": _top(registry),
        "additionalProperties": False,
        "if": says("extends"),
        "else": ref("alone"),
        "$defs": {name: definitions[name] for name in sorted(definitions)},
    }


def _kind(kind: str, registry: Registry) -> Kind:
    """A kind with the keys that a recipe writes beside its components' options."""
    if kind == "term":
        begins = {"description": "The weight at 'start': a weight that changes, {from: A, to: B, steps: N}."}
        text = "What the term is multiplied by."
        weight = {"description": text, "default": 1.0, **part(ref("weight"), ref("schedule"))}
        return Kind(kind, registry, {"weight": weight, "from": begins}, removable=False)
    beside = {"optimizer": {"rate": ref("rate")}, **{slot: {"kind": ref("kind")} for slot in NETWORKS}}
    return Kind(kind, registry, beside.get(kind))


def _top(registry: Registry) -> dict[str, Schema]:
    names = registry.recipes()
    bundled = {"enum": [r.name for r in names], "enumDescriptions": [r.summary for r in names]}
    file = {"type": "string", "pattern": r"\S"}
    return {
        "extends": {"description": "The recipe under this one: bundled, or a file.", "anyOf": [bundled, file]},
        **keys_of("recipe", removable=True),
        "data": ref("data.here"),
        **{section: ref(section) for section in SECTIONS if section != "data"},
    }


def _packages(registry: Registry) -> list[str]:
    plugins = [plugin for plugin in registry.plugins if plugin.components or plugin.recipes]
    return sorted({f"{plugin.distribution} {plugin.version}" for plugin in plugins})
