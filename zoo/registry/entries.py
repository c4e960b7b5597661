"""One component or recipe on the shelf, with who provides it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from importlib import import_module
from importlib import util as importlib_util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import api
from zoo.errors import RequestError
from zoo.registry.isolation import Failure, attempt
from zoo.registry.loading import explained, running

if TYPE_CHECKING:
    from zoo.registry.signature import Signature


class Unusable(RequestError):
    """A component or a recipe cannot be used; ``cause`` is why, without whose it is."""

    def __init__(self, label: str, cause: str) -> None:
        super().__init__(f"{label} cannot be used: {cause}")
        self.cause = cause


@dataclass(frozen=True)
class Entry:
    """A component and who provides it."""

    component: api.Component
    distribution: str
    version: str
    plugin: str

    @property
    def kind(self) -> str:
        """One of ``api.KINDS``."""
        return self.component.kind

    @property
    def name(self) -> str:
        """Its bare name."""
        return self.component.name

    @property
    def id(self) -> str:
        """``distribution/name``: what runs record."""
        return f"{self.distribution}/{self.name}"

    @property
    def target(self) -> str:
        """``package.module:attribute``."""
        return self.component.target

    @property
    def summary(self) -> str:
        """One line."""
        return self.component.summary

    @property
    def contract(self) -> str:
        """Shapes in and out; empty means the kind's own."""
        return self.component.contract

    @cached_property
    def signature(self) -> Signature:
        """What the target asks for and what its options are, read without importing it.

        Raises:
            RequestError: the target does not exist or breaks the rules of ``zoo.api``.
        """
        from zoo.registry.signature import TargetError, read_signature

        try:
            with running(self.distribution, self.plugin):
                return read_signature(self.kind, self.target, self.load)
        except TargetError as error:
            raise Unusable(self._label, str(error)) from None

    def variant(self, value: object) -> Entry:
        """The same with the target that a value of the option ``by`` chooses; itself for any other value."""
        target = self.component.variants.get(value) if isinstance(value, str) else None
        return replace(self, component=replace(self.component, target=target)) if target else self

    def variants(self) -> tuple[Entry, ...]:
        """Every variant; itself where there are none."""
        return tuple(map(self.variant, self.component.variants)) or (self,)

    def load(self) -> Any:
        """Import the target and return it.

        Raises:
            RequestError: the import failed, or there is no such attribute.
        """
        module_name, _, attribute = self.target.partition(":")
        with running(self.distribution, self.plugin):
            module = attempt(f"importing '{module_name}'", lambda: import_module(module_name))
            if isinstance(module, Failure):
                raise Unusable(self._label, explained(module, self.distribution)) from module.error
            thing = attempt(f"reading '{attribute}'", lambda: getattr(module, attribute))
        if isinstance(thing, Failure):
            raise Unusable(self._label, f"module '{module_name}' has no '{attribute}'") from thing.error
        return thing

    def check(self) -> None:
        """Reads the target's parameters, then imports it.

        Raises:
            RequestError: why it cannot be used.
        """
        self.signature  # noqa: B018 - read here, where the rules are checked
        self.load()

    @property
    def _label(self) -> str:
        return f"{self.kind} '{self.name}' of {self.distribution} {self.version} (plugin '{self.plugin}')"


@dataclass(frozen=True)
class RecipeEntry:
    """A bundled recipe and who ships it."""

    recipe: api.Recipe
    distribution: str
    version: str
    plugin: str

    @property
    def name(self) -> str:
        """Its bare name."""
        return self.recipe.name

    @property
    def id(self) -> str:
        """``distribution/name``."""
        return f"{self.distribution}/{self.name}"

    @property
    def summary(self) -> str:
        """One line."""
        return self.recipe.summary

    @property
    def file(self) -> Path:
        """Where the YAML is, found without importing more than its package's parents.

        Raises:
            RequestError: it is not there.
        """
        package, _, relative = self.recipe.path.partition(":")
        with running(self.distribution, self.plugin):
            spec = attempt(f"finding '{package}'", lambda: importlib_util.find_spec(package))
        if not isinstance(spec, Failure) and spec is not None:
            folders = spec.submodule_search_locations or [str(Path(spec.origin or "").parent)]
            for folder in folders:
                if (Path(folder) / relative).is_file():
                    return Path(folder) / relative
        label = f"recipe '{self.name}' of {self.distribution} {self.version} (plugin '{self.plugin}')"
        raise Unusable(label, f"there is no file '{self.recipe.path}'")
