"""Evaluates the types that an option may have from their source, importing nothing, and puts them in words.

``int``, ``float``, ``bool``, ``str``, ``None``, ``Literal[...]``, ``tuple[...]``, ``list[...]``,
``dict[str, ...]``, unions of these, and module-level names for them (``Norm = Literal["batch", "none"]``).
"""

from __future__ import annotations

import ast
import types
from collections.abc import Callable
from typing import Any, Literal, Optional, Union, get_args, get_origin

from zoo.api import Scheduled

Lookup = Callable[[str], object]
"""Resolves a module-level name to a type, or raises NotPlain."""

SCALARS: dict[str, type] = {"int": int, "float": float, "bool": bool, "str": str}
CONTAINERS = (tuple, list, dict)
NAMES: dict[str, Any] = SCALARS | {kind.__name__: kind for kind in CONTAINERS} | {"Scheduled": Scheduled}
SUBSCRIPTED: dict[str, Any] = {
    **{name: kind for kind in CONTAINERS for name in (kind.__name__, kind.__name__.title())},
    "Optional": Optional,
    "Union": Union,
}


class NotPlain(Exception):
    """The annotation is not one of the types an option may have."""


def typed(annotation: Any, lookup: Lookup) -> Any:
    """The typing object that an annotation means: text, a syntax tree, or that object itself.

    Raises NotPlain, SyntaxError, ValueError or TypeError for a type that no option may have.
    """
    if isinstance(annotation, str):
        annotation = ast.parse(annotation, mode="eval").body
    return evaluate(annotation, lookup) if isinstance(annotation, ast.expr) else plain(annotation)


def evaluate(node: ast.expr, lookup: Lookup) -> Any:
    """The typing object that a syntax tree means."""
    match node:
        case ast.Constant(value=None):
            return None
        case ast.Constant(value=str(text)):
            return evaluate(ast.parse(text, mode="eval").body, lookup)
        case ast.Name(id=name):
            return NAMES[name] if name in NAMES else lookup(name)
        case ast.Attribute(attr="Scheduled"):
            return Scheduled
        case ast.BinOp(left=left, op=ast.BitOr(), right=right):
            return Union[evaluate(left, lookup), evaluate(right, lookup)]  # noqa: UP007 - of two values
        case ast.Subscript(value=value, slice=inner):
            return _subscript(ast.unparse(value).rpartition(".")[2], inner, lookup)
    raise NotPlain(ast.unparse(node))


def _subscript(name: str, inner: ast.expr, lookup: Lookup) -> Any:
    items = inner.elts if isinstance(inner, ast.Tuple) else [inner]
    if name == "Literal":
        return Literal[tuple(ast.literal_eval(item) for item in items)]
    if name not in SUBSCRIPTED:
        raise NotPlain(f"{name}[{ast.unparse(inner)}]")
    dots = [isinstance(item, ast.Constant) and item.value is ... for item in items]
    arguments = [... if dot else evaluate(item, lookup) for dot, item in zip(dots, items, strict=True)]
    return SUBSCRIPTED[name][tuple(arguments) if len(arguments) > 1 else arguments[0]]


def plain(kind: object) -> Any:
    """``kind`` itself if it is a typing object an option may have; raises NotPlain."""

    def unknown(name: str) -> object:
        raise NotPlain(name)

    return evaluate(ast.parse(type_text(kind), mode="eval").body, unknown)


def arms(kind: Any) -> tuple[Any, ...]:
    """The members of a union, None included; another type alone."""
    return get_args(kind) if get_origin(kind) in (Union, types.UnionType) else (kind,)


def is_none(kind: Any) -> bool:
    """True for the type of None."""
    return kind is None or kind is type(None)


def type_text(kind: Any) -> str:
    """A type as Python writes it: ``tuple[float, float] | None``."""
    if is_none(kind):
        return "None"
    if kind is ...:
        return "..."
    if kind == Scheduled:
        return "Scheduled"
    if len(arms(kind)) > 1:
        return " | ".join(map(type_text, arms(kind)))
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return f"Literal[{', '.join(map(repr, arguments))}]"
    if origin is not None:
        return f"{origin.__name__}[{', '.join(map(type_text, arguments))}]"
    return str(getattr(kind, "__name__", kind))


_ONE: dict[Any, str] = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
_ONE[Scheduled] = "a number or {from: A, to: B, steps: N}"
_MANY = {int: "whole numbers", float: "numbers", bool: "true or false", str: "texts"}


def in_words(kind: Any) -> str:
    """A type as a sentence names its values: ``a list of 2 numbers or null``."""
    if is_none(kind):
        return "null"
    if len(arms(kind)) > 1:
        return " or ".join(in_words(arm) for arm in sorted(arms(kind), key=is_none))
    if kind in _ONE:
        return _ONE[kind]
    origin, arguments = get_origin(kind) or kind, get_args(kind)
    if origin is Literal:
        listed = ", ".join(map(shown, arguments))
        return f"one of {listed}" if len(arguments) > 1 else listed
    if origin is dict:
        return "a mapping"
    if not arguments:
        return "a list"
    if origin is list or ... in arguments:
        return f"a list of {_many(arguments[0])}"
    if len(set(arguments)) == 1:
        return f"a list of {len(arguments)} {_many(arguments[0])}"
    return f"a list of {len(arguments)}: {', '.join(map(in_words, arguments))}"


def _many(kind: Any) -> str:
    if kind in _MANY:
        return _MANY[kind]
    words = in_words(kind)
    return f"lists{words.removeprefix('a list')}" if words.startswith("a list") else f"items, each {words}"


def shown(value: object) -> str:
    """A value as a recipe writes it, text in quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    if isinstance(value, dict):
        text = f"{{{', '.join(f'{key}: {shown(own)}' for key, own in value.items())}}}"
    if isinstance(value, list | tuple):
        text = f"[{', '.join(map(shown, value))}]"
    return text if len(text) <= 60 else text[:57] + "..."
