"""Reads what a target asks for and what its options are: ``read_signature``.

For values, terms, metrics and augmentations: a function's positional parameters are its needs; of a class, those of the
method in ``CALLED`` are, while ``__init__`` has the options (and may ask for sizes). A term's class that has
a ``learn()`` owns networks that learn; its positional parameters are needs of their own. For every other kind:
a function's or ``__init__``'s positional parameters are the needs. Options are always keyword-only.

Parameters are read from source where it says them plainly, else from the imported object; both obey the same rules.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from inspect import Parameter
from types import FunctionType
from typing import Any, Final

from zoo.errors import RequestError
from zoo.registry import option_types, source

CALLED = {"value": "forward", "term": "forward", "metric": "update", "augmentation": "forward"}
"""Of a class of these kinds, the method whose positional parameters are its needs."""

CHANGING = ("term", "value", "optimizer", "augmentation")
"""Kinds whose options may change with the step."""

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
    """A keyword-only parameter, with its typing object, such as ``tuple[float, float]``, and that as Python writes it.

    The default is plain data, or ``REQUIRED``; ``doc`` is from ``Args:`` of the docstring.
    """

    name: str
    type: Any
    type_text: str
    default: object
    doc: str = ""


@dataclass(frozen=True)
class Signature:
    """A target as recipes and the resolver see it.

    Args:
        needs: what it asks for by parameter name.
        doc: its docstring without ``Args:``.
        sizes: for a value, term or metric that is a class: the positional parameters of ``__init__``.
        learn: for a term whose class has a ``learn()``: what that asks for; else None.
        computes: for a metric that asks for ``compute``: what it computes anew -> what it gives for that.
        annotations: the types that a function or ``__init__`` writes for its positional parameters.
    """

    needs: tuple[str, ...] = ()
    options: tuple[Option, ...] = ()
    doc: str = ""
    file: str = ""
    line: int = 0
    sizes: tuple[str, ...] = ()
    learn: tuple[str, ...] | None = None
    computes: Mapping[str, tuple[str, ...]] | None = None
    annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def bindable(self) -> tuple[str, ...]:
        """The names that a recipe may bind to others."""
        anew = [name for computed, given in (self.computes or {}).items() for name in (computed, *given)]
        return tuple(dict.fromkeys((*self.needs, *(self.learn or ()), *anew)))


def read_signature(kind: str, target: str, load: Callable[[], Any]) -> Signature:
    """The signature of ``package.module:attribute``, from its source or, where that is not plain, from ``load()``.

    Raises TargetError if the target breaks the rules of ``zoo.api``.
    """
    module_name, _, attribute = target.partition(":")
    try:
        module, node = source.parse(module_name).find(attribute)
        signature = _from_source(kind, module, node)
    except source.NotStatic:
        signature = from_object(kind, load())
    if kind not in CHANGING and (stuck := _scheduled(signature)):
        raise TargetError(f"option '{stuck[0]}' is Scheduled; those of {', '.join(CHANGING)} may change, of no {kind}")
    return signature


def _scheduled(signature: Signature) -> list[str]:
    """The options that may change with the step."""
    return [option.name for option in signature.options if "Scheduled" in option.type_text]


def _from_source(kind: str, module: source.Module, node: source.Definition) -> Signature:
    """The signature of a definition that was read, not run."""
    doc = ast.get_docstring(node)
    if not isinstance(node, ast.ClassDef):
        return _placed(_static(module, node, f"{node.name}()"), doc, module.file, node.lineno)

    def method(name: str) -> Signature | None:
        member = source.member(module, node, name)
        if member is None:
            return None
        where, function = member
        if isinstance(function, ast.expr):
            raise source.NotStatic(f"{node.name}.{name} is no def")
        return _static(where, function, f"{node.name}.{name}()", skip=1)

    def attribute(name: str, _default: object) -> object:
        member = source.member(module, node, name)
        try:
            return member and ast.literal_eval(member[1])
        except ValueError:
            raise source.NotStatic(f"{node.name}.{name} is no literal") from None

    return _placed(_of_class(kind, node.name, method, attribute), doc, module.file, node.lineno)


def from_object(kind: str, thing: Any) -> Signature:
    """The same of the object itself, for what the source does not say plainly."""
    doc, place = thing.__doc__, _place(thing)  # a class's own: inspect.getdoc() would take its base's
    if not inspect.isclass(thing):
        if not callable(thing):
            raise TargetError(f"it is {type(thing).__name__}, neither a class nor a function")
        name = thing.__name__ if isinstance(thing, FunctionType) else type(thing).__name__
        return _placed(_live(thing, f"{name}()"), doc, *place)

    def method(name: str) -> Signature | None:
        owner = next((base for base in thing.__mro__ if name in vars(base)), object)
        if owner is not object and owner.__module__ != "torch.nn.modules.module":
            return _live(getattr(thing, name), f"{thing.__name__}.{name}()", skip=1)
        return method("__new__") if name == "__init__" else None

    return _placed(_of_class(kind, thing.__name__, method, partial(getattr, thing)), doc, *place)


def _of_class(
    kind: str, name: str, method: Callable[[str], Signature | None], attribute: Callable[..., object]
) -> Signature:
    made = method("__init__") or Signature()
    if kind in CALLED and (stuck := _scheduled(made)):
        cure = "write a function, which is called anew at each step"
        raise TargetError(f"option '{stuck[0]}' of {name} is Scheduled, and a class is given its options once; {cure}")
    if kind not in CALLED:
        return made
    called = method(CALLED[kind])
    learn = method("learn") if kind == "term" else None
    if called is None:
        raise TargetError(f"class {name} has no {CALLED[kind]}(), whose parameters say what a {kind} needs")
    for each, parameters in ((CALLED[kind], called), ("learn", learn)):
        if parameters and parameters.options:
            raise TargetError(f"{name}.{each}() has options; those of a class belong to its __init__()")
    signature = replace(made, needs=called.needs, sizes=made.needs, learn=learn.needs if learn else None)
    if kind != "metric" or "compute" not in signature.needs:
        return signature
    computes = attribute("computes", None)
    if not isinstance(computes, dict) or not all(isinstance(given, tuple) for given in computes.values()):
        add = 'computes = {"sample": ("z",)} for samples of other codes'
        raise TargetError(f"{name}.update() asks for compute, and the class does not say what it computes; add {add}")
    return replace(signature, needs=tuple(need for need in signature.needs if need != "compute"), computes=computes)


def _placed(read: Signature, doc: str | None, file: str, line: int) -> Signature:
    """The signature with its place and documentation; an option's is in the docstring of the target or its function."""
    text, documented = split(doc or "")
    documented = {**split(read.doc)[1], **documented}
    options = tuple(replace(option, doc=documented.get(option.name, "")) for option in read.options)
    return replace(read, options=options, doc=text, file=file, line=line)


