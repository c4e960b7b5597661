"""What toy trainings share: a tiny system, trained for a second on images of spots, and scores of what it learned."""

from __future__ import annotations

from collections.abc import Callable

import torch
from faults.tiny import placed
from helpers.shelf import small
from helpers.spots import spots
from torch import Tensor

import zoo
from zoo import api
from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.types import Batch

ADAM = "train.optimizer={use: adam, lr: 3e-3, betas: [0.5, 0.999]}"


def trained(name: str, steps: int, *overrides: str, images: Tensor | None = None) -> Model:
    """A tiny system in float32 after so many steps of 32 images, of spots where none are given; in evaluation mode."""
    torch.manual_seed(0)
    model = small(name, "train.batch=32", f"train.steps={steps}", ADAM, *overrides).float()
    zoo.train(model, spots() if images is None else images, steps=steps, progress=False)
    return model.eval()


def learned(name: str, steps: int, batch: Callable[[int], Batch], side: int, *overrides: str) -> Model:
    """A tiny system in float64 after so many steps, each on the batch of its turn, of images of that side."""
    sizes = [f"{place}.size={side}" for place in placed(load_recipe(name))]
    model = small(name, *sizes, f"train.steps={steps}", "train.optimizer={use: adam, lr: 0.005}", *overrides)
    engine = Engine(model)
    for _ in range(steps):
        engine.step(batch)
    return model


def unlike(model: Model, images: Tensor) -> float:
    """How far samples are from images (uint8) in the mean and in the deviation of each pixel, averaged."""
    x, samples = api.to_model(images), model.sample(256, generator=torch.Generator().manual_seed(1))
    return sum(float((of(samples) - of(x)).abs().mean()) for of in (lambda y: y.mean(0), lambda y: y.std(0)))


def unreconstructed(model: Model, images: Tensor) -> float:
    """The squared error of reconstructions, as a share of that of the mean image."""
    x = api.to_model(images)
    with torch.no_grad():
        again = model.reconstruct(x)
    return float((again - x).square().mean() / (x - x.mean(0)).square().mean())
