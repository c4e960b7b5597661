"""The models that are measured: a bundled recipe at a size, a width, a batch and a precision."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.model.model import Model
from zoo.recipe import load_recipe

SLOTS = {
    "vae": ("encoder", "decoder"),
    "gan": ("generator", "critic"),
    "vaegan": ("encoder", "decoder", "critic"),
    "bigan": ("encoder", "generator", "critic"),
    "avae": ("encoder", "decoder", "generator", "critic"),
}
"""The slots with parameters of each system."""

SYSTEMS = tuple(SLOTS)
LR, BETAS = 2e-4, (0.5, 0.999)
"""Of every optimiser of every loop."""

Draw = Callable[..., Tensor]
"""(what it is for, rows, columns) -> standard normal numbers (rows, columns)."""


def built(
    name: str,
    *overrides: str,
    width: int = 64,
    size: int = 32,
    batch: int = 64,
    precision: str = "float32",
    device: torch.device | str = "cpu",
) -> Model:
    """A system with DCGAN's transposed convolutions, at a fixed rate and without an average unless overridden."""
    settings = [
        f"data.size={size}",
        f"train.batch={batch}",
        f"train.precision={precision}",
        f"train.optimizer={{use: adam, lr: {LR}, betas: {list(BETAS)}, rate: 1.0}}",
        "train.ema=0.0",
        *(f"slots.{slot}.width={width}" for slot in SLOTS[name]),
        *(f"slots.{slot}.upsample=transpose" for slot in SLOTS[name] if slot in ("decoder", "generator")),
    ]
    return Model(load_recipe(name, [*settings, *overrides]), device)


def photographs(model: Model, seed: int = 0) -> Tensor:
    """A batch of random images in [-1, 1], in the layout that the model's networks are in."""
    sizes, train = model.recipe.sizes, model.recipe.train
    generator = torch.Generator().manual_seed(seed)
    shape = (train.batch, sizes.channels, sizes.size, sizes.size)
    x = torch.rand(shape, generator=generator, dtype=torch.float64) * 2 - 1
    layout = torch.channels_last if train.channels_last else torch.contiguous_format
    return x.to(device=model.device, dtype=model.dtype).contiguous(memory_format=layout)


def engines_draw(model: Model, step: int) -> Draw:
    """The very numbers that the engine draws at a step."""
    return lambda name, *shape: model.draw("train", step, (), name).normal(*shape)
