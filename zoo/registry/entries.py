"""Components and recipes, each with the package and plugin that provide it."""

from __future__ import annotations

import importlib.util
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo import api
from zoo.errors import RequestError
from zoo.machine.process import importing
from zoo.registry.isolation import Failure, attempt, torch_as_it_was
from zoo.registry.loading import explained, running

if TYPE_CHECKING:
    from zoo.registry.signature import Signature


class Unusable(RequestError):
    """A component or a recipe cannot be used; ``cause`` is why, without whose it is."""

    def __init__(self, label: str, cause: str) -> None:
        super().__init__(f"{label} cannot be used: {cause}")
        self.cause = cause


@dataclass(frozen=True)
class Named:
    """A component or a recipe, as its plugin describes it, and the package and plugin that provide it."""

    part: api.Component | api.Recipe
    distribution: str
    version: str
    plugin: str

    @property
    def kind(self) -> str:
        """One of ``api.KINDS``; or ``recipe``, or ``table`` for a table of recipes."""
        return self.part.kind if isinstance(self.part, api.Component) else "table" if self.part.table else "recipe"

    @property
    def name(self) -> str:
        """Its bare name."""
        return self.part.name

    @property
    def id(self) -> str:
        """``distribution/name``: what runs record."""
        return f"{self.distribution}/{self.name}"

    @property
    def summary(self) -> str:
        """One line."""
        return self.part.summary

    def row(self) -> dict[str, str]:
        """What a list of parts says of it."""
        package = f"{self.distribution} {self.version}"
        return {"kind": self.kind, "name": self.name, "id": self.id, "package": package, "summary": self.summary}

    def _unusable(self, cause: str) -> Unusable:
        whose = f"{self.distribution} {self.version} (plugin '{self.plugin}')"
        return Unusable(f"{self.kind} '{self.name}' of {whose}", cause)


@dataclass(frozen=True)
class Entry(Named):
    """A component, and who provides it."""

    part: api.Component

    @property
    def target(self) -> str:
        """``package.module:attribute``."""
        return self.part.target

    @cached_property
    def signature(self) -> Signature:
        """The target's needs and options; raises RequestError if it is not there or breaks the rules of ``zoo.api``."""
        from zoo.registry.signature import TargetError, read_signature

        try:
            with running(self.distribution, self.plugin):
                return read_signature(self.kind, self.target, self.load)
        except TargetError as error:
            raise self._unusable(str(error)) from None

    def variant(self, value: object) -> Entry:
        """The same with the target that a value of the option ``by`` chooses; itself for any other value."""
        target = self.part.variants.get(value) if isinstance(value, str) else None
        return replace(self, part=replace(self.part, target=target)) if target else self

    def variants(self) -> tuple[Entry, ...]:
        """Every variant; itself where there are none."""
        return tuple(map(self.variant, self.part.variants)) or (self,)

    def load(self) -> Any:
        """Imports the target and returns it; raises RequestError where that fails."""
        module_name, _, attribute = self.target.partition(":")
        with running(self.distribution, self.plugin), torch_as_it_was(self._warn):
            with nullcontext() if module_name in sys.modules else importing():
                module = attempt(f"importing '{module_name}'", lambda: importlib.import_module(module_name))
            if isinstance(module, Failure):
                raise self._unusable(explained(module, self.distribution)) from module.error
            thing = attempt(f"reading '{attribute}'", lambda: getattr(module, attribute))
        if isinstance(thing, Failure):
            raise self._unusable(f"module '{module_name}' has no '{attribute}'") from thing.error
        return thing

    def _warn(self, said: str) -> None:
        print(f"zoo: warning: module '{self.target.partition(':')[0]}' of {self.distribution}: {said}", file=sys.stderr)

    def check(self) -> None:
        """Reads the target's parameters, then imports it; raises RequestError if it cannot be used."""
        self.signature  # noqa: B018 - read here, where the rules are checked
        self.load()


@dataclass(frozen=True)
class RecipeEntry(Named):
    """A recipe or a table of recipes, and who ships it."""

    part: api.Recipe

    def row(self) -> dict[str, str]:
        """What a list of recipes says of it."""
        return {**super().row(), "family": self.part.family}

    @property
    def file(self) -> Path:
        """The YAML file, found without importing more than its package's parents; RequestError if it is not there."""
        package, _, relative = self.part.path.partition(":")
        with running(self.distribution, self.plugin):
            spec = attempt(f"finding '{package}'", lambda: importlib.util.find_spec(package))
        if not isinstance(spec, Failure) and spec is not None:
            folders = spec.submodule_search_locations or [str(Path(spec.origin or "").parent)]
            for folder in folders:
                if (Path(folder) / relative).is_file():
                    return Path(folder) / relative
        raise self._unusable(f"there is no file '{self.part.path}'")
