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
from dataclasses import dataclass, field, replace
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
        returns: of a function in source that does nothing but return an expression, that expression.
    """

    needs: tuple[str, ...]
    options: tuple[Option, ...]
    doc: str
    file: str
    line: int
    sizes: tuple[str, ...] = ()
    learn: tuple[str, ...] | None = None
    computes: Mapping[str, tuple[str, ...]] | None = None
    returns: str = field(default="", compare=False)

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
    doc = ast.get_docstring(node) or ""
    if not isinstance(node, ast.ClassDef):
        found = _signature(kind, doc, static(module, node, f"{node.name}()"), None, module.file, node.lineno)
        return replace(found, returns=_returned(node))
    made = _static_method(module, node, "__init__")
    called = _static_method(module, node, CALLED[kind]) if kind in CALLED else None
    learn = _static_method(module, node, "learn") if kind == "term" else None
    found = _signature(kind, doc, made, called, module.file, node.lineno, node.name, learn)
    return found if kind != "metric" else _computing(found, node.name, source.constant(module, node, "computes"))


def from_object(kind: str, thing: Any) -> Signature:
    """The same, of an imported function or class."""
    doc = inspect.getdoc(thing) if not inspect.isclass(thing) or "__doc__" in vars(thing) else ""
    file, line = _place(thing)
    if not inspect.isclass(thing):
        if not callable(thing):
            raise TargetError(f"it is {type(thing).__name__}, neither a class nor a function")
        return _signature(kind, doc or "", live(thing, f"{_name(thing)}()"), None, file, line)
    made = _live_method(thing, "__init__") or _live_method(thing, "__new__")
    called = _live_method(thing, CALLED[kind]) if kind in CALLED else None
    learn = _live_method(thing, "learn") if kind == "term" else None
    found = _signature(kind, doc or "", made, called, file, line, thing.__name__, learn)
    return found if kind != "metric" else _computing(found, thing.__name__, getattr(thing, "computes", None))


def _signature(
    kind: str,
    doc: str,
    made: Parameters | None,
    called: Parameters | None,
    file: str,
    line: int,
    cls: str = "",
    learn: Parameters | None = None,
) -> Signature:
    if cls and kind in CALLED:
        if called is None:
            raise TargetError(f"class {cls} has no {CALLED[kind]}(), whose parameters say what a {kind} needs")
        for method, parameters in ((CALLED[kind], called), ("learn", learn)):
            if parameters and parameters.options:
                raise TargetError(f"{cls}.{method}() has options; those of a class belong to its __init__()")
    made = made or Parameters()
    text, documented = docstrings.split(doc)
    documented = {**docstrings.split(made.doc)[1], **documented}
    options = tuple(replace(o, doc=documented.get(o.name, "")) for o in made.options)
    if called is None:
        return Signature(made.positional, options, text, file, line)
    learns = learn.positional if learn else None
    return Signature(called.positional, options, text, file, line, made.positional, learns)


def _computing(signature: Signature, cls: str, computes: Any) -> Signature:
    """A metric's signature with what it computes anew, for which it asks for ``compute``."""
    if "compute" not in signature.needs:
        return signature
    if not isinstance(computes, dict) or not all(isinstance(given, tuple) for given in computes.values()):
        cure = 'computes = {"sample": ("z",)} for samples of other codes'
        raise TargetError(f"{cls}.update() asks for compute, and the class does not say what it computes; add {cure}")
    needs = tuple(name for name in signature.needs if name != "compute")
    return replace(signature, needs=needs, computes=computes)


def _returned(node: source.Function) -> str:
    body = node.body[1:] if ast.get_docstring(node) else node.body
    match body:
        case [ast.Return(value=ast.expr() as value)] if not node.decorator_list:
            return ast.unparse(value)
    return ""


def _static_method(module: source.Module, cls: ast.ClassDef, name: str) -> Parameters | None:
    found = source.method(module, cls, name)
    return static(*found, f"{cls.name}.{name}()", skip=1) if found else None


def _live_method(cls: type, name: str) -> Parameters | None:
    owner = next((base for base in cls.__mro__ if name in vars(base)), object)
    if owner is object or owner.__module__ == "torch.nn.modules.module":
        return None
    return live(getattr(cls, name), f"{cls.__name__}.{name}()", skip=1)


def _place(thing: Any) -> tuple[str, int]:
    """File and line; nothing and 0 for what has no source."""
    thing = inspect.unwrap(thing.func if isinstance(thing, partial) else thing)
    try:
        return inspect.getsourcefile(thing) or "", inspect.getsourcelines(thing)[1]
    except (TypeError, OSError):
        return "", 0


def _name(thing: Any) -> str:
    return thing.__name__ if isinstance(thing, FunctionType) else type(thing).__name__
