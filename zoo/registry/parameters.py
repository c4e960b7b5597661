"""The parameters of one function, from its source or from the function itself, and the rules they obey."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from zoo.errors import RequestError
from zoo.registry import option_types, source

POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


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
    source.require_harmless(node)
    spec = node.args
    if spec.vararg or spec.kwarg:
        args = spec.vararg.arg if spec.vararg else None
        raise TargetError(_starred(where, args, spec.kwarg.arg if spec.kwarg else None))
    positional = [argument.arg for argument in (*spec.posonlyargs, *spec.args)]
    if spec.defaults:
        raise TargetError(_defaulted(where, positional[-len(spec.defaults)]))
    options = []
    for argument, default in zip(spec.kwonlyargs, spec.kw_defaults, strict=True):
        if argument.annotation is None:
            raise TargetError(_untyped(where, argument.arg))
        kind = _typed(where, argument.arg, argument.annotation, module.type_named)
        options.append(_option(where, argument.arg, kind, REQUIRED if default is None else default))
    return Parameters(tuple(positional[skip:]), tuple(options), ast.get_docstring(node) or "")


def live(function: Any, where: str, skip: int = 0) -> Parameters:
    """The same of an imported function, for what the source does not say plainly."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise TargetError(f"the parameters of {where} cannot be read") from None
    starred = {p.kind: p.name for p in parameters if p.kind in (p.VAR_POSITIONAL, p.VAR_KEYWORD)}
    if starred:
        args, kwargs = (starred.get(k) for k in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD))
        raise TargetError(_starred(where, args, kwargs))
    positional = [p for p in parameters if p.kind in POSITIONAL]
    for p in positional:
        if p.default is not p.empty:
            raise TargetError(_defaulted(where, p.name))
    options = tuple(_live_option(function, where, p) for p in parameters if p.kind is p.KEYWORD_ONLY)
    return Parameters(tuple(p.name for p in positional[skip:]), options, inspect.getdoc(function) or "")


def _live_option(function: Any, where: str, parameter: inspect.Parameter) -> Option:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        raise TargetError(_untyped(where, parameter.name))
    names = getattr(inspect.unwrap(function), "__globals__", {})

    def lookup(name: str) -> Any:
        if name not in names:
            raise option_types.NotPlain(name)
        return option_types.plain(names[name])

    kind = _typed(where, parameter.name, annotation, lookup)
    return _option(where, parameter.name, kind, REQUIRED if parameter.default is parameter.empty else parameter.default)


def _typed(where: str, name: str, annotation: Any, lookup: option_types.Lookup) -> Any:
    try:
        if isinstance(annotation, str):
            annotation = ast.parse(annotation, mode="eval").body
        if isinstance(annotation, ast.expr):
            return option_types.evaluate(annotation, lookup)
        return option_types.plain(annotation)
    except (option_types.NotPlain, SyntaxError, ValueError, TypeError) as error:
        raise TargetError(
            f"option '{name}' of {where} has type {error}, which is not plain; an option is an int, float, "
            "bool, str, Literal[...], tuple[...], list[...] or dict[str, ...] of these, or None"
        ) from None


def _option(where: str, name: str, kind: Any, default: object) -> Option:
    try:
        if isinstance(default, ast.expr):
            default = ast.literal_eval(default)
        elif default is not REQUIRED and ast.literal_eval(repr(default)) != default:
            raise ValueError
    except (ValueError, SyntaxError, TypeError):
        raise TargetError(f"the default of option '{name}' of {where} must be a literal") from None
    return Option(name, kind, option_types.type_text(kind), default)


def _starred(where: str, args: str | None, kwargs: str | None) -> str:
    names = " and ".join(filter(None, [args and f"*{args}", kwargs and f"**{kwargs}"]))
    return f"{where} takes {names}, so its options cannot be known; name each one"


def _defaulted(where: str, name: str) -> str:
    return f"parameter '{name}' of {where} has a default but is positional; options go after a '*'"


def _untyped(where: str, name: str) -> str:
    return f"option '{name}' of {where} has no type; give it one, such as '{name}: float'"


_HEADING = re.compile(r"(Args|Arguments|Options):\s*")


_ITEM = re.compile(r"\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)")


def split(docstring: str) -> tuple[str, dict[str, str]]:
    """``(text without its Args section, {parameter: what it says})``."""
    text: list[str] = []
    section: list[str] = []
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        if _HEADING.fullmatch(line):
            inside = True
            continue
        if line and not line[0].isspace():
            inside = False
        (section if inside else text).append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip(), _items(section)


def _items(lines: list[str]) -> dict[str, str]:
    written = [line for line in lines if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in written), default=0)
    items: dict[str, list[str]] = {}
    current: list[str] = []
    for line in written:
        match = _ITEM.fullmatch(line.strip()) if not line[margin].isspace() else None
        if match:
            current = items.setdefault(match[1], [])
            current.append(match[2])
        else:
            current.append(line.strip())
    return {name: " ".join(filter(None, parts)) for name, parts in items.items()}
