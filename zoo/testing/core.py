"""Contracts are made of checks of subjects; here are both, and the checks of every component, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from traceback import walk_tb
from typing import Any, TypeVar

from zoo.api import SIZES
from zoo.errors import Position, RequestError
from zoo.recipe import Source, load_recipe
from zoo.recipe.schema import Part, Recipe
from zoo.recipe.sections import TAKES
from zoo.recipe.yaml.read import read, write
from zoo.registry import REQUIRED, Entry, RecipeEntry, Registry, check_options, to_arguments
from zoo.registry.option_types import shown, type_text
from zoo.registry.signature import CALLED
from zoo.testing.traces import changed, put_back, taken

T = TypeVar("T")
Examples = Mapping[str, Sequence[Mapping[str, Any]]]
"""``"encoder/foo"`` -> options to check it with, one set after the other."""


class ContractError(AssertionError):
    """A part does not keep its contract. The message says what it does, what is promised, and the cure."""

    @property
    def reason(self) -> str:
        """What several checks may fail by: what was raised, and the line of the part's own that it came from."""
        cause = self.__cause__
        if cause is None:
            return str(self)
        frames = [frame for frame, _ in walk_tb(cause.__traceback__)]
        own = [
            frame for frame in frames if frame.f_globals.get("__name__", "").partition(".")[0] not in ("zoo", "torch")
        ]
        place = (own or frames)[-1]
        return f"{type(cause).__name__} at {place.f_code.co_filename}:{place.f_lineno}"


def require(kept: object, sentence: str) -> None:
    """Raises a ContractError with the sentence unless ``kept``."""
    if not kept:
        raise ContractError(sentence)


