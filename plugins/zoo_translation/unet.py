"""A U-Net from image to image (Isola et al. 2017, appendix 6.1.1).

B batch, C channels, H, W image sides, F features of a level.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd
from typing import Literal

import torch
from torch import Tensor, nn

from zoo_translation.shapes import WIDEST

Size = int | tuple[int, int]
"""Of images: the side of a square, or height and width."""


class UNet(nn.Module):
    """4x4 convolutions that halve the side as often as they can, and as many that double it beside what was before.

    Level i has min(2^i, 8) * width features. Normalised are all but the first and the innermost, which may be one
    place. The innermost ``drops`` levels on the way up lose features by chance, at sampling too: all that is random of
    an image. Ours: whole features are dropped (Tompson et al. 2015), by factors 0 and 2 that the network is handed.

    Args:
        channels: C, of what it gives.
        size: H and W; one number where they are equal.
        takes: channels of what it is given; 0 for as many as it gives.
        width: features of the first level.
        levels: how often sides are halved; 0 for as often as they come out even, at most 8.
        drops: levels that lose features.
        norm: ``batch``, as published; ``group``; or ``none``.

    Raises:
        ValueError: sides that cannot be halved so often, or more drops than levels on the way up.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        takes: int = 0,
        width: int = 64,
        levels: int = 0,
        drops: int = 2,
        norm: Literal["batch", "group", "none"] = "batch",
    ) -> None:
        super().__init__()
        levels = levels or _halvings(size)
        if levels < 1 or gcd(*_sides(size)) % 2**levels:
            raise ValueError(f"images of {size} px cannot be halved {levels or 1} times: set levels, or data.size")
        if not 0 <= drops < levels:
            raise ValueError(
                f"{drops} levels are to lose features, and there are {levels - 1} on the way up: set drops"
            )
        widths = [width * min(2**i, WIDEST) for i in range(levels)]
        self.drops, self.numbers = drops, drops * WIDEST * width
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for i, (a, b) in enumerate(pairwise([takes or channels, *widths])):
            own = norm if 0 < i < levels - 1 else "none"
            self.down.append(nn.Sequential(_convolution(nn.Conv2d, a, b, own), *_norm(b, own), nn.LeakyReLU(0.2)))
        for i, (a, b) in enumerate(pairwise(widths[::-1])):
            wider = a if i else 0  # of the way down
            self.up.append(
                nn.Sequential(_convolution(nn.ConvTranspose2d, a + wider, b, norm), *_norm(b, norm), nn.ReLU())
            )
        wider = widths[0] if levels > 1 else 0
        self.paint = _convolution(nn.ConvTranspose2d, widths[0] + wider, channels, "none")

    def forward(self, image: Tensor, factors: Tensor | None = None) -> Tensor:
        """Images (B, takes, H, W) in [-1, 1] and factors on features (B, 8 width drops) -> (B, C, H, W) in [-1, 1]."""
        passed = []
        for level in self.down:
            image = level(image)
            passed.append(image)
        x = passed.pop()
        chances = () if factors is None else factors.chunk(self.drops, 1)
        for i, level in enumerate(self.up):
            x = level(x)
            if i < len(chances):
                x = x * chances[i][:, : x.shape[1], None, None]
            x = torch.cat([x, passed.pop()], 1)
        return self.paint(x).tanh()


def _sides(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _halvings(size: Size) -> int:
    """How often both sides come out even, at most 8."""
    side = gcd(*_sides(size))
    return min((side & -side).bit_length() - 1, 8)


def _convolution(kind: type[nn.Conv2d] | type[nn.ConvTranspose2d], inputs: int, outputs: int, norm: str) -> nn.Module:
    """Half or twice the side; weights N(0, 0.02), as published."""
    layer = kind(inputs, outputs, 4, 2, 1, bias=norm == "none")
    nn.init.normal_(layer.weight, 0.0, 0.02)
    return layer


def _norm(features: int, norm: str) -> list[nn.Module]:
    if norm == "batch":
        return [nn.BatchNorm2d(features)]
    return [nn.GroupNorm(gcd(8, features), features)] if norm == "group" else []
