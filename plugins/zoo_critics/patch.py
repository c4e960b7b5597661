"""Critics of patches (PatchGAN), of one scale and of several.

B batch, C channels, H, W image sides, M, N sides of the map of logits.
"""

from __future__ import annotations

from math import gcd
from typing import Literal

from torch import Tensor, cat, nn
from torch.nn.functional import avg_pool2d, interpolate
from torch.nn.utils.parametrizations import spectral_norm

from zoo import api

Norm = Literal["batch", "group", "spectral", "none"]
Size = int | tuple[int, int]
"""Of images: the side of a square, or height and width."""


class Patch(nn.Module):
    """PatchGAN (Isola et al. 2017, appendix 6.1.2): a logit for each of many overlapping patches.

    ``layers`` 4x4 convolutions that halve the side, one that does not, and one to the logits; a patch has 70 pixels
    with 3 layers, 34 with 2, 16 with 1. Weights N(0, 0.02), as published. Taps ``layer1``, ``layer2`` ... are hidden
    layers after their activation.

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        width: channels of the first layer; each next one has twice as many, 8 times at most.
        layers: that halve the side.
        norm: after every layer but the first and the last: ``batch``, as published, or ``group``, whose logit is about
            one image alone, as gradient penalties want; ``spectral`` on every weight (Miyato et al. 2018); ``none``.

    Raises:
        ValueError: images that leave no patch, or a width or number of layers below 1.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        width: int = 64,
        layers: int = 3,
        norm: Literal["batch", "group", "spectral", "none"] = "batch",
    ) -> None:
        super().__init__()
        _check(width, layers)
        if min(_sides(size)) >> layers < 3:
            raise ValueError(
                f"images of {min(_sides(size))} px leave no patch after {layers} layers that halve the side: take fewer"
            )
        self.layers, self.logit = _trunk(channels, width, layers, norm, 4)

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Images (B, C, H, W) -> logits (B, 1, M, N), M = H / 2^layers - 2, and the taps."""
        taps = {}
        for i, layer in enumerate(self.layers, 1):
            taps[f"layer{i}"] = x = layer(x)
        return api.CriticOutput(self.logit(x), taps)


class MultiScale(nn.Module):
    """Patch critics of an image, of its half, its quarter ... (Wang et al. 2018, section 3.2), all of one weight.

    Ours where it differs: the last two convolutions are 3x3, so that a map's side is the next one's twice; a coarse
    logit stands for as many places of the finest map as it covers, and the mean over all is the mean of the critics.

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        scales: how many critics.
        width: channels of the first layer; each next one has twice as many, 8 times at most.
        layers: that halve the side, of each.
        norm: as for the critic ``patch``.

    Raises:
        ValueError: a side that cannot be halved so often, or a width or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        scales: int = 2,
        width: int = 64,
        layers: int = 3,
        norm: Literal["batch", "group", "spectral", "none"] = "batch",
    ) -> None:
        super().__init__()
        _check(width, layers)
        if scales < 1:
            raise ValueError(f"scales {scales} is none: choose 1 or more")
        if odd := [side for side in _sides(size) if side % 2 ** (layers + scales - 1)]:
            often = f"{layers} layers and {scales} scales halve a side {layers + scales - 1} times"
            raise ValueError(f"{often}, and {odd[0]} px cannot be: take fewer, or a multiple (set data.size)")
        self.critics = nn.ModuleList(
            nn.Sequential(*layers_, last)
            for layers_, last in (_trunk(channels, width, layers, norm, 3) for _ in range(scales))
        )

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Images (B, C, H, W) -> logits (B, scales, M, N), M = H / 2^layers."""
        maps = []
        for critic in self.critics:
            maps.append(critic(x))
            x = avg_pool2d(x, 2)
        finest = maps[0].shape[2:]
        return api.CriticOutput(cat([maps[0], *(interpolate(m, size=finest) for m in maps[1:])], 1))


def _sides(size: Size) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else size


def _check(width: int, layers: int) -> None:
    for what, number in (("width", width), ("layers", layers)):
        if number < 1:
            raise ValueError(f"{what} {number} is none: choose 1 or more")


def _trunk(channels: int, width: int, layers: int, norm: Norm, kernel: int) -> tuple[nn.ModuleList, nn.Module]:
    """Hidden layers, and the one to the logits; the last two convolutions have a ``kernel`` of their own."""
    widths = [width * min(2**i, 8) for i in range(layers + 1)]
    made = nn.ModuleList()
    for i, (a, b) in enumerate(zip([channels, *widths], widths, strict=False)):
        own = norm if i else "spectral" if norm == "spectral" else "none"
        strided = i < layers
        convolution = _convolution(a, b, 4 if strided else kernel, 2 if strided else 1, own)
        made.append(nn.Sequential(convolution, *_norms(b, own), nn.LeakyReLU(0.2)))
    return made, _convolution(widths[-1], 1, kernel, 1, "spectral" if norm == "spectral" else "none")


def _convolution(a: int, b: int, kernel: int, stride: int, norm: Norm) -> nn.Module:
    layer = nn.Conv2d(a, b, kernel, stride, 1, bias=norm not in ("batch", "group"))
    nn.init.normal_(layer.weight, 0.0, 0.02)
    return spectral_norm(layer) if norm == "spectral" else layer


def _norms(features: int, norm: Norm) -> list[nn.Module]:
    if norm == "group":
        return [nn.GroupNorm(gcd(8, features), features)]
    if norm != "batch":
        return []
    batch = nn.BatchNorm2d(features)
    nn.init.normal_(batch.weight, 1.0, 0.02)
    return [batch]
