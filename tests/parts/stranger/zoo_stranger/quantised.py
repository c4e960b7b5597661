"""Discrete codes (van den Oord et al. 2017): stop-gradients are held values, so no ``detach`` is in sight.

Shapes: code (B, K) is P parts of K / P dimensions; codebook (N, K / P).
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn

from zoo import api


class Codebook(nn.Module):
    """N entries that every part of a code is one of; as a prior, uniform over them.

    Args:
        latent: K.
        entries: N.
        parts: P, a divisor of K.

    Raises:
        ValueError: if the parts do not divide the code.
    """

    def __init__(self, latent: int, *, entries: int = 512, parts: int = 8) -> None:
        super().__init__()
        if latent % parts:
            raise ValueError(f"{parts} parts do not divide a code of {latent} dimensions")
        self.entries = nn.Parameter(torch.randn(entries, latent // parts) / 2)
        self.parts = parts

    def forward(self, z: Tensor) -> Tensor:
        """The nearest entry of every part, (B, K), a function of the entries."""
        parts = rearrange(z, "B (P D) -> B P 1 D", P=self.parts)
        distances = (parts - self.entries).square().sum(-1)  # (B, P, N)
        return self._code(distances.argmin(-1))

    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        """``batch`` codes of random entries, (B, K)."""
        u = draw.uniform(batch, self.parts)
        return self._code((u * len(self.entries)).long())

    def _code(self, which: Tensor) -> Tensor:
        return rearrange(self.entries[which], "B P D -> B (P D)")


def quantised(prior: nn.Module, posterior_mean: Tensor) -> Tensor:
    """e: every part of the code replaced by its nearest entry (van den Oord et al. 2017, eq. 1), (B, K)."""
    code: Tensor = prior(posterior_mean)
    return code


def straight_through(posterior_mean: Tensor, posterior_mean_held: Tensor, quantised_held: Tensor) -> Tensor:
    """e in value, z in gradient (van den Oord et al. 2017, section 3.2), (B, K)."""
    return quantised_held + (posterior_mean - posterior_mean_held)


def entries(quantised: Tensor, posterior_mean_held: Tensor) -> Tensor:
    """|sg(z) - e|^2, moves the entries (van den Oord et al. 2017, eq. 3, second term)."""
    return (quantised - posterior_mean_held).square().sum(1).mean()


def commitment(posterior_mean: Tensor, quantised_held: Tensor) -> Tensor:
    """|z - sg(e)|^2, moves the encoder (van den Oord et al. 2017, eq. 3, third term)."""
    return (posterior_mean - quantised_held).square().sum(1).mean()
