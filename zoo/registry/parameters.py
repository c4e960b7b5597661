"""Reads the parameters of a function, from its source or from the function itself, and checks the rules they obey."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from inspect import Parameter
from typing import Any, Final

from zoo.errors import RequestError
from zoo.registry import option_types, source

EMPTY = Parameter.empty


class TargetError(RequestError):
    """A target breaks the rules of ``zoo.api``; whose it is, the caller says."""


class _Required(Enum):
    REQUIRED = "required"

    def __repr__(self) -> str:
        return "REQUIRED"


REQUIRED: Final = _Required.REQUIRED
"""The default of an option that has none."""


@dataclass(frozen=True)
class Option:
    """A keyword-only parameter.

    Args:
        name: as the recipe writes it.
        type: the typing object, such as ``tuple[float, float]``.
        type_text: the same as Python writes it.
        default: plain data, or ``REQUIRED``.
        doc: from ``Args:`` of the docstring.
    """

    name: str
    type: Any
    type_text: str
    default: object
    doc: str = ""


@dataclass(frozen=True)
class Parameters:
    """Parameters of one function, ``self`` removed."""

    positional: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    doc: str = ""


def static(module: source.Module, node: source.Function, where: str, skip: int = 0) -> Parameters:
    """Parameters read from source; ``skip`` is 1 where the first is ``self``."""
    decorators = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
    if any(ast.unparse(each).rpartition(".")[2] not in source.HARMLESS for each in decorators):
        raise source.NotStatic(f"{where} is decorated")
    return _checked(list(_written(node.args)), where, module.type_named, skip, ast.get_docstring(node))


def live(function: Any, where: str, skip: int = 0) -> Parameters:
    """The same of an imported function, for what the source does not say plainly."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        raise TargetError(f"the parameters of {where} cannot be read") from None
    names = getattr(inspect.unwrap(function), "__globals__", {})

    def lookup(name: str) -> Any:
        if name not in names:
            raise option_types.NotPlain(name)
        return option_types.plain(names[name])

    return _checked(parameters, where, lookup, skip, inspect.getdoc(function))


def _written(spec: ast.arguments) -> Iterator[Parameter]:
    """The parameters of a ``def``; their annotations and defaults are syntax trees."""
    positional = [*spec.posonlyargs, *spec.args]
    without = len(positional) - len(spec.defaults)
    groups: list[tuple[Any, Sequence[ast.arg | None], Sequence[ast.expr | None]]] = [
        (Parameter.POSITIONAL_OR_KEYWORD, positional, [*[None] * without, *spec.defaults]),
        (Parameter.VAR_POSITIONAL, [spec.vararg], [None]),
        (Parameter.KEYWORD_ONLY, spec.kwonlyargs, spec.kw_defaults),
        (Parameter.VAR_KEYWORD, [spec.kwarg], [None]),
    ]
    for kind, arguments, defaults in groups:
        for argument, default in zip(arguments, defaults, strict=True):
            if argument:
                yield Parameter(argument.arg, kind, default=default or EMPTY, annotation=argument.annotation or EMPTY)


def _checked(
    parameters: Sequence[Parameter], where: str, lookup: option_types.Lookup, skip: int, doc: str | None
) -> Parameters:
    stars = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}
    starred = " and ".join(f"{stars[p.kind]}{p.name}" for p in parameters if p.kind in stars)
    if starred:
        raise TargetError(f"{where} takes {starred}, so its options cannot be known; name each one")
    positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    if wrong := [p.name for p in positional if p.default is not EMPTY]:
        raise TargetError(f"parameter '{wrong[0]}' of {where} has a default but is positional; options go after a '*'")
    options = tuple(_option(p, where, lookup) for p in parameters if p.kind is p.KEYWORD_ONLY)
    return Parameters(tuple(p.name for p in positional[skip:]), options, doc or "")


def _option(parameter: Parameter, where: str, lookup: option_types.Lookup) -> Option:
    name, default = parameter.name, parameter.default
    if parameter.annotation is EMPTY:
        raise TargetError(f"option '{name}' of {where} has no type; give it one, such as '{name}: float'")
    try:
        kind = option_types.typed(parameter.annotation, lookup)
    except (option_types.NotPlain, SyntaxError, ValueError, TypeError) as error:
        raise TargetError(
            f"option '{name}' of {where} has type {error}, which is not plain; an option is an int, float, "
            "bool, str, Literal[...], tuple[...], list[...] or dict[str, ...] of these, or None"
        ) from None
    try:
        if isinstance(default, ast.expr):
            default = ast.literal_eval(default)
        elif default is EMPTY:
            default = REQUIRED
        elif ast.literal_eval(repr(default)) != default:
            raise ValueError
    except (ValueError, SyntaxError, TypeError):
        raise TargetError(f"the default of option '{name}' of {where} must be a literal") from None
    return Option(name, kind, option_types.type_text(kind), default)


_HEADING = re.compile(r"(Args|Arguments|Options):\s*")
_ITEM = re.compile(r"\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)")


def split(docstring: str) -> tuple[str, dict[str, str]]:
    """``(text without its Args section, {parameter: what it says})``."""
    text: list[str] = []
    items: dict[str, list[str]] = {}
    item: list[str] = []
    margin: int | None = None  # of the section's items; None outside it
    for line in inspect.cleandoc(docstring).splitlines():
        indent = len(line) - len(line.lstrip())
        if _HEADING.fullmatch(line):
            margin = 0
        elif margin is None or (line and not indent):
            margin = None
            text.append(line)
        elif line:
            margin = margin or indent
            match = _ITEM.fullmatch(line.strip()) if indent <= margin else None
            item = items.setdefault(match[1], []) if match else item
            item.append(match[2] if match else line.strip())
    documented = {name: " ".join(filter(None, parts)) for name, parts in items.items()}
    return re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip(), documented