@dataclass(frozen=True)
class Check:
    """One check of one component, recipe or plugin; its action raises where the contract is not kept.

    Args:
        kind: one of ``zoo.api.KINDS``, ``"recipe"`` or ``"plugin"``.
        name: of the check, such as ``"state dict round trip"``.
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
        """Checks; a contract that is not kept is a ContractError, whose cause is whatever else the part raised."""
        with put_back():
            try:
                self.action()
            except ContractError:
                raise
            except (Exception, SystemExit) as error:  # whatever a part may raise
                first = (str(error).strip().splitlines() or ["without a word"])[0]
                what = f"{self.kind} '{self.component}' raised {type(error).__name__}: {first}"
                raise ContractError(f"{what} (in the check '{self.name}': {self.about})") from error


def failing(kind: str, component: str, name: str, sentence: str, example: str, about: str) -> Check:
    """A check that fails with a sentence."""
    return Check(kind, component, name, partial(require, False, sentence), example, about)


class Subject:
    """A thing that is checked. Its checks are its methods ``check_...``, whose docstrings say what they ask."""

    kind: str = ""
    name = ""
    example = ""

    def __str__(self) -> str:
        return f"{self.kind} '{self.name}'"

    def require(self, kept: object, sentence: str) -> None:
        """Raises a ContractError with the sentence behind its own name, unless ``kept``."""
        require(kept, f"{self} {sentence}")

    @classmethod
    def names(cls) -> list[str]:
        """The names of all checks there may be, those of its bases first."""
        found = [name for base in reversed(cls.__mro__) for name in vars(base) if name.startswith("check_")]
        return [name.removeprefix("check_") for name in dict.fromkeys(found)]

    def left_out(self) -> Collection[str]:
        """The names of checks that mean nothing for it."""
        return ()

    def checks(self) -> Iterator[Check]:
        """Its checks."""
        left_out = self.left_out()
        for name in (name for name in self.names() if name not in left_out):
            action = getattr(self, f"check_{name}")
            yield Check(self.kind, self.name, name.replace("_", " "), action, self.example, action.__doc__ or "")


@dataclass(eq=False)
class Bench:
    """Shared by the subjects of one plugin: all plugins, its distribution, and the arguments of ``checks``."""

    registry: Registry
    distribution: str
    options: Examples
    recipes: Mapping[str, Source]
    sizes: Mapping[str, Sequence[int]]
    _loaded: dict[str, Recipe] = field(default_factory=dict)
    _tiny: dict[str, Recipe] = field(default_factory=dict)
    _kept: tuple[object, dict[str, Any]] = (None, {})

    def recipe(self, entry: RecipeEntry) -> Recipe:
        """A bundled recipe, read once."""
        if entry.id not in self._loaded:
            self._loaded[entry.id] = load_recipe(entry.file, (), self.registry)
        return self._loaded[entry.id]

    def tiny(self, plain: Mapping[str, Any]) -> Recipe:
        """A recipe that was made tiny, read once: that of many parts is one and the same."""
        key = repr(plain)
        if key not in self._tiny:
            self._tiny[key] = load_recipe(plain, (), self.registry)
        return self._tiny[key]

    def kept(self, subject: object, name: str, make: Callable[[], T]) -> T:
        """What several checks of a subject need, made once; that of the subject before it is forgotten."""
        if self._kept[0] is not subject:
            self._kept = (subject, {})
        found = self._kept[1]
        if name not in found:
            found[name] = make()
        return found[name]  # type: ignore[no-any-return]

    def bundled(self, first: str = "") -> Iterator[Recipe]:
        """Every recipe there is that can be read: those of a distribution (this one) first, then the smallest."""
        readable = []
        for entry in self.registry.recipes():
            try:
                recipe = self.recipe(entry)
            except RequestError:
                continue  # its own check says why
            others = entry.distribution != (first or self.distribution)
            readable.append((others, len(recipe.slots), entry.name, recipe))
        yield from (recipe for *_, recipe in sorted(readable, key=lambda found: found[:3]))

    def example(self, kind: str, part: Mapping[str, Any]) -> Mapping[str, Any]:
        """The first example of options for a part of a recipe, of the variant that it is; none where there is none."""
        by, name = self.registry.find(kind, part["use"]).part.by, part["use"].rsplit("/", 1)[-1]
        given = self.options.get(f"{kind}/{name}", ())
        return next((each for each in given if each.get(by, part.get(by)) == part.get(by)), {})


GIVEN = {"optimizer": ("parameters",), **TAKES}
"""Kind -> what its targets may ask for. Networks and priors may ask for sizes; values, terms, metrics for any name."""


class Component(Subject):
    """A component, or a variant of it, with one set of options: those given, and all of them as plain data."""

    def __init__(
        self, entry: Entry, given: Mapping[str, Any], options: Mapping[str, Any], bench: Bench, example: str = ""
    ) -> None:
        self.kind, self.name, self.example = entry.kind, entry.name, example
        self.entry, self.given, self.options, self.bench = entry, given, options, bench
        self.key = f"{entry.kind}/{entry.name}"
        self.part = Part(entry.name, entry, dict(options), Position("contract"))

    @cached_property
    def target(self) -> Any:
        """The class or function, imported now."""
        return self.entry.load()

    def use(self) -> None:
        """Makes a new one and uses it."""
        raise NotImplementedError

    def refused(self, make: Callable[[], T], what: str = "made") -> T:
        """Calls ``make``; turns a ValueError or OSError of the part's own into a ContractError."""
        try:
            return make()
        except (ValueError, OSError) as error:
            cure = f"Give contract_tests() an example, options={{'{self.key}': [{{...}}]}}"
            raise ContractError(f"{self} cannot be {what}: {error}. {cure}") from error

    def check_signature(self) -> None:
        """The target is read without importing it, and asks for nothing that its kind is not given."""
        found, kind = self.entry.signature, self.kind
        if kind in CALLED:
            self._require_given(found.sizes, (*SIZES, "weight") if kind == "term" else SIZES)
        if kind in GIVEN or kind not in CALLED:
            self._require_given(found.needs, GIVEN.get(kind, SIZES))

    def _require_given(self, asked: Sequence[str], given: Sequence[str]) -> None:
        unknown = " and ".join(repr(name) for name in asked if name not in given)
        choices = ", ".join(map(repr, given)) or "nothing"
        cure = "If it is an option, put it after a '*' and give it a type"
        self.require(not unknown, f"asks for {unknown}, which nobody gives it ({choices} may be asked for). {cure}")

    def check_options_documented(self) -> None:
        """Every option is described under 'Args:' of the docstring, for 'zoo show'."""
        silent = [option.name for option in self.entry.signature.options if not option.doc]
        cure = f"write '{(silent or ['width'])[0]}: what it is' under 'Args:' of its docstring"
        self.require(not silent, f"does not say what option {' and '.join(map(repr, silent))} is: {cure}")

    def check_options_round_trip(self) -> None:
        """Every default, written as a recipe and read again, is accepted and gives the target the same argument."""
        written = read(write(self.options), "options").plain() if self.options else {}
        again, problems = check_options(self.entry.signature, written)
        told = f"refuses its own options, written out in full: {'; '.join(p.message for p in problems)}"
        self.require(not problems, f"{told}. Give the option a default of its own type, or the type of its default")
        arguments = to_arguments(self.entry.signature, again)
        for option in self.entry.signature.options:
            if option.default is not REQUIRED and option.name not in self.given:
                here, there, text = option.default, arguments[option.name], shown(again[option.name])
                same = here == there and (type(here) is type(there) or {type(here), type(there)} == {int, float})
                told = f"has option '{option.name}' ({type_text(option.type)}) = {here!r}, and {there!r} where a recipe"
                self.require(same, f"{told} says {text}; choose a plainer default")

    def check_no_global_side_effect(self) -> None:
        """Making and using it changes nothing of the whole process: no setting ever, nothing after the first time."""
        with put_back(), self._untouched("it is first made and used", settings=True):
            self.use()  # what it imports may change what is no setting
        with self._untouched("it is made and used"):
            self.use()

    @contextmanager
    def _untouched(self, doing: str, settings: bool = False) -> Iterator[None]:
        before = taken()
        yield
        found = changed(before, settings=settings)
        cure = "put it back, or do without"
        if any("random numbers" in name for name in found):
            cure = "draw from a parameter 'draw' (values, terms, priors, augmentations) or a generator of its own"
        self.require(not found, f"changes {' and '.join(found)} of the whole process when {doing}; {cure}")
