"""Recipes made tiny, and a recipe for a value, a term or a metric that wants checking."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import islice
from typing import Any

from zoo.errors import RequestError
from zoo.recipe import load_recipe
from zoo.recipe.schema import Part, Recipe
from zoo.registry import Entry
from zoo.testing.core import Bench, Case, ContractError, require

SIDES = (16, 32, 64)
"""Image sides that are tried before the recipe's own."""
BATCH, LATENT, NOISE, WIDTH = 4, 8, 4, 4

Plain = dict[str, Any]
"""A recipe's content, every default written out."""


def tiny(plain: Plain, bench: Bench, side: int) -> Plain:
    """A recipe with images of a side, few codes, and networks as the examples of options say, or of width 4."""
    train = {**plain["train"], "batch": BATCH, "steps": 2, "ema": 0.0, "precision": "float32"}
    small = {
        **plain,
        "data": {**plain["data"], "size": side},
        "latent": LATENT,
        "noise": NOISE if plain["noise"] else 0,
        "train": train,
        "evaluate": {},
        "watch": {},
    }
    small["slots"] = {label: _small(part, _kind(label, part), bench) for label, part in plain["slots"].items()}
    small["values"] = {label: _small(part, "value", bench) for label, part in plain["values"].items()}
    return _with_terms(small, lambda term: _small(term, "term", bench))


def _small(part: Plain, kind: str, bench: Bench) -> Plain:
    example = bench.example(kind, part["use"].rsplit("/", 1)[-1])
    width = {"width": WIDTH} if kind not in ("value", "term") and type(part.get("width")) is int else {}
    return {**part, **width, **example}


def _kind(label: str, part: Plain) -> str:
    return str(part.get("kind", label.rsplit("_", 1)[-1]))


def _with_terms(plain: Plain, edit: Callable[[Plain], Plain]) -> Plain:
    """A recipe with every term edited."""
    phases = [
        {**phase, "rows": {label: {n: edit(t) for n, t in row.items()} for label, row in phase["rows"].items()}}
        for phase in plain["phases"]
    ]
    return {**plain, "phases": phases}


def _identity(entry: Entry) -> tuple[str, str, str]:
    return entry.kind, entry.id, entry.target


class Setting:
    """A value, a term or a metric in the smallest recipe that has what it asks for, at one or two image sizes.

    A recipe that uses it is preferred: one that was given, one of its own distribution, any other. Where none
    does, it is added to one.

    Args:
        case: the component.
    """

    def __init__(self, case: Case) -> None:
        self.case = case

    def __str__(self) -> str:
        return str(self.case)

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipe, at each of the sizes that it takes: two if it can.

        Raises:
            ContractError: if there is no such recipe.
        """
        found, reason = self._found
        cure = f"ship a recipe that uses it, or pass one, recipes={{'{self.case.key}': 'my.yaml'}}"
        cure += f", or other options, options={{'{self.case.key}': [{{...}}]}}"
        require(found, f"{self.case} fits into no recipe that is installed ({reason}); {cure}")
        return found

    @cached_property
    def _found(self) -> tuple[tuple[Recipe, ...], str]:
        """The recipes; or why the one that came nearest is none."""
        reasons: list[tuple[bool, str]] = []
        wanted = 1 if self.case.entry.kind == "metric" else 2
        for plain in self._candidates():
            sides = dict.fromkeys((*SIDES, plain["data"]["size"]))
            tried = (self._tried(plain, side, reasons) for side in sides)
            if found := tuple(islice(filter(None, tried), wanted)):
                return found, ""
        nearest = [reason for names_known, reason in reasons if names_known] or [reason for _, reason in reasons]
        return (), (nearest or ["there is none"])[0]

    def _tried(self, plain: Plain, side: int, reasons: list[tuple[bool, str]]) -> Recipe | None:
        kept = self._placed(tiny(plain, self.case.bench, side))
        recipe = None
        try:
            recipe = load_recipe(kept, (), self.case.bench.registry)
            self.try_out(recipe)
        except (RequestError, ContractError) as error:
            problems = getattr(error, "problems", ())
            message = problems[0].message if problems else str(error).splitlines()[0]
            reasons.append((recipe is not None, message))
            return None
        return recipe

    def try_out(self, recipe: Recipe) -> None:
        """Raises where the recipe will not do: a RequestError, or a ContractError with the reason."""
        raise NotImplementedError

    def _candidates(self) -> Iterator[Plain]:
        """Recipes that use it, then recipes with it added."""
        bench = self.case.bench
        if self.case.key in bench.recipes:
            given = [load_recipe(bench.recipes[self.case.key], (), bench.registry)]
        else:
            given = list(bench.bundled())
        yield from (recipe.plain() for recipe in given if any(True for _ in self._uses(recipe)))
        for recipe in given:
            yield from self._with_it(recipe)

    def _uses(self, recipe: Recipe) -> Iterator[Part]:
        """Where a recipe uses it."""
        learning = [term.part for phase in recipe.phases for row in phase.played for term in row.terms]
        for part in (*recipe.values.values(), *learning, *recipe.evaluate):
            if _identity(part.entry) == _identity(self.case.entry):
                yield part

    def part(self, recipe: Recipe, learning: bool = False) -> Part:
        """The component where the recipe uses it."""
        return next(part for part in self._uses(recipe) if part.learning is learning)

    def _spec(self) -> Plain:
        return {"use": self.case.entry.id, **self.case.given}

    def _with_it(self, recipe: Recipe) -> Iterator[Plain]:
        """A recipe with it added; a term, to its first row, with a weight of either sign."""
        plain, kind, name = recipe.plain(), self.case.entry.kind, self.case.entry.name
        if kind == "value":
            yield {**plain, "values": {**plain["values"], name: self._spec()}}
        elif kind == "term":
            first, *rest = plain["phases"]
            label, row = next(iter(first["rows"].items()))
            for weight in (1.0, -1.0):
                rows = {**first["rows"], label: {**row, name: {**self._spec(), "weight": weight}}}
                yield {**plain, "phases": [{**first, "rows": rows}, *rest]}
        else:
            yield plain

    def _placed(self, plain: Plain) -> Plain:
        """The options that were given put where it is used; a metric goes in, all others having gone out."""
        kind, use, given = self.case.entry.kind, self.case.entry.id, self.case.given

        def edit(part: Plain) -> Plain:
            return {**part, **given} if part["use"] == use else part

        if kind == "metric":
            return {**plain, "evaluate": {self.case.entry.name: self._spec()}}
        if kind == "value":
            return {**plain, "values": {label: edit(part) for label, part in plain["values"].items()}}
        return _with_terms(plain, edit)
