"""The types of options as JSON Schema."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, get_args, get_origin
from urllib.parse import quote

from zoo.registry import REQUIRED, Option
from zoo.registry.option_types import arms, is_none
from zoo.registry.options import plain_data

Schema = dict[str, Any]

NULL: Schema = {"type": "null"}
TEXT: Schema = {"type": "string"}
_SCALARS = {int: "integer", float: "number", bool: "boolean", str: "string"}


def of_type(kind: Any) -> Schema:
    """What a value of a type is. JSON Schema does not tell 3.0 from 3, and knows neither infinity nor NaN."""
    if is_none(kind):
        return dict(NULL)
    members = arms(kind)
    if len(members) > 1:
        return either(*map(of_type, members))
    if kind in _SCALARS:
        return {"type": _SCALARS[kind]}
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is dict:
        values = {"additionalProperties": of_type(arguments[1])} if arguments else {}
        return {"type": "object", **values}
    return {"type": "array", **_items(kind, origin, arguments)}


def _items(kind: Any, origin: Any, arguments: tuple[Any, ...]) -> Schema:
    if kind in (list, tuple):
        return {}
    if origin is list or ... in arguments:
        return {"items": of_type(arguments[0])}
    sized = {"minItems": len(arguments), "maxItems": len(arguments)}
    if len(set(arguments)) == 1:
        return {"items": of_type(arguments[0]), **sized}
    return {"prefixItems": [of_type(argument) for argument in arguments], **sized}


def either(*schemas: Schema) -> Schema:
    """What any of them accepts; plain types are joined, since editors tell those best."""
    if all(schema.keys() == {"type"} for schema in schemas):
        names = [name for schema in schemas for name in _listed(schema["type"])]
        return {"type": list(dict.fromkeys(names))}
    return {"anyOf": list(schemas)}


def or_null(schema: Schema) -> Schema:
    """The same, or null, which over a base recipe removes what it says."""
    if schema.keys() <= {"type", "items", "prefixItems", "minItems", "maxItems"}:
        return {**schema, "type": list(dict.fromkeys([*_listed(schema["type"]), "null"]))}
    if schema.keys() == {"enum"}:
        return {"enum": [*schema["enum"], *([] if None in schema["enum"] else [None])]}
    return {"anyOf": [*(schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]), dict(NULL)]}


def _listed(name: str | list[str]) -> list[str]:
    return [name] if isinstance(name, str) else name


def of_option(option: Option, limits: Schema | None = None, *, removable: bool) -> Schema:
    """An option with its default and what it is.

    Args:
        option: a keyword-only parameter.
        limits: keywords such as ``minimum``, which null passes.
        removable: whether it may be null, over a base recipe that has it.
    """
    schema = of_type(option.type)
    schema = {**(or_null(schema) if removable else schema), **(limits or {})}
    if option.default is not REQUIRED:
        schema["default"] = plain_data(option.default, option.type)
    return {**schema, **({"description": option.doc} if option.doc else {})}


def ref(*path: str) -> Schema:
    """A reference to a definition, or to what is below it."""
    steps = (quote(step.replace("~", "~0").replace("/", "~1"), safe="~") for step in path)
    return {"$ref": "/".join(("#/$defs", *steps))}


def when(key: str, value: Schema) -> Schema:
    """A mapping with such a value at a key. Without ``required``, of which editors would make a completion."""
    return {"not": {"properties": {key: {"not": value}}}}


def says(key: str) -> Schema:
    """A mapping that has a key."""
    return {"type": "object", "required": [key]}


def part(names: Schema, mapping: Schema, *others: Schema) -> Schema:
    """A name or a mapping: two forms that editors complete, and what is wrong in a mapping told of the mapping."""
    return {"anyOf": [names, {"type": "object"}, *others], "if": {"type": "object"}, "then": mapping}


def refused(message: str) -> Schema:
    """Nothing; editors that know the keyword say why."""
    return {"enum": [], "errorMessage": message}


def any_of(schemas: Iterable[Schema | bool]) -> Schema | bool:
    """What any of them accepts: itself if it is one, nothing if there is none."""
    listed = list(schemas)
    return listed[0] if len(listed) == 1 else {"anyOf": listed} if listed else False
