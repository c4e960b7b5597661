"""Codes on a sphere, and the divergence of a batch of them: AGE (Ulyanov et al. 2018).

Shapes: codes (B, K), or of any other shape with K numbers. The sphere's radius is sqrt K, so that each number of a code
has mean 0 and variance 1, as those of N(0, I); it is 1 where it was published.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo import api


def on_sphere(z: Tensor) -> Tensor:
    """sqrt K z / |z|."""
    length = z.flatten(1).norm(dim=1).clamp_min(1e-8)
    return z * (math.sqrt(z[0].numel()) / length).view(-1, *[1] * (z.ndim - 1))


def code_on_sphere(posterior_mean: Tensor) -> Tensor:
    """sqrt K mu(x) / |mu(x)|: a deterministic code on the sphere (Ulyanov et al. 2018, section 3.2)."""
    return on_sphere(posterior_mean)


def batch_divergence(z_posterior: Tensor) -> Tensor:
    """sum_i (m_i^2 + s_i^2 - 1)/2 - log s_i, in nats (Ulyanov et al. 2018, eq. 7).

    KL(N(m, s^2) || N(0, I)) of a diagonal Gaussian with a batch's moments: mean m and standard deviation s over images.

    Args:
        z_posterior: codes of a batch.

    Raises:
        ValueError: fewer than two codes.
    """
    if len(z_posterior) < 2:
        raise ValueError("one code has no variance: give it a batch of at least 2")
    codes = z_posterior.flatten(1)
    variance, mean = torch.var_mean(codes, 0, correction=0)
    return (0.5 * (mean.square() + variance - 1) - 0.5 * variance.clamp_min(1e-8).log()).sum()


class Sphere(nn.Module):
    """Codes that are uniform on the sphere of radius sqrt K.

    Args:
        latent: K, dimensions of a code, or its shape.
    """

    def __init__(self, latent: int | tuple[int, ...]) -> None:
        super().__init__()
        self.shape = (latent,) if isinstance(latent, int) else latent

    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        """``batch`` codes, (B, K) or of any other shape."""
        return on_sphere(draw.normal(batch, *self.shape))
