"""Checks of values and terms: inside a tiny recipe, with real networks and real tensors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.engine.engine import Engine
from zoo.errors import RequestError
from zoo.model.forward import Forward
from zoo.model.model import Model
from zoo.recipe.schema import Recipe
from zoo.testing.arrays import CPU, copies, devices, equal, finite, images, sides, tensors, total
from zoo.testing.common import untouched
from zoo.testing.core import Body, Case, ContractError, require
from zoo.testing.saving import STATE
from zoo.testing.tiny import Setting

BATCHES = (2, 3)


class Graph(Setting):
    """A value or a term, and recipes to compute it in."""

    def try_out(self, recipe: Recipe) -> None:
        """What it asks for can be computed, and it does not refuse that; what else it does, its checks say."""
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


class Inside:
    """A value or a term inside a model: what it is called with, and calling it.

    Args:
        setting: whose recipes it is checked in.
        recipe: one of them.
        batch: images in its batch.
        device: where the model is.
        dtype: the type of its numbers.
        learning: whether to look at a term's ``learn`` in place of its ``forward``.
    """

    def __init__(
        self,
        setting: Graph,
        recipe: Recipe,
        batch: int = BATCHES[0],
        device: torch.device = CPU,
        dtype: torch.dtype = torch.float32,
        learning: bool = False,
    ) -> None:
        self.setting, self.part = setting, setting.part(recipe, learning)
        self.model = Model(recipe, device).to(dtype)
        Engine(self.model, optimizers=False)  # lets the players' parameters learn, and no others
        self.model.eval()
        functions = self.model.functions if self.part.entry.kind == "value" else self.model.terms
        self.function = functions[self.part.label if self.part.entry.kind == "value" else self.part.key]
        sizes = recipe.sizes
        x = images(batch, sizes.channels, sizes.size, sizes.size, dtype=dtype).to(device)
        given = {"x": x, "batch": batch, "step": 0, "sizes": sizes}
        forward = Forward(recipe.graph, self.model.functions, given, self._slot, partial(self.model.draw, "given"))
        self.arguments = {n: forward.value(name, n) for n, name in self.part.arguments.items() if name != "draw"}

    def _slot(self, _: str, name: str) -> nn.Module:
        return self.model.network(name)

    def call(self) -> Any:
        """What it gives for copies of its arguments; its random numbers are the same every time."""
        asks = {n: self.model.draw("own") for n, name in self.part.arguments.items() if name == "draw"}
        self.handed = dict(zip(self.arguments, copies(list(self.arguments.values())), strict=True))
        return self.function(**self.handed, **asks)


def insides(setting: Graph, **how: Any) -> Iterator[Inside]:
    """It, at each size of the recipe and two batch sizes."""
    for recipe in setting.recipes:
        for batch in BATCHES:
            yield Inside(setting, recipe, batch, **how)


def shapes(setting: Graph) -> None:
    """Finite tensors at two image sizes and two batch sizes; each side constant, or so many for each image."""
    for recipe in setting.recipes:
        found = [tensors(Inside(setting, recipe, batch).call()) for batch in BATCHES]
        where = f"at size {recipe.sizes.size}"
        require(found[0], f"{setting} gives no tensor {where}, nor a dataclass, mapping or list of tensors")
        require(finite(found), f"{setting} gives numbers that are not finite {where}; look at what divides")
        require(len(found[0]) == len(found[1]), f"{setting} gives other tensors for another batch size {where}")
        for a, b in zip(*found, strict=True):
            told = f"{setting} gives {sides(a.shape)} for a batch of 2 and {sides(b.shape)} for one of 3"
            require(_scales(a, b), f"{told}; a side is constant, or so many for each image")


def _scales(a: Tensor, b: Tensor) -> bool:
    """Whether each side is equal, or in proportion to the batch."""
    return a.ndim == b.ndim and all(
        m == n or m * BATCHES[1] == n * BATCHES[0] for m, n in zip(a.shape, b.shape, strict=True)
    )


def scalar(setting: Graph) -> None:
    """A finite scalar at two image sizes and two batch sizes."""
    for inside in insides(setting):
        given = inside.call()
        what = sides(given.shape) if isinstance(given, Tensor) else type(given).__name__
        scalar = isinstance(given, Tensor) and given.ndim == 0
        require(scalar, f"{setting} gives {what}, where a scalar is promised; take the mean over the batch")
        require(finite(given), f"{setting} gives {given.item()}; look at what divides, and at logarithms")


def gradients(setting: Graph) -> None:
    """Autograd connects the term with a network of the recipe, or with its own."""
    inside = Inside(setting, setting.recipes[0])
    learners = [p for p in inside.model.parameters() if p.requires_grad]
    leaves = [t for t in tensors(list(inside.arguments.values())) if t.requires_grad]
    objective = total(inside.call())
    found: Any = ()
    if objective.requires_grad:
        found = torch.autograd.grad(objective, [*learners, *leaves], allow_unused=True)
    reached = any(gradient is not None for gradient in found)
    require(reached, f"{setting} moves nothing: no gradient of it arrives at a network; is there a detach() in it?")


def determinism(setting: Graph) -> None:
    """The same numbers from 'draw' give the same value."""
    inside = Inside(setting, setting.recipes[0])
    cure = "draw from its parameter 'draw', and keep nothing between calls"
    require(equal(inside.call(), inside.call()), f"{setting} gives something else the second time; {cure}")


def inputs_untouched(setting: Graph) -> None:
    """None of what it asks for is changed in place."""
    inside = Inside(setting, setting.recipes[0])
    inside.call()
    changed = [name for name, before in inside.arguments.items() if not equal(before, inside.handed[name])]
    told = f"{setting} changes {' and '.join(map(repr, changed))} in place"
    require(not changed, f"{told}, which other terms use too; work on a copy")


def dtype(setting: Graph) -> None:
    """In a model of float64 it gives float64."""
    exact = Inside(setting, setting.recipes[0], dtype=torch.float64).call()
    kinds = {str(t.dtype) for t in tensors(exact) if t.is_floating_point()}
    told = f"{setting} gives {' and '.join(sorted(kinds))} in a model of float64"
    require(kinds <= {"torch.float64"}, f"{told}; make new tensors like the old ones (x.new_zeros, zeros_like)")


def device_move(setting: Graph) -> None:
    """It can be computed on meta, where shapes are checked, and on a GPU if there is one."""
    for device in devices():
        try:
            given = Inside(setting, setting.recipes[0], device=device).call()
        except NotImplementedError:
            if device.type == "meta":
                continue  # it looks at numbers: zoo then checks recipes on the CPU
            raise
        away = {str(t.device) for t in tensors(given) if t.device.type != device.type}
        told = f"{setting} gives tensors on {' and '.join(away)} in a model on {device}"
        require(not away, f"{told}; make new ones where the old ones are (x.new_zeros, zeros_like)")


def no_global_side_effect(setting: Graph) -> None:
    """Computing it changes nothing that belongs to the whole process, torch's random numbers included."""
    inside = Inside(setting, setting.recipes[0])
    with untouched(setting.case, "it is computed"):
        inside.call()


