"""A recipe's step taken apart: data, each phase's forward, gradients and optimisers, the average."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.augment import augmentations
from zoo.data.batches import Batches
from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe.schema import Phase, Recipe

NONE = -1
"""In the place of a phase's number: of no phase."""

DATA, AVERAGE = "data", "average"
FORWARD, SHARES, MOVE = "forward", "gradients", "optimiser"

Piece = tuple[int, str]
"""A phase's number and which part of it."""


@dataclass(frozen=True)
class Subject:
    """A recipe made ready to be timed; its weights move, and are thrown away.

    Args:
        engine: at a step in the middle of the training, so that what begins late counts.
        batches: its images.
        turns: of batches that are drawn on their own.
    """

    engine: Engine
    batches: Batches
    turns: Iterator[int]

    @classmethod
    def of(cls, recipe: Recipe, pixels: Tensor, device: torch.device) -> Subject:
        """A model of its own, on a device."""
        model, settings = Model(recipe, device), recipe.train
        engine = Engine(model)
        engine.step_index = middle(recipe)
        batches = Batches(
            pixels,
            settings.batch,
            recipe.seed,
            device=device,
            dtype=model.dtype,
            channels_last=settings.channels_last,
            augment=augmentations(recipe),
            on=settings.data_on,
        )
        return cls(engine, batches, count(engine.step_index * engine.turns))

    @property
    def recipe(self) -> Recipe:
        """Its recipe."""
        return self.engine.recipe

    def step(self, times: int = 1) -> None:
        """Trains; where the training would be over, back from its middle, as rates may end at 0."""
        if self.engine.step_index + times > self.recipe.train.steps:
            self.engine.step_index = middle(self.recipe)
        for _ in range(times):
            self.engine.step(self.batches)

    def images(self) -> Tensor:
        """The next batch."""
        return self.batches(next(self.turns))


def middle(recipe: Recipe) -> int:
    """The step that is timed first."""
    return recipe.train.steps // 2


def plays(phase: Phase) -> float:
    """How often a phase is played in a step, on average."""
    return phase.repeat / phase.every


def batches_a_step(recipe: Recipe) -> float:
    """How many batches a step takes, on average."""
    return 1 + sum(plays(phase) for phase in recipe.phases if phase.fresh)


def pieces(subject: Subject) -> dict[Piece, Callable[[], object]]:
    """Part -> one play of it, on its own. ``gradients`` is with its forward; compiled, these are one."""
    engine, x = subject.engine, subject.images()
    found: dict[Piece, Callable[[], object]] = {(NONE, DATA): subject.images}
    for number in range(len(subject.recipe.phases)):
        found |= {(number, name): run for name, run in _of_phase(engine, number, x).items()}
    if engine.average:
        found[NONE, AVERAGE] = partial(engine.average.update, engine.step_index)
    return found


def _of_phase(engine: Engine, number: int, x: Tensor) -> dict[str, Callable[[], object]]:
    plan, which = engine.plan_now(number), (number, 0)
    taken: dict[str, Any] = {}

    def forward() -> None:
        values = plan.forward(x, engine.step_index, partial(engine.model.draw, "bench"))
        for row in plan.rows:
            row.objective(values, lambda term: term.weight(engine.step_index))

    def shares() -> None:
        taken["losses"], taken["gradients"] = engine.shares(plan, x, which)

    def move() -> None:
        if not taken:
            shares()
        engine.move(plan, taken["losses"], taken["gradients"], which)

    apart: dict[str, Callable[[], object]] = {} if engine.recipe.train.compile else {FORWARD: forward}
    return {**apart, SHARES: shares, MOVE: move}


@dataclass(frozen=True)
class Held:
    """Bytes that training holds, counted.

    Args:
        backward: kept for a backward at the most, the largest phase's.
        moved: kept for all the backwards of a step, with repeats, divided by ``every``.
        weights: parameters that learn.
        optimizer: optimiser state.
        average: averaged weights.
    """

    backward: int
    moved: float
    weights: int
    optimizer: int
    average: int

    @property
    def total(self) -> int:
        """At the most: weights and a gradient of each, optimiser state, averages, and what a backward needs."""
        return self.backward + 2 * self.weights + self.optimizer + self.average


def held(subject: Subject) -> Held:
    """Counts what a subject that has stepped holds."""
    engine, settings = subject.engine, subject.recipe.train
    x = subject.images()
    x = x[: max(len(x) // settings.accumulate, 1)]
    kept = [_kept(engine, number, x) for number in range(len(subject.recipe.phases))]
    moved = sum(plays(phase) * n * settings.accumulate for phase, n in zip(subject.recipe.phases, kept, strict=True))
    parameters = [p for player in engine.players.values() for p in player.parameters.values()]
    tensors = [tensor for player in engine.players.values() for tensor in player.state().values()]
    averaged = _bytes(engine.average.averaged) if engine.average else 0
    return Held(max(kept), moved, sum(p.nbytes for p in parameters), sum(v.nbytes for v in tensors), averaged)


def _kept(engine: Engine, number: int, x: Tensor) -> int:
    """Bytes that autograd keeps for a phase's backward, each storage once; parameters are there anyway."""
    saved: dict[int, int] = {}
    alive: list[Tensor] = []  # so that no two storages have one address

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            saved[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        engine.gradients(engine.plan_now(number), x)
    return sum(saved.values())


def _bytes(tensors: Mapping[str, Tensor]) -> int:
    return sum(tensor.nbytes for tensor in tensors.values())
