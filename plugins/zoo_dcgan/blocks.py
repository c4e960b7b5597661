"""The parts that DCGAN-like networks are made of.

Shapes: B batch, C channels, H and W = size, K latent, F features of a layer. Every stage halves or doubles the
sides between ``size`` and those of the smallest map, the shorter 4 to 7; stage i is min(2^i, 8) * width channels wide.
Activations are never in place: several gradients are taken over one graph.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd, prod

import torch
from einops import rearrange
from einops.layers.torch import Rearrange
from torch import Tensor, nn
from torch.nn.functional import conv_transpose2d, pad
from torch.nn.utils.parametrizations import spectral_norm

Size = int | tuple[int, int]
"""Of images: the side of a square, or height and width."""
SIDES = range(4, 8)
"""Shorter sides of the smallest feature map, between the dense layer and the convolutions."""
STAGES = range(1, 7)
"""How often the side may be halved."""
SHIFTING = ("batch", "group")
"""Normalisations with a shift of their own: a layer before one has no bias, which would cost time and say nothing."""


class FreeVector(nn.Module):
    """One learned vector for every image, 0 at first: the published AVAE's log sigma."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(latent))

    def forward(self, features: Tensor) -> Tensor:
        """Features (B, F), of which only B matters -> (B, K)."""
        return self.value.expand(features.shape[0], -1)


def stages_of(size: Size, width: int) -> tuple[list[int], tuple[int, int]]:
    """Channels of the stages from the image inwards, capped at 8 * width, and the sides of the smallest feature map.

    The shorter side says how many there are: 32 = 4 * 2^3, 28 = 7 * 2^2, 48 = 6 * 2^3, and 48 x 64 = (6 x 8) * 2^3.
    """
    height, wide = (size, size) if isinstance(size, int) else size
    short, long = sorted((height, wide))
    counts = {side * 2**count: count for side in SIDES for count in STAGES}
    if short not in counts:
        near = sorted(sorted(counts, key=lambda other: abs(other - short))[:2])
        whole = f"{short}" if short == long else f"{height} x {wide}, whose shorter side is {short}"
        raise ValueError(
            f"dcgan networks cannot have size {whole}, which is no 4, 5, 6 or 7 times 2, 4, 8 ... 64: "
            f"choose {' or '.join(map(str, near))} (set data.size)."
        )
    step = 2 ** counts[short]
    if long % step:
        near = f"{long // step * step} or {-(-long // step) * step}"
        raise ValueError(
            f"dcgan networks cannot have size {height} x {wide}: they halve {short} {counts[short]} times, and "
            f"the longer side must be a multiple of {step}: choose {near}, not {long} (set data.size)."
        )
    if width < 1:
        raise ValueError(f"dcgan networks cannot have width {width}: choose 1 or more.")
    return [width * min(2**i, 8) for i in range(counts[short])], (height // step, wide // step)


def down_stages(channels: int, widths: list[int], norm: str) -> list[nn.Module]:
    """Stages that each halve the side, 4x4 convolutions of stride 2; no batch or group norm on the first."""
    first = "none" if norm in SHIFTING else norm
    norms = [first] + [norm] * (len(widths) - 1)
    return [
        nn.Sequential(convolution(a, b, own), normalisation(b, own), nn.LeakyReLU(0.2))
        for (a, b), own in zip(pairwise([channels, *widths]), norms, strict=True)
    ]


def painter(channels: int, size: Size, width: int, inputs: int, norm: str, upsample: str) -> nn.Sequential:
    """A vector (B, inputs) -> image (B, C, H, W): dense to the smallest map, stages that double it, 3x3 to tanh."""
    widths, sides = stages_of(size, width)
    inward = [max(widths[0] // 2, 1), *widths]
    unit = nn.Sequential(
        nn.Linear(inputs, inward[-1] * prod(sides), bias=norm not in SHIFTING),
        Rearrange("B (H W C) -> B C H W", H=sides[0], W=sides[1]),  # a channels-last view, no copy
        normalisation(inward[-1], norm),
        nn.ReLU(),
    )
    stages = [
        nn.Sequential(doubling(a, b, upsample, norm), normalisation(b, norm), nn.ReLU())
        for a, b in pairwise(reversed(inward))
    ]
    return nn.Sequential(unit, *stages, nn.Conv2d(inward[0], channels, 3, padding=1), nn.Tanh())


def doubling(inputs: int, outputs: int, upsample: str, norm: str) -> nn.Module:
    """Twice the side: nearest neighbour and 3x3 (Odena 2016), or 4x4 transposed (Radford 2016)."""
    bias = norm not in SHIFTING
    if upsample == "transpose":
        return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)
    return nn.Sequential(nn.Identity(), ResizeConv2d(inputs, outputs, 3, padding=1, bias=bias))  # as runs name it


class ResizeConv2d(nn.Conv2d):
    """Twice the side by the nearest neighbour, then a 3x3 convolution with padding 1, in 4 products for 9.

    An output pixel's three columns lie on two of the input: one transposed convolution, whose 4x4 kernel is the sum of
    the 3x3 one at four places, does both (Shi et al. 2016 have the reverse). But for rounding the result is the same.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(B, F, M, N) -> (B, G, 2 M, 2 N)."""
        kernel = self.weight.flip(2, 3).transpose(0, 1)
        kernel = pad(kernel, (0, 1)) + pad(kernel, (1, 0))
        kernel = pad(kernel, (0, 0, 0, 1)) + pad(kernel, (0, 0, 1, 0))
        return conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


def convolution(inputs: int, outputs: int, norm: str) -> nn.Module:
    """Half the side: a 4x4 convolution of stride 2, spectrally normalised where asked (Miyato 2018)."""
    layer = nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=norm not in SHIFTING)
    return spectral_norm(layer) if norm == "spectral" else layer


def dense(inputs: int, outputs: int, norm: str) -> nn.Module:
    """A linear layer, spectrally normalised where asked (Miyato 2018)."""
    layer = nn.Linear(inputs, outputs)
    return spectral_norm(layer) if norm == "spectral" else layer


def normalisation(features: int, norm: str) -> nn.Module:
    """Batch norm, group norm in 8 groups (fewer where 8 does not divide), or nothing."""
    if norm == "batch":
        return nn.BatchNorm2d(features)
    return nn.GroupNorm(gcd(8, features), features) if norm == "group" else nn.Identity()


def run_stages(stages: nn.ModuleList, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Every stage in turn -> flat features (B, F) and each stage's output by name."""
    taps = {}
    for i, stage in enumerate(stages, start=1):
        taps[f"stage{i}"] = x = stage(x)
    return rearrange(x, "B C H W -> B (H W C)"), taps
