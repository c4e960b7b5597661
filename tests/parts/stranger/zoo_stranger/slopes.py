"""Penalties on a critic's slope: terms whose gradient is a gradient of a gradient.

Shapes: inputs (B, ...), of images or codes alike.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from zoo import api


def interpolates(x: Tensor, generated_held: Tensor, draw: api.Draw) -> Tensor:
    """u x + (1 - u) G(z), u ~ U[0, 1], one u for each pair (Gulrajani et al. 2017, algorithm 1, line 6)."""
    u = draw.uniform(len(x), *[1] * (x.ndim - 1))
    return torch.lerp(generated_held, x, u)


def gradient_penalty(critic: nn.Module, interpolates: Tensor, *, target: float = 1.0) -> Tensor:
    """(|dC/dx| - target)^2 at points between real and generated (Gulrajani et al. 2017, eq. 3).

    Args:
        critic: whose slope it is.
        interpolates: the points (B, ...).
        target: the slope it should have.
    """
    norms: Tensor = _slopes(critic, interpolates).norm(dim=1)
    return (norms - target).square().mean()


def _slopes(critic: nn.Module, points: Tensor) -> Tensor:
    """dC/dx, (B, F), itself recorded."""
    leaves = points.detach().requires_grad_()  # a new leaf: others' points stay as they are
    (slopes,) = torch.autograd.grad(critic(leaves).logit.sum(), leaves, create_graph=True)
    return slopes.flatten(1)
