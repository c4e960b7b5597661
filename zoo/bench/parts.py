"""A recipe's step taken apart: data, each phase's forward, gradients and optimisers, the average."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

from zoo.check.cost import saved_bytes
from zoo.data.batches import Batches
from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe.schema import Phase, Recipe
from zoo.types import Batch, Examples

DATA, FORWARD, SHARES, MOVE, AVERAGE = "data", "forward", "gradients", "optimiser", "average"

Pieces = dict[tuple[str, str], tuple[float, Callable[[], object]]]
"""A phase's number and rows, empty for no phase, and a part -> how often it is played in a step, and one play of it."""


@dataclass(frozen=True)
class Subject:
    """A recipe made ready to be timed; its weights move, and are thrown away.

    Its engine is at a step in the middle of the training, so that what begins late counts; ``turns`` are of batches
    that are drawn on their own.
    """

    engine: Engine
    batches: Batches
    turns: Iterator[int]

    @classmethod
    def of(cls, model: Model, examples: Examples) -> Subject:
        """A model made ready on the device that it is on."""
        engine = Engine(model)
        engine.begin_at(model.recipe.train.steps // 2)
        batches = Batches.of(model.recipe, examples, model.device, model.dtype)
        return cls(engine, batches, count(engine.step_index * engine.turns))

    @property
    def recipe(self) -> Recipe:
        """Its recipe."""
        return self.engine.recipe

    def step(self, times: int = 1) -> None:
        """Trains; where the training would be over, back from its middle, as rates may end at 0."""
        if self.engine.step_index + times > self.recipe.train.steps:
            self.engine.begin_at(self.recipe.train.steps // 2)
        for _ in range(times):
            self.engine.step(self.batches)

    def images(self) -> Batch:
        """The next batch."""
        return self.batches(next(self.turns))


def plays(phase: Phase) -> float:
    """How often a phase is played in a step, on average."""
    return phase.repeat / phase.every


def batches_a_step(recipe: Recipe) -> float:
    """How many batches a step takes, on average."""
    return 1 + sum(plays(phase) for phase in recipe.phases if phase.fresh)


def pieces(subject: Subject) -> Pieces:
    """The parts of a step, each on its own. ``gradients`` is with its forward; compiled, these are one."""
    engine, x = subject.engine, subject.images()
    taken: Pieces = {("", DATA): (batches_a_step(subject.recipe), subject.images)}
    for number, phase in enumerate(subject.recipe.phases):
        title = f"{number + 1}: {', '.join(row.label for row in phase.rows)}"
        taken |= {(title, name): (plays(phase), run) for name, run in _of_phase(engine, number, x).items()}
    if engine.average:
        taken["", AVERAGE] = 1, partial(engine.average.update, engine.step_index)
    return taken


def _of_phase(engine: Engine, number: int, x: Batch) -> dict[str, Callable[[], object]]:
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
    """Bytes that training holds, counted; ``weights`` are of parameters that learn.

    ``backward`` is kept for the largest phase's backward, ``moved`` for all of a step, with repeats, divided by
    ``every``.
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
    engine, phases, accumulate = subject.engine, subject.recipe.phases, subject.recipe.train.accumulate
    x = subject.images()
    x = {name: tensor[: max(len(tensor) // accumulate, 1)] for name, tensor in x.items()}
    kept = [saved_bytes(partial(engine.gradients, engine.plan_now(number), x)) for number in range(len(phases))]
    players = engine.players.values()
    return Held(
        backward=max(kept),
        moved=sum(plays(phase) * saved * accumulate for phase, saved in zip(phases, kept, strict=True)),
        weights=sum(parameter.nbytes for player in players for parameter in player.parameters.values()),
        optimizer=sum(tensor.nbytes for player in players for tensor in player.state().values()),
        average=sum(tensor.nbytes for tensor in engine.average.averaged.values()) if engine.average else 0,
    )
