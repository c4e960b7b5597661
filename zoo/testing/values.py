"""Recipes made tiny, and the checks of values and terms inside them: with real networks and real tensors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property, partial
from itertools import islice, product
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.engine.engine import Engine
from zoo.errors import RequestError
from zoo.model.model import Model, build_part
from zoo.recipe import load_recipe
from zoo.recipe.schema import Part, Recipe
from zoo.testing.arrays import CPU, GivesTensors, copied, equal, fields, finite, learners, missed, sides, total
from zoo.testing.core import Bench, Component, ContractError, require
from zoo.testing.networks import Saved
from zoo.types import tensors

BATCHES = (2, 3)
SIDES = (16, 32, 64)
"""Image sides that are tried before the recipe's own."""
BATCH, LATENT, NOISE, WIDTH = 4, 8, 4, 4

Plain = dict[str, Any]
"""A recipe's content, every default written out."""


def sizes_of(plain: Plain) -> list[int | list[int]]:
    """Sizes of images to try: squares, and the recipe's own."""
    sets = (plain["data"], *plain["data"].values())
    own = [part["size"] for part in sets if isinstance(part, dict) and "size" in part]
    return [*SIDES, *(size for size in own[:1] if size not in SIDES)]


def tiny(plain: Plain, bench: Bench, size: int | list[int]) -> Plain:
    """A recipe with images of a size, few codes, and networks as the examples of options say, or of width 4."""

    def small(part: Plain, kind: str) -> Plain:
        width = {"width": WIDTH} if kind not in ("value", "term") and type(part.get("width")) is int else {}
        return {**part, **width, **bench.example(kind, part)}

    sets = {"": plain["data"]} if "use" in plain["data"] else plain["data"]
    data = {key: {**p, "size": size} if "size" in p else p for key, p in sets.items()}
    slots = {label: small(p, str(p.get("kind", label.rsplit("_", 1)[-1]))) for label, p in plain["slots"].items()}
    reduced = {
        **plain,
        "data": data.get("", data),
        "latent": None if isinstance(plain["latent"], list) else LATENT,  # a map's shape is as its encoder says
        "noise": NOISE if plain["noise"] else 0,
        "train": {**plain["train"], "batch": BATCH, "steps": 2, "ema": 0.0, "precision": "float32"},
        "evaluate": {},
        "watch": {},
        "slots": slots,
        "values": {label: small(part, "value") for label, part in plain["values"].items()},
    }
    return _with_terms(reduced, lambda term: small(term, "term"))


def _with_terms(plain: Plain, edit: Callable[[Plain], Plain]) -> Plain:
    phases = [
        {**phase, "rows": {label: {n: edit(t) for n, t in row.items()} for label, row in phase["rows"].items()}}
        for phase in plain["phases"]
    ]
    return {**plain, "phases": phases}


