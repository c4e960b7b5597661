"""Codes made to follow the prior: a critic of codes, and a discrepancy between two sets of them.

Shapes: codes (B, K), two sets of them (N, K) and (M, K).
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from zoo import api


class MLP(nn.Module):
    """A code to a logit, real = positive: two hidden layers (Makhzani et al. 2016, appendix A).

    Args:
        latent: K.
        width: units of a hidden layer.
    """

    def __init__(self, latent: int, *, width: int = 256) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(latent, width), nn.LeakyReLU(0.2), nn.Linear(width, width), nn.LeakyReLU(0.2), nn.Linear(width, 1)
        )

    def forward(self, z: Tensor) -> api.CriticOutput:
        """Code (B, K) -> logit (B,)."""
        return api.CriticOutput(self.layers(z).squeeze(1))


def mmd(
    z_posterior: Tensor,
    z: Tensor,
    *,
    kernel: Literal["multiquadric", "gaussian"] = "multiquadric",
    biased: bool = False,
) -> Tensor:
    """MMD^2 of two sets of codes: E k(a, a') + E k(b, b') - 2 E k(a, b) (Gretton et al. 2012, lemma 6).

    Args:
        z_posterior: one set, such as codes of images.
        z: the other, such as codes from the prior.
        kernel: C / (C + |a - b|^2), C = 2 K, the prior's expected distance (Tolstikhin et al. 2018, section 4),
            or exp(-|a - b|^2 / K) (Zhao et al. 2019).
        biased: whether a and a' may be the same code: then never negative, and 0 for equal sets.
    """
    within = _mean_kernel(z_posterior, z_posterior, kernel, biased) + _mean_kernel(z, z, kernel, biased)
    return within - 2 * _mean_kernel(z_posterior, z, kernel, biased=True)


def _mean_kernel(a: Tensor, b: Tensor, kernel: str, biased: bool) -> Tensor:
    """Mean of k over pairs; unless biased, of one set with itself, over pairs of two different codes."""
    squares = (a[:, None] - b[None]).square().sum(2)  # (N, M); not cdist, whose slope at 0 is not a number
    dimensions = a.shape[1]
    values = torch.exp(-squares / dimensions) if kernel == "gaussian" else 2 * dimensions / (2 * dimensions + squares)
    return values.mean() if biased else (values.sum() - values.diagonal().sum()) / (len(a) * (len(a) - 1))
