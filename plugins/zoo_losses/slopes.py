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


class PathLength(nn.Module):
    """(|J^T y| - a)^2, a a moving average (Karras et al. 2020, eq. 4): equal steps of w change images as much.

    Of several layers |J^T y|^2 is the mean of theirs, as in the published program. The average, which has seen this
    batch too, is without the weight that it began with. It is a buffer, saved and averaged over processes as such.

    Args:
        decay: what is kept of the average from one use to the next, in [0, 1).

    Raises:
        ValueError: a decay out of its range.
    """

    seen: Tensor
    average: Tensor

    def __init__(self, *, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay is what is kept of an average, from 0 to less than 1, and not {decay:g}")
        self.decay = decay
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, style_slopes: Tensor) -> Tensor:
        """The term, a scalar, of J^T y, (B, K) or (B, L, K), J = dG/dw, y ~ N(0, I) / sqrt(H W)."""
        lengths = style_slopes.square().sum(-1).reshape(len(style_slopes), -1).mean(1).sqrt()
        if self.training:
            self.average.lerp_(lengths.detach().mean().to(self.average), 1 - self.decay)
            self.seen.lerp_(torch.ones_like(self.seen), 1 - self.decay)
        return (lengths - self.average / self.seen.clamp_min(1e-12)).square().mean()


def _slopes(critic: Callable[[Tensor], api.CriticOutput], points: Tensor) -> Tensor:
    """dC/dx, (B, F), itself recorded."""
    leaves = points.detach().requires_grad_()  # a new leaf: others' points stay as they are
    logit = critic(leaves).logit.reshape(len(leaves), -1).mean(1)
    (slopes,) = torch.autograd.grad(logit.sum(), leaves, create_graph=True)
    return slopes.flatten(1)
