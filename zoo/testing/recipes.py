"""Checks of recipes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import safetensors.torch
import torch
from torch import Tensor

from zoo.check.probe import probe
from zoo.engine.engine import Engine
from zoo.engine.sentinel import Poisoned
from zoo.errors import RequestError
from zoo.model.model import Model
from zoo.recipe import load_recipe, write_recipe
from zoo.recipe.schema import Recipe
from zoo.recipe.yaml.read import read
from zoo.registry import RecipeEntry
from zoo.runs.tensorfile import pieces
from zoo.testing.arrays import equal, finite, images, sides
from zoo.testing.core import Bench, Body, ContractError, require
from zoo.testing.tiny import SIDES, tiny


class Shipped:
    """A recipe that ships in a package."""

    def __init__(self, entry: RecipeEntry, bench: Bench) -> None:
        self.entry, self.bench = entry, bench

    def __str__(self) -> str:
        return f"recipe '{self.entry.name}'"

    @cached_property
    def whole(self) -> Recipe:
        """As it ships."""
        return self.bench.recipe(self.entry)

    @cached_property
    def small(self) -> Recipe:
        """Made tiny: as small as its parts can be.

        Raises:
            ContractError: if it works at no small size, nor at its own.
        """
        plain, reasons = self.whole.plain(), []
        for side in dict.fromkeys((*SIDES, plain["data"]["size"])):
            try:
                recipe = load_recipe(tiny(plain, self.bench, side), (), self.bench.registry)
                probe(recipe)
            except RequestError as error:
                reasons.append(str(error).splitlines()[0])
                continue
            return recipe
        raise ContractError(f"{self} cannot be made small: {reasons[-1]}; give examples of its parts' options")

    def batches(self, turn: int) -> Tensor:
        """Images of a turn, for the small one."""
        sizes = self.small.sizes
        return images(self.small.train.batch, sizes.channels, sizes.size, sizes.size, seed=turn)


def resolves(shipped: Shipped) -> None:
    """Every name in it is known, every option right."""
    try:
        _ = shipped.whole
    except RequestError as error:
        raise ContractError(f"{shipped} cannot be resolved: {error}") from error


def shapes(shipped: Shipped) -> None:
    """Shapes fit, and every row reaches its players ('zoo check')."""
    try:
        probe(shipped.whole)
    except RequestError as error:
        raise ContractError(f"{shipped} does not fit together: {error}") from error


def round_trip(shipped: Shipped) -> None:
    """Written out with every default and read again, it is the same."""
    text = write_recipe(shipped.whole)
    again = load_recipe(read(text, "written").plain(), (), shipped.bench.registry)
    same = again.plain() == shipped.whole.plain()
    require(same, f"{shipped}, written out and read again, is another; choose plainer defaults for its parts' options")


def training(shipped: Shipped) -> None:
    """One step at tiny size gives finite terms and moves every player that has a rate."""
    engine = Engine(Model(shipped.small))
    before = {name: [p.detach().clone() for p in player.parameters.values()] for name, player in engine.players.items()}
    losses = _stepped(engine, shipped)
    wrong = [name for name, value in losses.items() if not finite(value)]
    require(not wrong, f"{shipped}: {' and '.join(wrong)} is not finite at the first step, at tiny size")
    rows = [row for phase in shipped.small.phases if phase.start == 0 for row in phase.played]
    due = {player for row in rows for player in row.players if any(term.weight(0) for term in row.terms)}
    still = [
        name
        for name, player in engine.players.items()
        if name in due and player.rate(0) and equal(before[name], [p.detach() for p in player.parameters.values()])
    ]
    require(not still, f"{shipped}: {' and '.join(still)} does not move in the first step; what does its row reach?")


def _stepped(engine: Engine, shipped: Shipped) -> Mapping[str, Tensor]:
    """The terms of a step; what is not finite moves nothing, and is ``training``'s to tell."""
    try:
        return engine.step(shipped.batches)
    except Poisoned as poisoned:
        return poisoned.losses


def determinism(shipped: Shipped) -> None:
    """Two trainings of one seed are equal, bit for bit."""
    engines = [Engine(Model(shipped.small)) for _ in range(2)]
    for engine in engines:
        _stepped(engine, shipped)
    same = equal(*(engine.model.state_dict() for engine in engines))
    require(same, f"{shipped} trains otherwise the second time; look for random numbers that are not from 'draw'")


def state_round_trip(shipped: Shipped) -> None:
    """Saved after a step and taken up again, it ends as if it had not been: nothing is remembered elsewhere."""
    whole, resumed = (Engine(Model(shipped.small)) for _ in range(2))
    _stepped(whole, shipped)
    tensors, plain = whole.state()
    resumed.restore(safetensors.torch.load(b"".join(pieces(tensors, {}))), plain)
    for engine in (whole, resumed):
        _stepped(engine, shipped)
    same = equal(whole.model.state_dict(), resumed.model.state_dict())
    require(same, f"{shipped}, saved and taken up again, goes on otherwise; keep what is remembered in buffers")


def outputs(shipped: Shipped) -> None:
    """It has an output 'sample', and its samples and reconstructions are images."""
    recipe = shipped.small
    require("sample" in recipe.outputs, f"{shipped} has no output 'sample'; write outputs: {{sample: VALUE}}")
    model, sizes = Model(recipe), recipe.sizes
    x = images(3, sizes.channels, sizes.size, sizes.size)
    for name in {"sample", "reconstruction"} & recipe.outputs.keys():
        with torch.no_grad():
            (given,) = model.compute(name, given={"x": x}, batch=3)
        what = sides(given.shape) if isinstance(given, Tensor) else type(given).__name__
        fits = isinstance(given, Tensor) and given.shape == x.shape and finite(given)
        require(fits, f"output '{name}' of {shipped} gives {what} for three images of {sides(x.shape[1:])}")


BATTERY: tuple[Body, ...] = (resolves, shapes, round_trip, training, determinism, state_round_trip, outputs)
