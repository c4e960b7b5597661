"""DCGAN-like networks for images of 8 to 448 px: strided convolutions down, dense and convolutions up.

Shapes: B batch, C channels, H and W = size, K latent, A noise, F features. The layers are in ``blocks``.
"""

from __future__ import annotations

from math import prod
from typing import Literal

import torch
from einops.layers.torch import Rearrange
from torch import Tensor, nn

from zoo import api
from zoo_dcgan.blocks import FreeVector, Size, dense, down_stages, painter, run_stages, stages_of


class Encoder(nn.Module):
    """An image to a diagonal Gaussian over codes.

    Source: the DCGAN critic's layers (Radford et al. 2016) under a Gaussian head (Kingma & Welling 2014).

    Args:
        channels: C.
        size: side of the image, 4, 5, 6 or 7 times 2^k, from 8 to 448; or its height and width, the longer side a
            multiple of that 2^k.
        latent: K.
        label: where a class comes in: nowhere, with ``none``.
        width: channels of the first stage; at least 1.
        norm: normalisation after every convolution but the first.
        sigma: ``head`` gives every image its own log sigma; ``global`` is one free vector, 0 at first; ``none``, for
            codes without noise, is 0 throughout.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        *,
        label: Literal["none"] = "none",
        width: int = 64,
        norm: Literal["batch", "group", "none"] = "batch",
        sigma: Literal["head", "global", "none"] = "head",
    ) -> None:
        super().__init__()
        self.label: str = label
        widths, sides = stages_of(size, width)
        self.trunk = nn.Sequential(*down_stages(channels, widths, norm), Rearrange("B C H W -> B (H W C)"))
        self.mean = nn.Linear(widths[-1] * prod(sides), latent)
        self.log_sigma: nn.Module | None = None
        if sigma != "none":
            self.log_sigma = nn.Linear(widths[-1] * prod(sides), latent) if sigma == "head" else FreeVector(latent)

    def forward(self, x: Tensor) -> api.Gaussian:
        """Image (B, C, H, W) in [-1, 1] -> Gaussian with mean and log sigma (B, K), both unbounded."""
        features = self.trunk(x)
        mean = self.mean(features)
        return api.Gaussian(mean, self.log_sigma(features) if self.log_sigma else torch.zeros_like(mean))


class Decoder(nn.Module):
    """A code to an image.

    Source: the DCGAN generator (Radford et al. 2016); resizing before a convolution instead of a transposed
    one leaves no checkerboard (Odena et al. 2016).

    Args:
        channels: C.
        size: side of the image, 4, 5, 6 or 7 times 2^k, from 8 to 448; or its height and width, the longer side a
            multiple of that 2^k.
        latent: K.
        label: where a class comes in: nowhere, with ``none``.
        width: channels of the widest-side stage; at least 1.
        norm: normalisation after the dense layer and every convolution but the last.
        upsample: ``resize`` is nearest neighbour and a 3x3 convolution, ``transpose`` a 4x4 transposed one.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        *,
        label: Literal["none"] = "none",
        width: int = 64,
        norm: Literal["batch", "group", "none"] = "batch",
        upsample: Literal["resize", "transpose"] = "resize",
    ) -> None:
        super().__init__()
        self.label: str = label
        self.paint = painter(channels, size, width, latent, norm, upsample)

    def forward(self, z: Tensor) -> Tensor:
        """Code (B, K) -> image (B, C, H, W) in [-1, 1]."""
        return self.paint(z)


