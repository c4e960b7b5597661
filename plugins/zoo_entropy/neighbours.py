"""Entropy from distances to nearest neighbours: no network, either sign.

Shapes: images (B, C, H, W), D = C H W pixels, codes (B, K), noise (B, A).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

from zoo import api

LEVEL = 2 / 255
"""One level of 8-bit pixels, of images in [-1, 1]."""


class OwnNearestNeighbours(nn.Module):
    """H(p_G) by Kozachenko & Leonenko 1987 (as Kraskov et al. 2004, eq. 20), of the row's own images:

        H = psi(N) - psi(k) + log V_m + m mean_i log eps_i

    where eps_i is the distance in pixel space from image i to its k-th neighbour among N, and V_m the volume
    of the unit ball. Images of a deterministic generator fill a sheet of m = K + A dimensions, the entropy is
    that on the sheet, and m (not D) is the dimension that counts. Distances carry the gradient. It costs no
    further forward, and serves a decoder that is the generator (VAE/GAN).

    Most of that gradient says "more contrast", so keep the weight small. In many dimensions the value, in
    nats, is too high and the gradient too short: read it as a regulariser's.

    Args:
        latent: K.
        noise: A.
        estimator: which estimator of the entropy this is.
        k: which neighbour, from 1; of a batch of fewer, the last. A farther one has more bias and is no less
            noisy in many dimensions; it sees past k images that are alike.
        resolution: levels of 8-bit pixels. Images nearer than the rounding to so many levels (sqrt(D / 12) of them)
            count as that far apart, and push nowhere. It bounds H from below: without it a **positive** weight has no
            minimum and a deterministic generator collapses.

    Raises:
        ValueError: a k below 1, or a negative resolution.
    """

    def __init__(
        self,
        latent: int,
        noise: int,
        *,
        estimator: Literal["knn_batch"] = "knn_batch",
        k: int = 1,
        resolution: float = 1.0,
    ) -> None:
        super().__init__()
        if resolution < 0:
            raise ValueError(f"resolution must be at least 0, not {resolution:g}")
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        self.estimator: str = estimator
        self.dimensions = latent + noise
        self.k = k
        self.resolution = resolution

    def forward(self, generated: Tensor) -> Tensor:
        """The estimate, a scalar in nats, of images (B, C, H, W)."""
        points = generated.flatten(1)
        closest = self.resolution * LEVEL * math.sqrt(points.shape[1] / 12)
        return neighbour_entropy(points, self.dimensions, self.k, closest)


class NearestNeighbours(OwnNearestNeighbours):
    """The same of images that are drawn for the estimate, codes from the prior: more make it less noisy.

    Args:
        latent: K.
        noise: A.
        estimator: which estimator of the entropy this is.
        batch: images that are drawn; the cost grows with them.
        k: which neighbour, from 1.
        resolution: levels of 8-bit pixels below which images count as that far apart.

    Raises:
        ValueError: a k below 1, a batch of fewer than two, or a negative resolution.
    """

    def __init__(
        self,
        latent: int,
        noise: int,
        *,
        estimator: Literal["knn"] = "knn",
        batch: int = 256,
        k: int = 1,
        resolution: float = 1.0,
    ) -> None:
        super().__init__(latent, noise, k=k, resolution=resolution)
        if batch < 2:
            raise ValueError(f"batch must be at least 2, not {batch}; the row's own images: 'estimator: knn_batch'")
        self.estimator = estimator
        self.batch = batch

    def forward(self, generator: nn.Module, prior: Any, draw: api.Draw, sizes: Any) -> Tensor:  # type: ignore[override]
        """The estimate, a scalar in nats.

        Args:
            generator: (codes, noise) -> images.
            prior: of the codes.
            draw: random numbers for the codes and the noise.
            sizes: the recipe's; ``noise`` of them is A.
        """
        return super().forward(generator(prior.sample(self.batch, draw), draw.normal(self.batch, sizes.noise)))


def neighbour_entropy(points: Tensor, dimensions: int, k: int, closest: float = 0.0) -> Tensor:
    """Entropy of the density that ``points`` (N, D) are drawn from, on a sheet of so many dimensions; nats.

    Points nearer than ``closest`` count as that far apart; equal ones, without it, push nowhere.
    """
    count = len(points)
    k = min(k, count - 1)
    # Only whose neighbour is whose comes from the matrix of distances: its gradient would take N^2 D.
    distances = torch.cdist(points.detach(), points.detach())
    farther = torch.eye(count, device=points.device, dtype=points.dtype).mul(torch.finfo(points.dtype).max)
    neighbours = (distances + farther).topk(k, dim=1, largest=False).indices[:, -1]
    squares = (points - points[neighbours]).square().sum(1)  # (N,)
    log_distances = 0.5 * squares.clamp_min(max(closest**2, torch.finfo(points.dtype).tiny)).log()
    return dimensions * log_distances.mean() + _constant(count, dimensions, k)


def _constant(count: int, dimensions: int, k: int) -> float:
    """psi(N) - psi(k) + log V_m, psi(n) = -gamma + sum_{i<n} 1/i, V_m = pi^(m/2) / Gamma(m/2 + 1)."""
    digammas = sum(1 / i for i in range(k, count))
    return digammas + dimensions / 2 * math.log(math.pi) - math.lgamma(dimensions / 2 + 1)
