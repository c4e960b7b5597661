"""Priors over codes."""

import math

import torch
from torch import Tensor, nn

from zoo import api


class Normal(nn.Module):
    """p(z) = N(0, I).

    Args:
        latent: K, dimensions of a code, or its shape: that of a map, of tokens.
    """

    def __init__(self, latent: int | tuple[int, ...]) -> None:
        super().__init__()
        self.shape = (latent,) if isinstance(latent, int) else latent

    def sample(self, batch: int, draw: "api.Draw") -> Tensor:
        """``batch`` codes, (B, K) or of any other shape."""
        return draw.normal(batch, *self.shape)

    def kl(self, posterior: "api.Gaussian") -> Tensor:
        """KL(q || N(0, I)) of each dimension: (mu^2 + sigma^2 - 1)/2 - log sigma (Kingma & Welling 2014, app. B).

        Args:
            posterior: q, of codes (B, K) or of any other shape.

        Returns:
            nats, of the codes' shape.
        """
        variance = (2 * posterior.log_sigma).exp()
        return 0.5 * (posterior.mean.square() + variance - 1) - posterior.log_sigma

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) of codes (B, K) or of any other shape, in nats, (B,): summed over all but the batch."""
        return -0.5 * (torch.square(z) + math.log(2 * math.pi)).flatten(1).sum(1)
