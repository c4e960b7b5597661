"""Penalties on a critic's slope: terms whose gradient is a gradient of a gradient.

Shapes: inputs (B, ...), of images or codes alike. Of a map of logits the slope is that of its mean.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from zoo import api


def interpolates(x: Tensor, generated_held: Tensor, draw: api.Draw) -> Tensor:
    """u x + (1 - u) G(z), u ~ U[0, 1], one u for each pair (Gulrajani et al. 2017, algorithm 1, line 6)."""
    u = draw.uniform(len(x), *[1] * (x.ndim - 1))
    return torch.lerp(generated_held, x, u)


def gradient_penalty(critic: nn.Module, interpolates: Tensor, *, target: float = 1.0) -> Tensor:
    """(|dC/dx| - target)^2 at points between real and generated ones (Gulrajani et al. 2017, eq. 3).

    Args:
        critic: whose slope it is; without batch norm, which would mix images.
        interpolates: the points (B, ...).
        target: the slope it should have.
    """
    return (_slopes(critic, interpolates).norm(dim=1) - target).square().mean()


def r1(critic: nn.Module, x: Tensor) -> Tensor:
    """1/2 |dC/dx|^2 at real images (Mescheder et al. 2018, eq. 9); its weight is gamma."""
    return 0.5 * _slopes(critic, x).square().sum(1).mean()


def r2(critic: nn.Module, generated_held: Tensor) -> Tensor:
    """1/2 |dC/dx|^2 at generated images (Mescheder et al. 2018, eq. 9); its weight is gamma."""
    return r1(critic, generated_held)


def r1_of_code(encoder: nn.Module, critic: nn.Module, x: Tensor) -> Tensor:
    """1/2 |d C(E(x)) / dx|^2 at real images: R1 of a critic of codes through the encoder (Pidhorskyi et al. 2020).

    Args:
        encoder: without batch norm, which would mix images.
        critic: of codes.
        x: images (B, ...).
    """
    return 0.5 * _slopes(lambda images: critic(encoder(images).mean), x).square().sum(1).mean()


def _slopes(critic: Callable[[Tensor], api.CriticOutput], points: Tensor) -> Tensor:
    """dC/dx, (B, F), itself recorded."""
    leaves = points.detach().requires_grad_()  # a new leaf: others' points stay as they are
    logit = critic(leaves).logit.reshape(len(leaves), -1).mean(1)
    (slopes,) = torch.autograd.grad(logit.sum(), leaves, create_graph=True)
    return slopes.flatten(1)