def _place(thing: Any) -> tuple[str, int]:
    """File and line; nothing and 0 for what has no source."""
    thing = inspect.unwrap(thing.func if isinstance(thing, partial) else thing)
    try:
        return inspect.getsourcefile(thing) or "", inspect.getsourcelines(thing)[1]
    except (TypeError, OSError):
        return "", 0


# -- parameters ----------------------------------------------------------------------------------------------


def _static(module: source.Module, node: source.Function, where: str, skip: int = 0) -> Signature:
    """The signature of a function in source; ``skip`` is 1 where its first parameter is ``self``."""
    decorators = (each.func if isinstance(each, ast.Call) else each for each in node.decorator_list)
    if any(ast.unparse(each).rpartition(".")[2] not in source.HARMLESS for each in decorators):
        raise source.NotStatic(f"{where} is decorated")
    return _checked(list(_written(node.args)), where, module.type_named, skip, ast.get_docstring(node))


def _live(function: Any, where: str, skip: int = 0) -> Signature:
    """The same of an imported function."""
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
) -> Signature:
    stars = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}
    starred = " and ".join(f"{stars[p.kind]}{p.name}" for p in parameters if p.kind in stars)
    if starred:
        raise TargetError(f"{where} takes {starred}, so its options cannot be known; name each one")
    positional = [p for p in parameters if p.kind is not p.KEYWORD_ONLY]
    if wrong := [p.name for p in positional if p.default is not EMPTY]:
        raise TargetError(f"parameter '{wrong[0]}' of {where} has a default but is positional; options go after a '*'")
    options = tuple(_option(p, where, lookup) for p in parameters if p.kind is p.KEYWORD_ONLY)
    types = {p.name: _written_type(p.annotation) for p in positional[skip:] if p.annotation is not EMPTY}
    return Signature(tuple(p.name for p in positional[skip:]), options, doc or "", annotations=types)


def _written_type(annotation: object) -> str:
    """A type as its author wrote it, without the quotes that some put around it."""
    text = ast.unparse(annotation) if isinstance(annotation, ast.expr) else annotation
    return (text if isinstance(text, str) else inspect.formatannotation(text)).strip("'")


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
