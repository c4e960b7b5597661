"""What a contract is made of: checks, the cases that they look at, and what the cases have in common.

Nothing here imports torch or pytest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from zoo.errors import Position, RequestError
from zoo.recipe import Source, load_recipe
from zoo.recipe.schema import Part, Recipe
from zoo.registry import Entry, RecipeEntry, Registry
from zoo.testing.traces import put_back

LONGEST_EXAMPLE = 60

Examples = Mapping[str, Sequence[Mapping[str, Any]]]
"""``"encoder/foo"`` -> options to check it with, one set after the other."""


class ContractError(AssertionError):
    """A part does not keep its contract. The message says what it does, what is promised, and the cure."""


def require(kept: object, sentence: str) -> None:
    """Raises unless ``kept``.

    Raises:
        ContractError: with the sentence.
    """
    if not kept:
        raise ContractError(sentence)


@dataclass(frozen=True)
class Check:
    """One check of one component, recipe or plugin.

    Args:
        kind: one of ``zoo.api.KINDS``, ``"recipe"`` or ``"plugin"``.
        component: its name.
        name: of the check, such as ``"state dict round trip"``.
        action: what to do; it raises where the contract is not kept.
        example: the options it is checked with, where there is more than one set.
        about: what the check asks, in a sentence.
    """

    kind: str
    component: str
    name: str
    action: Callable[[], None] = field(repr=False)
    example: str = ""
    about: str = ""

    @property
    def key(self) -> str:
        """``encoder/foo::shapes``: the check whatever the options."""
        return f"{self.kind}/{self.component}::{self.name}"

    @property
    def id(self) -> str:
        """``encoder/foo[width=8]::shapes``."""
        return f"{self.kind}/{self.component}{f'[{self.example}]' if self.example else ''}::{self.name}"

    def run(self) -> None:
        """Checks.

        Raises:
            ContractError: the contract is not kept; whatever else the part raised is its cause.
        """
        with put_back():
            try:
                self.action()
            except ContractError:
                raise
            except (Exception, SystemExit) as error:  # whatever a part may raise
                first = (str(error).strip().splitlines() or ["without a word"])[0]
                what = f"{self.kind} '{self.component}' raised {type(error).__name__}: {first}"
                raise ContractError(f"{what} (in the check '{self.name}': {self.about})") from error


@dataclass(eq=False)
class Bench:
    """What the cases of one plugin share.

    Args:
        registry: the plugins.
        distribution: whose parts are checked first; ``local`` for a file.
        options: examples of options, by ``kind/name``.
        recipes: a recipe to check a value, term or metric in, by ``kind/name``.
        sizes: image sides to try first, by ``kind/name``.
    """

    registry: Registry
    distribution: str
    options: Examples
    recipes: Mapping[str, Source]
    sizes: Mapping[str, Sequence[int]]
    _loaded: dict[str, Recipe] = field(default_factory=dict)

    def recipe(self, entry: RecipeEntry) -> Recipe:
        """A bundled recipe, read once."""
        if entry.id not in self._loaded:
            self._loaded[entry.id] = load_recipe(entry.file, (), self.registry)
        return self._loaded[entry.id]

    def bundled(self, first: str = "") -> Iterator[Recipe]:
        """Every recipe there is that can be read: those of a distribution (this one) first, then the smallest."""
        first = first or self.distribution
        readable = []
        for entry in self.registry.recipes():
            try:
                recipe = self.recipe(entry)
            except RequestError:
                continue  # its own check says why
            readable.append((entry.distribution != first, len(recipe.slots), entry.name, recipe))
        yield from (recipe for *_, recipe in sorted(readable, key=lambda found: found[:3]))

    def example(self, kind: str, name: str) -> Mapping[str, Any]:
        """The first example of a part's options; none where there is none."""
        return next(iter(self.options.get(f"{kind}/{name}", ())), {})


@dataclass(eq=False)
class Case:
    """One component with one set of options.

    Args:
        entry: the component, or a variant of it.
        given: the options that were given.
        options: all of them, as plain data.
        bench: what it is checked on.
    """

    entry: Entry
    given: Mapping[str, Any]
    options: Mapping[str, Any]
    bench: Bench

    @property
    def key(self) -> str:
        """``encoder/foo``."""
        return f"{self.entry.kind}/{self.entry.name}"

    def __str__(self) -> str:
        return f"{self.entry.kind} '{self.entry.name}'"

    @cached_property
    def part(self) -> Part:
        """The component as a recipe would use it."""
        return Part(self.entry.name, self.entry, dict(self.options), Position("contract"))

    @cached_property
    def target(self) -> Any:
        """The class or function, imported now."""
        return self.entry.load()


Body = Callable[[Any], None]
"""A check as it is written: a function of what it looks at, named and described by itself."""


def named(body: Body) -> str:
    """``state_dict_round_trip`` -> ``state dict round trip``."""
    return body.__name__.replace("_", " ")


def shown(options: Mapping[str, Any]) -> str:
    """Options in a line: ``width=8, norm=none``; paths by their last name."""
    texts = []
    for key, value in options.items():
        text = Path(value).name if isinstance(value, str) and "/" in value else str(value)
        texts.append(f"{key}={text}")
    whole = ", ".join(texts)
    return whole if len(whole) <= LONGEST_EXAMPLE else whole[: LONGEST_EXAMPLE - 3] + "..."
