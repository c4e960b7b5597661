"""Mean and deviation of codes, by which a second stage scales them."""

from typing import Literal

import torch
from torch import Tensor, nn

CHUNK = 4096
"""Codes that are looked at together."""


class Moments(nn.Module):
    """Codes to mean 0 and deviation 1, and back by ``undo``; codes as they are until ``fit``.

    Args:
        latent: K, dimensions of a code, or its shape.
        each: what has moments of its own: every ``channel``, which is the first dimension of a map and the last of a
            vector or of tokens; or ``all`` together, as the factor of latent diffusion (Rombach et al. 2022).
    """

    def __init__(self, latent: int | tuple[int, ...], *, each: Literal["channel", "all"] = "channel") -> None:
        super().__init__()
        shape = (latent,) if isinstance(latent, int) else tuple(latent)
        channel = 0 if len(shape) > 2 else len(shape) - 1
        kept = [size if each == "channel" and axis == channel else 1 for axis, size in enumerate(shape)]
        self.over = [axis for axis in range(len(shape) + 1) if not axis or kept[axis - 1] == 1]
        self.register_buffer("mean", torch.zeros(kept))
        self.register_buffer("sigma", torch.ones(kept))

    def forward(self, z: Tensor) -> Tensor:
        """(z - mean) / sigma, of the codes' shape (B, ...)."""
        return (z - self.mean) / self.sigma

    def undo(self, z: Tensor) -> Tensor:
        """sigma z + mean."""
        return z * self.sigma + self.mean

    @torch.no_grad()
    def fit(self, codes: Tensor) -> None:
        """Takes mean and deviation of codes (N, ...), in float64."""
        count = codes[0].numel() // self.mean.numel() * len(codes)
        mean = sum(some.double().sum(self.over, keepdim=True) for some in codes.split(CHUNK)) / count
        squares = sum((some.double() - mean).square().sum(self.over, keepdim=True) for some in codes.split(CHUNK))
        self.mean.copy_(mean[0])
        self.sigma.copy_((squares / count).sqrt().clamp(min=1e-6)[0])