class Generator(nn.Module):
    """A code and noise, concatenated, to an image: the decoder's layers with a wider input.

    Source: Radford et al. 2016, Odena et al. 2016; the auxiliary noise z_a is AVAE's.

    Args:
        channels: C.
        size: side of the image, 4, 5, 6 or 7 times 2^k, from 8 to 448; or its height and width, the longer side a
            multiple of that 2^k.
        latent: K.
        noise: A, may be 0.
        label: where a class comes in: nowhere, with ``none``.
        width: channels of the widest-side stage; at least 1.
        norm: normalisation after the dense layer and every convolution but the last.
        upsample: ``resize`` is nearest neighbour and a 3x3 convolution, ``transpose`` a 4x4 transposed one.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        noise: int,
        *,
        label: Literal["none"] = "none",
        width: int = 64,
        norm: Literal["batch", "group", "none"] = "batch",
        upsample: Literal["resize", "transpose"] = "resize",
    ) -> None:
        super().__init__()
        self.label: str = label
        self.paint = painter(channels, size, width, latent + noise, norm, upsample)

    def forward(self, z: Tensor, noise: Tensor) -> Tensor:
        """Code (B, K) and noise (B, A) -> image (B, C, H, W) in [-1, 1]."""
        return self.paint(torch.cat([z, noise], dim=1))


class Critic(nn.Module):
    """An image to a logit, real = positive.

    Source: the DCGAN critic (Radford et al. 2016); spectral norm on every layer (Miyato et al. 2018).
    Taps ``stage1``, ``stage2``, ... (B, F, H / 2^i, W / 2^i) are what a stage hands to the next: after
    normalisation **and** activation. In training mode spectral norm refines its estimate at each forward; the engine
    has it do so once a phase, for all calls together.

    Args:
        channels: C.
        size: side of the image, 4, 5, 6 or 7 times 2^k, from 8 to 448; or its height and width, the longer side a
            multiple of that 2^k.
        label: where a class comes in: nowhere, with ``none``.
        width: channels of the first stage; at least 1.
        norm: ``spectral`` on every layer, ``batch`` after every convolution but the first, or ``none``.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        label: Literal["none"] = "none",
        width: int = 64,
        norm: Literal["spectral", "batch", "none"] = "spectral",
    ) -> None:
        super().__init__()
        self.label: str = label
        widths, sides = stages_of(size, width)
        self.stages = nn.ModuleList(down_stages(channels, widths, norm))
        self.logit = dense(widths[-1] * prod(sides), 1, norm)

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Image (B, C, H, W) in [-1, 1] -> logit (B,), unbounded, and the taps."""
        features, taps = run_stages(self.stages, x)
        return api.CriticOutput(self.logit(features).squeeze(1), taps)


class JointCritic(nn.Module):
    """A pair of image and code to a logit: an x-trunk and a z-trunk, concatenated.

    Source: BiGAN (Donahue et al. 2016); spectral norm Miyato et al. 2018.
    Taps are the x-trunk's, as in ``Critic``, and ``joint`` (B, F), the last hidden layer, after activation.

    Args:
        channels: C.
        size: side of the image, 4, 5, 6 or 7 times 2^k, from 8 to 448; or its height and width, the longer side a
            multiple of that 2^k.
        latent: K.
        width: channels of the first stage; the dense layers have 8 * width units.
        norm: ``spectral`` on every layer, ``batch`` after every convolution but the first, or ``none``.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        *,
        width: int = 64,
        norm: Literal["spectral", "batch", "none"] = "spectral",
    ) -> None:
        super().__init__()
        (widths, sides), units = stages_of(size, width), 8 * width
        self.stages = nn.ModuleList(down_stages(channels, widths, norm))
        self.code = nn.Sequential(
            dense(latent, units, norm), nn.LeakyReLU(0.2), dense(units, units, norm), nn.LeakyReLU(0.2)
        )
        self.joint = nn.Sequential(dense(widths[-1] * prod(sides) + units, units, norm), nn.LeakyReLU(0.2))
        self.logit = dense(units, 1, norm)

    def forward(self, x: Tensor, z: Tensor) -> api.CriticOutput:
        """Image (B, C, H, W) in [-1, 1] and code (B, K) -> logit (B,), unbounded, and the taps."""
        features, taps = run_stages(self.stages, x)
        joint = self.joint(torch.cat([features, self.code(z)], dim=1))
        return api.CriticOutput(self.logit(joint).squeeze(1), {**taps, "joint": joint})


class ScoresCritic(JointCritic):
    """A pair of image and code to three logits: of the image, of the code, and of both; the logit is their sum.

    Source: BigBiGAN (Donahue & Simonyan 2019, section 2), s_x + s_z + s_xz.
    Taps are those of ``JointCritic``, and ``s_x``, ``s_z``, ``s_xz``, each (B,).

    Args:
        channels: C.
        size: side of the image, 4, 5, 6 or 7 times 2^k, from 8 to 448; or its height and width, the longer side a
            multiple of that 2^k.
        latent: K.
        width: channels of the first stage; the dense layers have 8 * width units.
        norm: ``spectral`` on every layer, ``batch`` after every convolution but the first, or ``none``.

    Raises:
        ValueError: a size or width that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        *,
        width: int = 64,
        norm: Literal["spectral", "batch", "none"] = "spectral",
    ) -> None:
        super().__init__(channels, size, latent, width=width, norm=norm)
        (widths, sides), units = stages_of(size, width), 8 * width
        self.of_x = dense(widths[-1] * prod(sides), 1, norm)
        self.of_z = dense(units, 1, norm)

    def forward(self, x: Tensor, z: Tensor) -> api.CriticOutput:
        """Image (B, C, H, W) in [-1, 1] and code (B, K) -> logit (B,), unbounded, and the taps."""
        features, taps = run_stages(self.stages, x)
        code = self.code(z)
        joint = self.joint(torch.cat([features, code], dim=1))
        scores = {"s_x": self.of_x(features), "s_z": self.of_z(code), "s_xz": self.logit(joint)}
        scores = {name: score.squeeze(1) for name, score in scores.items()}
        return api.CriticOutput(sum(scores.values()), {**taps, "joint": joint, **scores})
