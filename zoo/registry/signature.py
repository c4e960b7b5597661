"""What a target asks for and what its options are: ``read_signature``.

For values, terms, metrics and augmentations: a function's positional parameters are its needs; of a class, those of the
method in ``CALLED`` are, while ``__init__`` has the options (and may ask for sizes). A term's class that has
a ``learn()`` owns networks that learn; its positional parameters are needs of their own. For every other kind:
a function's or ``__init__``'s positional parameters are the needs. Options are always keyword-only.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import FunctionType
from typing import Any

from zoo.registry import parameters as docstrings
from zoo.registry import source
from zoo.registry.parameters import REQUIRED, Option, Parameters, TargetError, live, static

__all__ = ["REQUIRED", "Option", "Signature", "TargetError", "read_signature"]


CALLED = {"value": "forward", "term": "forward", "metric": "update", "augmentation": "forward"}
"""Of a class of these kinds, the method whose positional parameters are its needs."""


@dataclass(frozen=True)
class Signature:
    """A target as recipes and the resolver see it.

    Args:
        needs: what it asks for by parameter name.
        options: what a recipe may set.
        doc: its docstring without ``Args:``.
        file: where it is defined.
        line: of its ``def`` or ``class``.
        sizes: for a value, term or metric that is a class: the positional parameters of ``__init__``.
        learn: for a term whose class has a ``learn()``: what that asks for; else None.
        computes: for a metric that asks for ``compute``: what it computes anew -> what it gives for that.
    """

    needs: tuple[str, ...]
    options: tuple[Option, ...]
    doc: str
    file: str
    line: int
    sizes: tuple[str, ...] = ()
    learn: tuple[str, ...] | None = None
    computes: Mapping[str, tuple[str, ...]] | None = None

    @property
    def bindable(self) -> tuple[str, ...]:
        """The names that a recipe may bind to others."""
        anew = [name for computed, given in (self.computes or {}).items() for name in (computed, *given)]
        return tuple(dict.fromkeys((*self.needs, *(self.learn or ()), *anew)))


def read_signature(kind: str, target: str, load: Callable[[], Any]) -> Signature:
    """The signature of ``package.module:attribute``, from its source; by ``load()`` where that fails.

    Raises:
        TargetError: the target breaks the rules of ``zoo.api``.
    """
    module_name, _, attribute = target.partition(":")
    try:
        module, node = source.parse(module_name).find(attribute)
        return from_source(kind, module, node)
    except source.NotStatic:
        return from_object(kind, load())


def from_source(kind: str, module: source.Module, node: source.Definition) -> Signature:
    """The signature of a definition that was read, not run."""
    doc, place = ast.get_docstring(node), (module.file, node.lineno)
    if not isinstance(node, ast.ClassDef):
        return _signature(static(module, node, f"{node.name}()"), doc, place)

    def method(name: str) -> Parameters | None:
        member = source.member(module, node, name)
        if member is None:
            return None
        where, function = member
        if isinstance(function, ast.expr):
            raise source.NotStatic(f"{node.name}.{name} is no def")
        return static(where, function, f"{node.name}.{name}()", skip=1)

    def attribute(name: str, _default: object) -> object:
        member = source.member(module, node, name)
        try:
            return member and ast.literal_eval(member[1])
        except ValueError:
            raise source.NotStatic(f"{node.name}.{name} is no literal") from None

    return _of_class(kind, node.name, method, attribute, doc, place)


def from_object(kind: str, thing: Any) -> Signature:
    """The same of the object itself, for what the source does not say plainly."""
    doc, place = thing.__doc__, _place(thing)  # a class's own: inspect.getdoc() would take its base's
    if not inspect.isclass(thing):
        if not callable(thing):
            raise TargetError(f"it is {type(thing).__name__}, neither a class nor a function")
        name = thing.__name__ if isinstance(thing, FunctionType) else type(thing).__name__
        return _signature(live(thing, f"{name}()"), doc, place)

    def method(name: str) -> Parameters | None:
        owner = next((base for base in thing.__mro__ if name in vars(base)), object)
        if owner is not object and owner.__module__ != "torch.nn.modules.module":
            return live(getattr(thing, name), f"{thing.__name__}.{name}()", skip=1)
        return method("__new__") if name == "__init__" else None

    return _of_class(kind, thing.__name__, method, partial(getattr, thing), doc, place)


def _of_class(
    kind: str,
    name: str,
    method: Callable[[str], Parameters | None],
    attribute: Callable[..., object],
    doc: str | None,
    place: tuple[str, int],
) -> Signature:
    made = method("__init__") or Parameters()
    signature = _signature(made, doc, place)
    if kind not in CALLED:
        return signature
    called = method(CALLED[kind])
    learn = method("learn") if kind == "term" else None
    if called is None:
        raise TargetError(f"class {name} has no {CALLED[kind]}(), whose parameters say what a {kind} needs")
    for each, parameters in ((CALLED[kind], called), ("learn", learn)):
        if parameters and parameters.options:
            raise TargetError(f"{name}.{each}() has options; those of a class belong to its __init__()")
    learns = learn.positional if learn else None
    signature = replace(signature, needs=called.positional, sizes=made.positional, learn=learns)
    if kind != "metric" or "compute" not in signature.needs:
        return signature
    computes = attribute("computes", None)
    if not isinstance(computes, dict) or not all(isinstance(given, tuple) for given in computes.values()):
        cure = 'computes = {"sample": ("z",)} for samples of other codes'
        raise TargetError(f"{name}.update() asks for compute, and the class does not say what it computes; add {cure}")
    return replace(signature, needs=tuple(need for need in signature.needs if need != "compute"), computes=computes)


def _signature(parameters: Parameters, doc: str | None, place: tuple[str, int]) -> Signature:
    """The needs and options of a function or a constructor; an option's text is in either's docstring."""
    text, documented = docstrings.split(doc or "")
    documented = {**docstrings.split(parameters.doc)[1], **documented}
    options = tuple(replace(option, doc=documented.get(option.name, "")) for option in parameters.options)
    return Signature(parameters.positional, options, text, *place)


def _place(thing: Any) -> tuple[str, int]:
    """File and line; nothing and 0 for what has no source."""
    thing = inspect.unwrap(thing.func if isinstance(thing, partial) else thing)
    try:
        return inspect.getsourcefile(thing) or "", inspect.getsourcelines(thing)[1]
    except (TypeError, OSError):
        return "", 0
