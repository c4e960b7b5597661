"""The networks of the AVAE paper (Plumerault et al., ICPR 2020), for square images of 32 or 64 px.

``width`` is the paper's ch, 128 as published. Encoder and critic: 5x5 convolutions of ch, 2ch, 4ch, 8ch, batch norm
on all but the first, LeakyReLU 0.2. Decoder and generator: dense to 4x4x8ch without a bias, then transposed
convolutions of 4ch, 2ch, ch and C, batch norm and ReLU on all but the last, tanh. At 32 px one stage keeps the side.
Shapes: B batch, C channels, H = W = size, K latent, A noise, F features. The layers are in ``layers``.
"""

from __future__ import annotations

from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn

from zoo import api
from zoo_avae.layers import SIDE, down, initialise, up


class FreeVector(nn.Module):
    """One learned vector for every image, 0 at first: the published log sigma."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(latent))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F), of which only B matters -> (B, K)."""
        return self.value.expand(features.shape[0], -1)


class Encoder(nn.Module):
    """An image to a diagonal Gaussian over codes.

    Source: Plumerault et al. 2020.

    Args:
        channels: C.
        size: side of the image, 32 or 64.
        latent: K, 100 as published.
        width: ch, channels of the first stage; at least 1.
        sigma: ``global``, as published, is one free log sigma for every image, 0 at first; ``head`` gives every
            image its own.

    Raises:
        ValueError: a size or width that these networks do not have.
    """

    def __init__(
        self,
        channels: int,
        size: int,
        latent: int,
        *,
        width: int = 128,
        sigma: Literal["global", "head"] = "global",
    ) -> None:
        super().__init__()
        features = 8 * width * SIDE**2
        self.stages = down(channels, size, width)
        self.mean = nn.Linear(features, latent)
        self.log_sigma = nn.Linear(features, latent) if sigma == "head" else FreeVector(latent)
        self.apply(initialise)

    def forward(self, x: Tensor) -> api.Gaussian:
        """Image (B, C, H, W) in [-1, 1] -> Gaussian with mean and log sigma (B, K), both unbounded."""
        features, _ = _run(self.stages, x)
        return api.Gaussian(self.mean(features), self.log_sigma(features))


class Decoder(nn.Module):
    """A code to an image.

    Source: Plumerault et al. 2020.

    Args:
        channels: C.
        size: side of the image, 32 or 64.
        latent: K, 100 as published.
        width: ch; the dense layer gives 8 ch channels.

    Raises:
        ValueError: a size or width that these networks do not have.
    """

    def __init__(self, channels: int, size: int, latent: int, *, width: int = 128) -> None:
        super().__init__()
        self.paint = up(channels, size, width, latent)
        self.apply(initialise)

    def forward(self, z: Tensor) -> Tensor:
        """Code (B, K) -> image (B, C, H, W) in [-1, 1]."""
        return self.paint(z)


class Generator(nn.Module):
    """A code and noise, concatenated, to an image: the decoder with a wider input.

    Source: Plumerault et al. 2020.

    Args:
        channels: C.
        size: side of the image, 32 or 64.
        latent: K, 100 as published.
        noise: A, 100 as published; may be 0.
        width: ch; the dense layer gives 8 ch channels.

    Raises:
        ValueError: a size or width that these networks do not have.
    """

    def __init__(self, channels: int, size: int, latent: int, noise: int, *, width: int = 128) -> None:
        super().__init__()
        self.paint = up(channels, size, width, latent + noise)
        self.apply(initialise)

    def forward(self, z: Tensor, noise: Tensor) -> Tensor:
        """Code (B, K) and noise (B, A) -> image (B, C, H, W) in [-1, 1]."""
        return self.paint(torch.cat([z, noise], dim=1))


class Critic(nn.Module):
    """An image to a logit, real = positive; batch norm and no spectral norm, as published.

    Source: Plumerault et al. 2020. Taps ``stage1`` to ``stage4`` (B, F, side, side) are what a stage hands to the
    next: after batch norm **and** LeakyReLU.

    Args:
        channels: C.
        size: side of the image, 32 or 64.
        width: ch, channels of the first stage; at least 1.

    Raises:
        ValueError: a size or width that these networks do not have.
    """

    def __init__(self, channels: int, size: int, *, width: int = 128) -> None:
        super().__init__()
        self.stages = down(channels, size, width)
        self.logit = nn.Linear(8 * width * SIDE**2, 1)
        self.apply(initialise)

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Image (B, C, H, W) in [-1, 1] -> logit (B,), unbounded, and the taps."""
        features, taps = _run(self.stages, x)
        return api.CriticOutput(self.logit(features).squeeze(1), taps)


class JointCritic(nn.Module):
    """A pair of image and code to a logit: the critic's trunk and a z-trunk, concatenated.

    Source: the x-trunk Plumerault et al. 2020, the pair Donahue et al. 2016. The z-trunk and the joint layer, dense
    with 8 ch units and LeakyReLU 0.2, are ours: METHODS does not say what the paper's comparison used.
    Taps are the x-trunk's, as in ``Critic``, and ``joint`` (B, F), the last hidden layer, after activation.

    Args:
        channels: C.
        size: side of the image, 32 or 64.
        latent: K, 100 as published.
        width: ch, channels of the first stage; at least 1.

    Raises:
        ValueError: a size or width that these networks do not have.
    """

    def __init__(self, channels: int, size: int, latent: int, *, width: int = 128) -> None:
        super().__init__()
        units = 8 * width
        self.stages = down(channels, size, width)
        self.code = nn.Sequential(_dense(latent, units), _dense(units, units))
        self.joint = _dense(units * SIDE**2 + units, units)
        self.logit = nn.Linear(units, 1)
        self.apply(initialise)

    def forward(self, x: Tensor, z: Tensor) -> api.CriticOutput:
        """Image (B, C, H, W) in [-1, 1] and code (B, K) -> logit (B,), unbounded, and the taps."""
        features, taps = _run(self.stages, x)
        joint = self.joint(torch.cat([features, self.code(z)], dim=1))
        return api.CriticOutput(self.logit(joint).squeeze(1), {**taps, "joint": joint})


def _dense(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, outputs), nn.LeakyReLU(0.2))


def _run(stages: nn.ModuleList, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Every stage in turn -> flat features (B, F), channels last as TensorFlow's, and each stage's output."""
    taps = {}
    for i, stage in enumerate(stages, start=1):
        taps[f"stage{i}"] = x = stage(x)
    return rearrange(x, "B C H W -> B (H W C)"), taps
