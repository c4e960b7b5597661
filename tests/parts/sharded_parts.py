"""Terms that reach a network in other ways than by calling it (a plugin: ``plugins=[PARTS]``)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from zoo import api

PARTS = Path(__file__)
NAMES = ("r1", "dense_part", "weight_decay")


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """A gradient of a gradient, a part with its weight, and all weights."""
    return tuple(api.Component("term", name, f"sharded_parts:{name}", "a toy") for name in NAMES)


def r1(critic: nn.Module, x: Tensor) -> Tensor:
    """Half the mean square norm of the critic's gradient at images (Mescheder et al. 2018)."""
    x = x.detach().requires_grad_()
    (slope,) = torch.autograd.grad(critic(x).logit.sum(), x, create_graph=True)
    return 0.5 * slope.square().flatten(1).sum(1).mean()


def dense_part(decoder: nn.Module, z: Tensor) -> Tensor:
    """The decoder's dense layer, called by itself, and its weight, read: a gradient of a gradient by it."""
    dense = decoder.paint[0][0]  # type: ignore[index]
    weight: Tensor = dense.weight  # type: ignore[assignment]
    (slope,) = torch.autograd.grad(weight.pow(3).mean(), weight, create_graph=True)
    return dense(z).square().mean() + weight.square().mean() + slope.square().sum()  # type: ignore[operator,no-any-return]


def weight_decay(decoder: nn.Module) -> Tensor:
    """The sum of the squares of the decoder's weights."""
    return torch.stack([weight.square().sum() for weight in decoder.parameters()]).sum()