class Learner(Graph):
    """A term that owns networks which learn."""

    def fresh(self, seed: int) -> nn.Module:
        """Its networks, in evaluation mode, in a recipe of another seed."""
        recipe = replace(self.recipes[0], seed=seed)
        return Inside(self, recipe).model.network(self.part(recipe).label)

    def look(self, module: nn.Module) -> Any:
        """What the term gives with these networks."""
        inside = Inside(self, self.recipes[0])
        inside.arguments["self"] = module
        return inside.call()


def learn(setting: Graph) -> None:
    """What its own networks minimise is a finite scalar, and its gradient reaches every parameter of theirs."""
    for recipe in setting.recipes:
        inside = Inside(setting, recipe, learning=True)
        given = inside.call()
        sound = isinstance(given, Tensor) and given.ndim == 0 and finite(given)
        require(sound, f"learn() of {setting} must give a finite scalar")
        named = dict(inside.model.network(inside.part.label).named_parameters())
        named = {name: p for name, p in named.items() if p.requires_grad}
        found: Any = [None] * len(named)
        if given.requires_grad:
            found = torch.autograd.grad(given, list(named.values()), allow_unused=True)
        missed = [name for name, gradient in zip(named, found, strict=True) if gradient is None]
        told = f"learn() of {setting} does not depend on {', '.join(missed[:5])}"
        require(not missed, f"{told}; use it, remove it or freeze it")


SHARED: tuple[Body, ...] = (determinism, inputs_untouched, dtype, device_move, no_global_side_effect)
VALUES: tuple[Body, ...] = (shapes, *SHARED)
TERMS: tuple[Body, ...] = (scalar, gradients, *SHARED)
LEARNERS: tuple[Body, ...] = (*TERMS, learn, *STATE)


def battery(case: Case) -> tuple[Body, ...]:
    """The checks of a value or a term."""
    if case.entry.kind == "value":
        return VALUES
    return LEARNERS if case.entry.signature.learn is not None else TERMS


def subject(case: Case) -> Graph:
    """What they look at."""
    return Graph(case) if case.entry.signature.learn is None else Learner(case)
