"""JSON Schema of the types of options, and the conditions that editors understand."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, get_args, get_origin

from zoo.api import Scheduled
from zoo.registry import REQUIRED, Option
from zoo.registry.option_types import arms, is_none
from zoo.registry.options import plain_data

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
_SCALARS = {int: "integer", float: "number", bool: "boolean", str: "string", None: "null", type(None): "null"}


@cache
def of_type(kind: Any, over: bool = False) -> Schema:
    """The values of a type; ``over`` a base recipe, what changes with the step may be said in part.

    JSON Schema does not tell 3.0 from 3, and knows neither infinity nor NaN.
    """
    members, origin, arguments = arms(kind), get_origin(kind) or kind, get_args(kind)
    if kind == Scheduled:
        return {"$ref": f"#/$defs/{'' if over else 'alone.'}number"}
    if len(members) > 1:
        return either(*(of_type(member, over) for member in members))
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    if origin is Literal:
        return {"enum": list(arguments)}
    inner = [of_type(argument) for argument in arguments if argument is not ...]
    if origin is dict:
        return {"type": "object", "additionalProperties": inner[-1] if inner else True}
    if origin is list or len(inner) < len(arguments) or not inner:
        return {"type": "array", "items": inner[0] if inner else True}
    alike = inner == inner[:1] * len(inner)
    items = {"items": inner[0]} if alike else {"prefixItems": inner}  # more editors know the former
    return {"type": "array", **items, "minItems": len(inner), "maxItems": len(inner)}


def either(*schemas: Schema) -> Schema:
    """The values of any of these."""
    return schemas[0] if len(schemas) == 1 else {"anyOf": list(schemas)} if schemas else {"not": {}}


def of_option(option: Option, *, removable: bool) -> Schema:
    """An option with its default and description; ``removable`` where it may be null, over a base that has it."""
    schema = of_type(option.type, removable)
    if removable and not any(map(is_none, arms(option.type))):
        schema = either(schema, NULL)
    default = {} if option.default is REQUIRED else {"default": plain_data(option.default, option.type)}
    return {**schema, **default, "description": option.doc}


def when(key: str, value: Schema) -> Schema:
    """A mapping with such a value at a key. Without ``required``, of which editors would make a completion."""
    return {"not": {"properties": {key: {"not": value}}}}


def says(key: str) -> Schema:
    """A mapping that has a key."""
    return {"type": "object", "required": [key]}


def mapping(text: str, keys: Mapping[str, Any], other: Schema | bool, *, null: bool = False, least: int = 0) -> Schema:
    """A mapping that offers some keys, and takes what it says of any ``other``."""
    kind = {"type": ["object", "null"] if null else "object", **({"minProperties": least} if least else {})}
    return {"description": text, **kind, "properties": keys, "additionalProperties": other}


def part(names: Schema, options: Schema, *others: Schema) -> Schema:
    """A name or a mapping: two forms that editors complete, and what is wrong in a mapping told of the mapping."""
    return {"anyOf": [names, {"type": "object"}, *others], "if": {"type": "object"}, "then": options}
