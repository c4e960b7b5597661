"""The part of the entropy that the auxiliary noise makes, from below: for negative weights only.

Shapes: images (B, C, H, W), codes z (B, K), noise z_a (B, A).
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from zoo import api
from zoo_entropy.networks import Size, dense_net, reader


class MutualInformation(nn.Module):
    """A lower bound on I(z_a; x_gen + sigma e | z) (Barber & Agakov 2003, eq. 3):

        I >= E[log r(z_a | x_gen + sigma e, z)] + H(z_a),   H(z_a) = A/2 log(2 pi e)

    H(x_gen + sigma e) = I(z; x) + I(z_a; x | z) + H(sigma e), so this is how much of the images' entropy
    z_a makes. A head r, a Gaussian, learns to read z_a; the bound is tight where it is the posterior. As a
    bonus it stops a generator from ignoring z_a, and as a number it says whether it does: 0 where z_a makes
    no difference (below 0 while r is worse than guessing).

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        latent: K.
        noise: A, at least 1.
        weight: the term's lowest and highest weight, neither above 0.
        estimator: which estimator of the entropy this is.
        sigma: standard deviation of noise on the images r reads, in units of pixels in [-1, 1]; without
            any, the information of a deterministic generator is infinite.
        net: how r reads images: ``conv`` strided convolutions, ``mlp`` two hidden layers beside a linear map.
        width: channels of the first layer (a dense layer has 8 units for each).

    Raises:
        ValueError: a positive weight, no noise to read, or a sigma or width that is not positive.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        noise: int,
        weight: tuple[float, float],
        *,
        estimator: Literal["mutual_information"] = "mutual_information",
        sigma: float = 0.1,
        net: Literal["conv", "mlp"] = "conv",
        width: int = 16,
    ) -> None:
        super().__init__()
        if weight[1] > 0:
            raise ValueError(
                f"mutual_information bounds the entropy from below, so it can only be raised: its weight must be "
                f"negative, not {weight[1]:g}. To lower the entropy use estimator knn or score"
            )
        if noise < 1:
            raise ValueError("mutual_information reads the generator's noise, and this recipe has none: set 'noise'")
        if sigma <= 0:
            raise ValueError(f"sigma must be positive, not {sigma}: without noise the information is infinite")
        self.estimator = estimator
        self.sigma = sigma
        self.read, features = reader(net, channels, size, width)
        self.guess = dense_net(features + latent, 2 * noise, width)

    def forward(self, generated: Tensor, z: Tensor, noise: Tensor, draw: api.Draw) -> Tensor:
        """The bound, a scalar in nats.

        Args:
            generated: images (B, C, H, W).
            z: codes (B, K) that they were generated from.
            noise: z_a (B, A) likewise.
            draw: random numbers for the noise on the images.
        """
        seen = generated + self.sigma * draw.normal(*generated.shape)
        guess = self.guess(torch.cat([self.read(seen), z], dim=1))
        mean, log_sigma = guess.chunk(2, dim=1)
        known = noise.shape[1] / 2 * math.log(2 * math.pi * math.e)
        return api.Gaussian(mean, log_sigma).log_prob(noise).mean() + known

    def learn(self, generated_held: Tensor, z: Tensor, noise: Tensor, draw: api.Draw) -> Tensor:
        """What r minimises: minus the bound at images (B, C, H, W) held still, in nats."""
        return -self.forward(generated_held, z, noise, draw)
