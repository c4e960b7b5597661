"""Codes that are maps, 4 x 8 x 8: the engine's steps are those of a loop written by hand, and go on bit for bit."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import pytest
import torch
from helpers.maps import BATCH, SHAPE, images, made, pixels
from torch import Tensor

from zoo.engine.engine import Engine
from zoo.errors import Interrupted
from zoo.model.model import Model
from zoo.recipe import write_recipe
from zoo.runs.run import Run
from zoo.training.loop import train

STEPS = 4


def test_steps_are_those_of_a_loop_written_by_hand() -> None:
    model = made(dtype=torch.float64)
    hand = deepcopy(model).requires_grad_(True)
    betas = tuple(model.recipe.train.optimizers["encoder"].part.options["betas"])
    adam = torch.optim.Adam([*hand.encoder.parameters(), *hand.decoder.parameters()], lr=2e-3, betas=betas)
    engine = Engine(model)
    for step in range(STEPS):
        engine.step(images)
        x = images(step)
        mean, log_sigma = hand.encoder.net(x).chunk(2, 1)
        eps = hand.draw("train", step, (), "z_posterior").normal(BATCH, *SHAPE)
        error = x - hand.decoder(mean + log_sigma.exp() * eps)
        kl = 0.5 * (mean**2 + (2 * log_sigma).exp() - 1) - log_sigma
        loss = (0.5 * (error**2).sum() + 0.1 * kl.sum()) / BATCH  # sums over all but the batch
        adam.zero_grad()
        loss.backward()
        adam.step()
    for (name, found), expected in zip(model.named_parameters(), hand.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9, msg=name)


def trained(folder: Path, until: int) -> Engine | None:
    """What a process does: everything anew, the run taken up, steps up to some, and saved."""
    seen = iter(range(STEPS))
    recipe = made().recipe
    with Run(folder) as run:
        run.write("recipe.yaml", write_recipe(recipe))
        try:
            return train(Model(recipe), pixels(), run=run, stop=lambda: next(seen) + 1 == until < STEPS)
        except Interrupted:
            return None


def state(engine: Engine | None) -> dict[str, Tensor]:
    assert engine is not None
    assert engine.step_index == STEPS
    return engine.state()[0]


def test_a_run_that_was_interrupted_goes_on_bit_for_bit(tmp_path: Path) -> None:
    whole = state(trained(tmp_path / "whole", STEPS))
    assert trained(tmp_path / "pieces", 2) is None
    pieces = state(trained(tmp_path / "pieces", STEPS))
    assert whole.keys() == pieces.keys()
    assert [key for key in whole if not torch.equal(whole[key], pieces[key])] == []


@pytest.mark.parametrize("parts", [2, 4])
def test_accumulated_parts_draw_what_the_whole_batch_draws(parts: int) -> None:
    whole, pieces = made(dtype=torch.float64), made(f"train.accumulate={parts}", dtype=torch.float64)
    for model in (whole, pieces):
        Engine(model).step(images)
    for (name, found), expected in zip(pieces.named_parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-9, msg=name)
