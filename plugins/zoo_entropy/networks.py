"""The small networks that estimators own: made of blocks, each as large as ``width`` says.

Shapes: images (B, C, H, W) with D = C H W pixels, F features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

Net = Literal["conv", "mlp"]
Size = int | tuple[int, int]
"""Of images: the side of a square, or height and width."""
DENSE = 8
"""Units of a dense layer for each channel of ``width``."""


class Sum(nn.Module):
    """The sum of what its parts make of one input."""

    def __init__(self, *parts: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor) -> Tensor:
        """Whatever the parts take and give."""
        return torch.stack([part(x) for part in self.parts]).sum(0)


def conv(inputs: int, outputs: int, stride: int = 1) -> nn.Module:
    """A 3x3 convolution, (B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
    return nn.Conv2d(inputs, outputs, 3, stride, 1)


def dense_net(inputs: int, outputs: int, width: int) -> nn.Module:
    """(B, inputs) -> (B, outputs): two hidden layers beside a linear map, so that what is linear is exact."""
    units = DENSE * width
    curved = nn.Sequential(
        nn.Linear(inputs, units), nn.SiLU(), nn.Linear(units, units), nn.SiLU(), nn.Linear(units, outputs)
    )
    return Sum(nn.Linear(inputs, outputs), curved)


def sides_of(size: Size) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def denoiser(net: Net, channels: int, size: Size, width: int) -> nn.Module:
    """Image -> image of the same shape, unbounded: a U-Net (Ronneberger et al. 2015) or dense layers.

    At first it says next to nothing: what it adds to is right already where images are a Gaussian's.
    """
    _require_width(width)
    sides = sides_of(size)
    if net == "mlp":
        shape = (channels, *sides)
        pixels = math.prod(shape)
        net = dense_net(pixels, pixels, width)
        _quiet(net.parts[0], net.parts[1][-1])
        return nn.Sequential(nn.Flatten(), net, nn.Unflatten(1, shape))
    fold = (
        1 if any(side % 2 for side in sides) else 2
    )  # at half the side it costs a quarter, and nothing of the image is lost
    last = conv(width, channels * fold**2)
    _quiet(last)
    return nn.Sequential(
        nn.PixelUnshuffle(fold),
        conv(channels * fold**2, width),
        nn.SiLU(),
        _level([side // fold for side in sides], width),
        nn.SiLU(),
        last,
        nn.PixelShuffle(fold),
    )


@torch.no_grad()
def _quiet(*layers: nn.Module) -> None:
    for parameter in (p for layer in layers for p in layer.parameters()):
        parameter.mul_(0.01)


def _level(sides: Sequence[int], width: int) -> nn.Module:
    """One resolution of a U-Net and those below it, down to 8 px or an odd side; adds to what passes."""
    if min(sides) <= 8 or any(side % 2 for side in sides):
        return Sum(nn.Identity(), nn.Sequential(conv(width, width), nn.SiLU(), conv(width, width)))
    below = nn.Sequential(
        conv(width, 2 * width, stride=2),
        nn.SiLU(),
        _level([side // 2 for side in sides], 2 * width),
        nn.SiLU(),
        nn.Upsample(scale_factor=2),
        conv(2 * width, width),
    )
    return Sum(nn.Identity(), below)


def reader(net: Net, channels: int, size: Size, width: int) -> tuple[nn.Module, int]:
    """Image -> features (B, F), and F: strided convolutions down to 4 px, or the pixels themselves."""
    _require_width(width)
    if net == "mlp":
        return nn.Flatten(), channels * math.prod(sides_of(size))
    layers: list[nn.Module] = []
    sides = sides_of(size)
    while min(sides) > 4:
        layers += [conv(channels, width, stride=2), nn.SiLU()]
        channels, width, sides = width, 2 * width, (-(-sides[0] // 2), -(-sides[1] // 2))
    return nn.Sequential(*layers, nn.Flatten()), channels * math.prod(sides)


def _require_width(width: int) -> None:
    if width < 1:
        raise ValueError(f"width must be at least 1, not {width}")