class Setting(Component):
    """A value, a term or a metric in the smallest recipe that has what it asks for, at one or two image sizes.

    A recipe that uses it is preferred: one that was given, one of its own distribution, any other. Where none
    does, it is added to one.
    """

    @property
    def recipes(self) -> tuple[Recipe, ...]:
        """The recipe, at each of the sizes that it takes: two if it can."""
        found, reason = self._found
        cure = f"ship a recipe that uses it, or pass one, recipes={{'{self.key}': 'my.yaml'}}"
        cure += f", or other options, options={{'{self.key}': [{{...}}]}}"
        self.require(found, f"fits into no recipe that is installed ({reason}); {cure}")
        return found

    @cached_property
    def _found(self) -> tuple[tuple[Recipe, ...], str]:
        """The recipes; or why the one that came nearest is none."""
        reasons: dict[bool, str] = {}  # whether all that it asks for has a name there -> the first reason
        for plain in self._candidates():
            tried = (self._tried(plain, size, reasons) for size in sizes_of(plain))
            if found := tuple(islice(filter(None, tried), 1 if self.kind == "metric" else 2)):
                return found, ""
        return (), reasons.get(True, reasons.get(False, "there is none"))

    def _tried(self, plain: Plain, size: int | list[int], reasons: dict[bool, str]) -> Recipe | None:
        recipe = None
        try:
            recipe = self.bench.tiny(self._placed(tiny(plain, self.bench, size)))
            self.try_out(recipe)
        except (RequestError, ContractError) as error:
            problems = getattr(error, "problems", ())
            message = problems[0].message if problems else str(error).partition("\n")[0]
            reasons.setdefault(recipe is not None, message)
            return None
        return recipe

    def try_out(self, recipe: Recipe) -> None:
        """Raises where the recipe will not do: a RequestError, or a ContractError with the reason."""
        raise NotImplementedError

    def _candidates(self) -> Iterator[Plain]:
        """Recipes that use it, then recipes with it added; a term, to each row of the first phase, for it may not reach
        the players of some, with a weight of either sign."""
        bench, spec = self.bench, {"use": self.entry.id, **self.given}
        own = bench.recipes.get(self.key)
        recipes = list(bench.bundled()) if own is None else [load_recipe(own, (), bench.registry)]
        yield from (recipe.plain() for recipe in recipes if self._uses(recipe))
        for plain in (recipe.plain() for recipe in recipes):
            if self.kind == "metric":
                yield plain
            elif self.kind == "value":
                yield {**plain, "values": {**plain["values"], self.name: spec}}
            else:
                first, *rest = plain["phases"]
                for (label, row), weight in product(first["rows"].items(), (1.0, -1.0)):
                    rows = {**first["rows"], label: {**row, self.name: {**spec, "weight": weight}}}
                    yield {**plain, "phases": [{**first, "rows": rows}, *rest]}

    def _uses(self, recipe: Recipe) -> list[Part]:
        terms = [term.part for phase in recipe.phases for row in phase.played for term in row.terms]
        parts, mine = (*recipe.values.values(), *terms, *recipe.evaluate), (self.kind, self.entry.id, self.entry.target)
        return [part for part in parts if (part.entry.kind, part.entry.id, part.entry.target) == mine]

    def used(self, recipe: Recipe, learning: bool = False) -> Part:
        """The component where the recipe uses it."""
        return next(part for part in self._uses(recipe) if part.learning is learning)

    def _placed(self, plain: Plain) -> Plain:
        """The options that were given put where it is used; a metric goes in, all others having gone out."""

        def edit(part: Plain) -> Plain:
            return {**part, **self.given} if part["use"] == self.entry.id else part

        if self.kind == "metric":
            return {**plain, "evaluate": {self.name: {"use": self.entry.id, **self.given}}}
        if self.kind == "value":
            return {**plain, "values": {label: edit(part) for label, part in plain["values"].items()}}
        return _with_terms(plain, edit)


class Graph(Setting, GivesTensors):
    """A value or a term, and recipes to compute it in."""

    types: ClassVar = (torch.float64,)
    alike: ClassVar = False

    def try_out(self, recipe: Recipe) -> None:
        """Refuses a recipe whose values it cannot be given, or that it refuses itself; its checks say the rest."""
        try:
            inside = Inside(self, recipe)
        except RequestError:
            raise
        except Exception as error:  # whatever the parts around it may raise
            raise ContractError(f"what it asks for cannot be computed: {error}") from error
        try:
            inside.call()
        except ValueError as error:
            raise ContractError(f"it says: {error}") from error
        except Exception:  # noqa: BLE001 - its checks say so
            return

    @property
    def inside(self) -> Inside:
        """It, in the first of its recipes."""
        recipe = self.recipes[0]
        return self.bench.kept(self, "inside", lambda: Inside(self, recipe))

    def model(self, recipe: Recipe) -> Model:
        """A recipe's model, made once for all checks: calling a value or a term changes no network."""
        return self.bench.kept(self, f"model {id(recipe)}", lambda: ready(Model(recipe)))

    def insides(self) -> Iterator[tuple[Recipe, tuple[Any, ...]]]:
        """Computes it at each size of the recipe, in two batch sizes."""
        for recipe in self.recipes:
            yield recipe, tuple(Inside(self, recipe, batch).call() for batch in BATCHES)

    def compute(self, device: torch.device = CPU, dtype: torch.dtype = torch.float32) -> Any:
        """Its tensors in a model on a device; those of whole numbers are left out where a type is asked for."""
        given = tensors(Inside(self, self.recipes[0], device=device, dtype=dtype).call())
        return [tensor for tensor in given if tensor.is_floating_point() or dtype == torch.float32]

    def use(self) -> None:
        """Finds a recipe for it, the first time; makes it, and computes it."""
        inside = self.inside
        if inspect.isclass(self.target):
            build_part(inside.recipe, inside.part, owned=self.name)
        inside.call()

    def check_determinism(self) -> None:
        """It gives the same value again for the same numbers from 'draw'."""
        same = equal(self.inside.call(), self.inside.call())
        self.require(same, f"gives something else the second time; {self.repeated}")

    def check_inputs_untouched(self) -> None:
        """None of what it asks for is changed in place."""
        self.inside.call()
        pairs = self.inside.arguments.items()
        changed = [repr(name) for name, before in pairs if not equal(before, self.inside.handed[name])]
        told = f"changes {' and '.join(changed)} in place, which other terms use too"
        self.require(not changed, f"{told}; work on a copy")


