"""Losses of critics and generators beside the cross-entropy's.

A logit is (B,), or a map of them (B, 1, H', W'), of which the mean counts: every mean here is over all of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import relu, softplus

from zoo import api


def hinge(critic_x: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """max(0, 1 - C(x)) + max(0, 1 + C(G)) (Lim & Ye 2017, eq. 10); a generator against it minimises -C(G)."""
    return relu(1 - critic_x.logit).mean() + relu(1 + critic_generated.logit).mean()


def least_squares(critic_x: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """1/2 (C(x) - 1)^2 + 1/2 C(G)^2 (Mao et al. 2017, eq. 9)."""
    return 0.5 * ((critic_x.logit - 1).square().mean() + critic_generated.logit.square().mean())


def least_squares_generator(critic_generated: api.CriticOutput) -> Tensor:
    """1/2 (C(G) - 1)^2, the generator's (Mao et al. 2017, eq. 9)."""
    return 0.5 * (critic_generated.logit - 1).square().mean()


def wasserstein(critic_x: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """C(G) - C(x) (Arjovsky et al. 2017, eq. 2): minus a lower bound of W1 if C is 1-Lipschitz, as a gradient penalty
    has it; a generator against it minimises -C(G)."""
    return critic_generated.logit.mean() - critic_x.logit.mean()


def relativistic(critic_x: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """sp(C(G) - C(x)), the i-th image against the i-th fake (Jolicoeur-Martineau 2019; Huang et al. 2024, eq. 2)."""
    return softplus(critic_generated.logit - critic_x.logit).mean()


def relativistic_generator(critic_x: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
    """sp(C(x) - C(G)), the generator's side of ``relativistic``."""
    return softplus(critic_x.logit - critic_generated.logit).mean()


def consistency(critic_x: api.CriticOutput, critic_augmented: api.CriticOutput) -> Tensor:
    """(C(x) - C(T x))^2 (Zhang et al. 2020, eq. 1): a critic that heeds no augmentation T."""
    return (critic_x.logit - critic_augmented.logit).square().mean()


class LeCam(nn.Module):
    """max(0, C(x) - a_G)^2 + max(0, a_x - C(G))^2, a moving averages of C(x) and C(G) (Tseng et al. 2021, eq. 4).

    The averages are those from before this batch, without the weight that they began with: so the first batch has the
    term 0, and several processes see what one would. They are buffers, saved and averaged over processes as such.

    Args:
        decay: what is kept of an average from batch to batch, in [0, 1).

    Raises:
        ValueError: a decay out of its range.
    """

    seen: Tensor
    averages: Tensor

    def __init__(self, *, decay: float = 0.99) -> None:
        super().__init__()
        if not 0 <= decay < 1:
            raise ValueError(f"decay is what is kept of an average, from 0 to less than 1, and not {decay:g}")
        self.decay = decay
        self.register_buffer("averages", torch.zeros(2))
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, critic_x: api.CriticOutput, critic_generated: api.CriticOutput) -> Tensor:
        """The term, a scalar."""
        real, fake = critic_x.logit, critic_generated.logit
        of_x, of_fakes = (self.averages / self.seen.clamp_min(1e-12)).unbind()
        term = relu(real - of_fakes).square().mean() + relu(of_x - fake).square().mean()
        term = torch.where(self.seen > 0, term, 0 * term)
        if self.training:
            now = torch.stack([real.detach().mean(), fake.detach().mean()])
            self.averages.lerp_(now.to(self.averages), 1 - self.decay)
            self.seen.lerp_(torch.ones_like(self.seen), 1 - self.decay)
        return term
