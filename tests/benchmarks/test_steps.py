"""Time of a training step, and of sampling, for each system: ``make bench``. In ``make test`` each runs once."""

from __future__ import annotations

import pytest
import torch

from zoo.cost import costs
from zoo.engine import Engine
from zoo.model import Model, choose_device
from zoo.recipe import load_recipe
from zoo.state import sync_device

SYSTEMS = ("vae", "gan", "vaegan", "bigan", "avae")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_training_step(benchmark, name, precision):
    recipe = load_recipe(name, [f"train.precision={precision}"])
    model = Model(recipe, choose_device())
    engine, batch, sizes = Engine(model), recipe.train.batch, recipe.sizes
    x = torch.rand(batch, sizes.channels, sizes.size, sizes.size, device=model.device) * 2 - 1

    def step() -> None:
        engine.step(lambda _: x)
        sync_device(model.device)

    step()
    benchmark.group = f"step {name}, {sizes.size} px, batch {batch}"
    benchmark.extra_info["mflop_an_image"] = costs(recipe)[-1].flops / 1e6
    benchmark(step)


@pytest.mark.parametrize("name", SYSTEMS)
def test_sampling(benchmark, name):
    model = Model(load_recipe(name), choose_device())

    def sample() -> None:
        model.sample(64)
        sync_device(model.device)

    benchmark.group = "64 samples"
    benchmark(sample)