class Value(Graph):
    """A value."""

    def check_shapes(self) -> None:
        """Finite tensors at two image sizes and two batch sizes; each side constant, or so many for each image."""
        for recipe, values in self.insides():
            first, second = map(tensors, values)
            where = f"at {recipe.x}"
            self.require(first, f"gives no tensor {where}, nor a dataclass, mapping or list of tensors")
            self.require(finite(values), f"gives numbers that are not finite {where}; look at what divides")
            self.require(len(first) == len(second), f"gives other tensors for another batch size {where}")
            for a, b in zip(first, second, strict=True):
                pairs = zip(a.shape, b.shape, strict=False)
                scales = a.ndim == b.ndim and all(m == n or m * BATCHES[1] == n * BATCHES[0] for m, n in pairs)
                told = f"gives {sides(a)} for a batch of 2 and {sides(b)} for one of 3"
                self.require(scales, f"{told}; a side is constant, or so many for each image")


class Term(Graph):
    """A term."""

    def check_scalar(self) -> None:
        """A finite scalar at two image sizes and two batch sizes."""
        for given in [value for _, values in self.insides() for value in values]:
            fits = isinstance(given, Tensor) and given.ndim == 0
            self.require(fits, f"gives {sides(given)}, where a scalar is promised; take the mean over the batch")
            self.require(finite(given), f"gives {given.item()}; look at what divides, and at logarithms")

    def check_gradients(self) -> None:
        """Autograd connects the term with a network of the recipe, or with its own."""
        inside = Inside(self, self.recipes[0])  # following a gradient uses it up
        given = [t for t in tensors(list(inside.arguments.values())) if t.requires_grad]
        leaves = {**learners(inside.model), **{f"argument {number}": t for number, t in enumerate(given)}}
        reached = len(missed(total(inside.call()), leaves)) < len(leaves)
        self.require(reached, "moves nothing: no gradient of it arrives at a network; is there a detach() in it?")


class LearningTerm(Term, Saved):
    """A term that owns networks which learn."""

    def fresh(self, seed: int = 0) -> nn.Module:
        """Its networks, in evaluation mode, in a recipe of another seed."""
        recipe = replace(self.recipes[0], seed=seed)
        return Inside(self, recipe).model.network(self.used(recipe).label)

    def look(self, module: nn.Module) -> Any:
        """The term's value with these networks."""
        inside = Inside(self, self.recipes[0])
        inside.arguments["self"] = module
        return inside.call()

    def check_learn(self) -> None:
        """``learn`` gives a finite scalar, whose gradient reaches every parameter of its networks."""
        for recipe in self.recipes:
            inside = Inside(self, recipe, learning=True)
            given = inside.call()
            sound = isinstance(given, Tensor) and given.ndim == 0 and finite(given)
            require(sound, f"learn() of {self} must give a finite scalar")
            idle = missed(given, learners(inside.model.network(inside.part.label)))
            told = f"learn() of {self} does not depend on {', '.join(idle[:5])}"
            require(not idle, f"{told}; use it, remove it or freeze it")


def ready(model: Model) -> Model:
    """A model in evaluation mode, whose players' parameters learn, and no others."""
    Engine(model, optimizers=False)
    return model.eval()


class Inside:
    """A value or a term, or if ``learning`` a term's ``learn``, inside a model: its arguments, and calling it."""

    def __init__(
        self,
        graph: Graph,
        recipe: Recipe,
        batch: int = BATCHES[0],
        device: torch.device = CPU,
        dtype: torch.dtype = torch.float32,
        learning: bool = False,
    ) -> None:
        self.recipe, self.part = recipe, graph.used(recipe, learning)
        shared = (device, dtype) == (CPU, torch.float32)
        self.model = graph.model(recipe) if shared else ready(Model(recipe, device).to(dtype))
        model, sizes, value = self.model, recipe.sizes, graph.kind == "value"
        self.function = model.functions[self.part.label] if value else model.terms[self.part.key]
        found = {name: tensor.to(device) for name, tensor in fields(recipe, batch, dtype=dtype).items()}
        given = {**model.counts(), **found, "batch": batch, "sizes": sizes}
        asked = {n: name for n, name in self.part.arguments.items() if name != "draw"}
        known = model.values([*asked.values()], given, partial(model.draw, "given"))
        self.arguments = dict(zip(asked, known, strict=True))

    def call(self) -> Any:
        """Calls it with copies of its arguments, and the same random numbers every time."""
        asks = {n: self.model.draw("own") for n, name in self.part.arguments.items() if name == "draw"}
        self.handed = {n: copied(value) for n, value in self.arguments.items()}
        return self.function(**self.handed, **asks)
