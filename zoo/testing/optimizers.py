"""Checks of optimisers: on a parabola, and in a tiny training that is interrupted."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.recipe.schema import Recipe
from zoo.registry import FIRST_PARTY
from zoo.runs.tensorfile import pieces
from zoo.testing.arrays import equal, images
from zoo.testing.common import refused, settled, untouched
from zoo.testing.core import Body, Case, ContractError, require
from zoo.testing.tiny import SIDES, tiny

STEPS = 3


class Mover:
    """An optimiser, and something to move."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __str__(self) -> str:
        return str(self.case)

    def make(self, parameters: list[nn.Parameter]) -> Any:
        """A new one."""
        return refused(self.case, lambda: self.case.target(parameters, **self.case.part.arguments_for()), "made")

    @cached_property
    def recipe(self) -> Recipe:
        """A tiny recipe whose every player it moves: the smallest that is installed."""
        bench = self.case.bench
        plain = tiny(next(bench.bundled(FIRST_PARTY)).plain(), bench, SIDES[0])
        players = {player: {"use": self.case.entry.id, **self.case.given} for player in plain["train"]["optimizers"]}
        return load_recipe({**plain, "train": {**plain["train"], "optimizers": players}}, (), bench.registry)

    def engine(self) -> Engine:
        """A new training."""
        return Engine(Model(self.recipe))

    def batches(self, turn: int) -> Tensor:
        """Images of a turn."""
        sizes = self.recipe.sizes
        return images(self.recipe.train.batch, sizes.channels, sizes.size, sizes.size, seed=turn)


def optimizer(mover: Mover) -> None:
    """It gives a ``torch.optim.Optimizer`` of the parameters it is handed, each group with an 'lr' that can be set."""
    parameters = [nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))]
    made = mover.make(parameters)
    require(isinstance(made, torch.optim.Optimizer), f"{mover} gives {type(made).__name__}, no torch.optim.Optimizer")
    moved = {id(p) for group in made.param_groups for p in group["params"]}
    require(moved == {id(p) for p in parameters}, f"{mover} does not move the parameters it is handed, all and only")
    rates = all(isinstance(group.get("lr"), float) for group in made.param_groups)
    require(rates, f"{mover} has a group without a number 'lr', which the recipe's 'rate' is multiplied into")


def descent(mover: Mover) -> None:
    """Fifty steps on a parabola bring it down."""
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    start = weight.detach().clone()
    an_optimizer = mover.make([weight])
    for _ in range(50):
        weight.grad = weight.detach().clone()  # of half the sum of squares
        an_optimizer.step()
    first, last = float(start.square().sum()), float(weight.detach().square().sum())
    require(last < first, f"{mover} brings a sum of squares from {first:.4g} to {last:.4g} in 50 steps; down is less")


def state_round_trip(mover: Mover) -> None:
    """A training that is saved and taken up again ends as the one that was not interrupted, bit for bit."""
    whole, first, second = mover.engine(), mover.engine(), mover.engine()
    for _ in range(STEPS):
        whole.step(mover.batches)
        first.step(mover.batches)
    tensors, plain = first.state()
    second.restore(safetensors.torch.load(b"".join(pieces(tensors, {}))), plain)
    for _ in range(STEPS):
        whole.step(mover.batches)
        second.step(mover.batches)
    cure = "keep what it remembers in self.state[parameter], as tensors; nothing in groups or attributes is saved"
    same = equal(whole.model.state_dict(), second.model.state_dict())
    require(same, f"{mover}, saved after {STEPS} steps, goes on otherwise than uninterrupted; {cure}")


def pickle_free_save(mover: Mover) -> None:
    """What it remembers of a parameter is tensors and numbers."""
    engine = mover.engine()
    engine.step(mover.batches)
    for player in engine.players.values():
        assert player.optimizer
        for state in player.optimizer.state.values():
            for key, value in state.items():
                if not isinstance(value, Tensor | int | float):
                    told = f"{mover} remembers '{key}' as {type(value).__name__}"
                    raise ContractError(f"{told}, which no checkpoint holds; keep tensors and numbers")


def no_global_side_effect(mover: Mover) -> None:
    """Neither making it nor a step changes what belongs to the whole process."""
    weight = nn.Parameter(torch.ones(3))
    weight.grad = torch.ones(3)
    move = settled(lambda: mover.make([weight]).step())
    with untouched(mover.case, "it moves"):
        move()


BATTERY: tuple[Body, ...] = (optimizer, descent, state_round_trip, pickle_free_save, no_global_side_effect)


def battery(_: Case) -> tuple[Body, ...]:
    """The checks of an optimiser."""
    return BATTERY
