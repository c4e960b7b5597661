"""Finds definitions in source, so that nothing heavy is imported to list options.

Parent packages are imported (a module cannot be found otherwise) and imports are followed only inside the
target's own top-level package. Whatever is not plain text raises ``NotStatic``; the caller then imports.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib import util as importlib_util
from typing import Any

from zoo.registry import option_types
from zoo.registry.isolation import Failure, attempt

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef

MOST_HOPS = 5
"""How many re-exports or base classes are followed."""

_EMPTY_BASES = {"nn.Module", "torch.nn.Module", "Module", "object", "ABC", "abc.ABC", "Protocol"}
HARMLESS = {"no_grad", "inference_mode", "cache", "lru_cache", "final", "override", "compile", "autocast"}
"""Decorators that leave a signature as it is."""


class NotStatic(Exception):
    """The source does not say it plainly: compiled, generated, decorated, inherited from elsewhere."""


@dataclass(frozen=True)
class Module:
    """A parsed module."""

    name: str
    package: str
    file: str
    tree: ast.Module

    def find(self, name: str) -> tuple[Module, Definition]:
        """The ``def`` or ``class`` of a name, following ``from .x import name``."""
        module, node = self.binding(name)
        if isinstance(node, Definition):
            return module, node
        raise NotStatic(f"'{name}' is not a def or class in {module.file}")

    def binding(self, name: str, hops: int = MOST_HOPS) -> tuple[Module, ast.stmt]:
        """The last top-level statement that gives a name its meaning."""
        for node in reversed(self.tree.body):
            if isinstance(node, ast.ImportFrom):
                for alias in node.names:
                    if (alias.asname or alias.name) == name:
                        return self._imported(node, hops).binding(alias.name, hops - 1)
            elif name in _bound(node):
                return self, node
        raise NotStatic(f"'{name}' is not in {self.file}")

    def _imported(self, node: ast.ImportFrom, hops: int) -> Module:
        relative = "." * node.level + (node.module or "")
        absolute = importlib_util.resolve_name(relative, self.package) if node.level else relative
        if hops <= 0 or absolute.partition(".")[0] != self.name.partition(".")[0]:
            raise NotStatic(f"{self.file} imports it from '{absolute}'")
        return parse(absolute)

    def type_named(self, name: str) -> Any:
        """A module-level alias such as ``Norm = Literal["batch", "none"]``; raises NotPlain."""
        try:
            module, node = self.binding(name)
        except NotStatic:
            raise option_types.NotPlain(name) from None
        if not isinstance(node, ast.Assign | ast.AnnAssign) or node.value is None:
            raise option_types.NotPlain(name)
        return option_types.evaluate(node.value, module.type_named)


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, Definition):
        yield node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    yield from (target.id for target in targets if isinstance(target, ast.Name))


def parse(name: str) -> Module:
    """A module's source, parsed; the module itself is not imported."""
    spec = attempt(f"finding '{name}'", lambda: importlib_util.find_spec(name))
    if isinstance(spec, Failure) or spec is None or spec.loader is None:
        raise NotStatic(f"module '{name}' is not found")
    get_source = getattr(spec.loader, "get_source", None)
    text = attempt(f"reading '{name}'", lambda: get_source(name)) if get_source else None
    if not isinstance(text, str) or not spec.origin:
        raise NotStatic(f"module '{name}' has no source")
    package = name if spec.submodule_search_locations is not None else name.rpartition(".")[0]
    return Module(name, package, spec.origin, _tree(text))


@lru_cache(maxsize=64)
def _tree(text: str) -> ast.Module:
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError) as error:
        raise NotStatic(str(error)) from None


def member(
    module: Module, cls: ast.ClassDef, name: str, hops: int = MOST_HOPS
) -> tuple[Module, Function | ast.expr] | None:
    """The ``def`` or the expression that a name means in a class or its bases; None if neither says it."""
    if cls.keywords or cls.decorator_list or hops <= 0:
        raise NotStatic(f"class '{cls.name}' is made by a decorator or a metaclass, or has too many bases")
    for node in reversed(cls.body):
        if isinstance(node, Function) and node.name == name:
            return module, node
        if isinstance(node, Function) and node.name == "__new__":
            raise NotStatic(f"class '{cls.name}' has a __new__")
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None and name in _bound(node):
            return module, node.value
    inherited = (member(where, parent, name, hops - 1) for where, parent in _bases(module, cls))
    return next(filter(None, inherited), None)


def _bases(module: Module, cls: ast.ClassDef) -> Iterator[tuple[Module, ast.ClassDef]]:
    """The bases of a class that say anything, each with the module it is in."""
    for base in cls.bases:
        text = ast.unparse(base)
        try:
            where, parent = module.find(text)
        except NotStatic:
            if text in _EMPTY_BASES or text.startswith(("Generic[", "Protocol[")):
                continue
            raise
        if not isinstance(parent, ast.ClassDef):
            raise NotStatic(f"the base '{text}' of class '{cls.name}' is not a class")
        yield where, parent
