"""A critic of codes (B, K)."""

from __future__ import annotations

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
