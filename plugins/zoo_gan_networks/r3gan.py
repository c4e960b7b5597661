"""R3GAN's networks: residual blocks of grouped convolutions, without normalisation (Huang et al. 2024, section 4).

Shapes: B batch, C channels, H, W = size, K latent, A noise, F features. A level halves or doubles the sides.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from math import gcd, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from zoo import api
from zoo_gan_networks.sides import Size, doubled, halved, halvings, widths

SLOPE = 0.2
"""Of leaky rectifiers below 0."""


class Generator(nn.Module):
    """Codes and noise to images: a learned map whose features the code scales, then levels of blocks.

    Args:
        channels: C.
        size: H and W; one number where they are equal. The shorter side is 4 to 7 times 2, 4, 8 ...
        latent: K.
        noise: A, may be 0.
        width: features at the image's side.
        widest: how many times as many the smallest map has at most, by powers of 2; 1 for as many throughout, as
            published for CIFAR-10 (with ``width: 768``).
        blocks: of a level.
        expansion: how many times as wide a block is inside.
        group: features of a group of its 3x3 convolution.

    Raises:
        ValueError: a size that these networks cannot have, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        noise: int,
        *,
        width: int = 64,
        widest: int = 4,
        blocks: int = 2,
        expansion: int = 2,
        group: int = 16,
    ) -> None:
        super().__init__()
        levels, sides = halvings(size)
        outward = widths(width, levels + 1, widest)[::-1]
        self.map = nn.Parameter(torch.randn(outward[0], *sides))
        self.scale = _filled(nn.Linear(latent + noise, outward[0], bias=False))
        make = Levels(blocks * len(outward), blocks, expansion, group)
        self.levels = nn.ModuleList([make.level(outward[0])])
        for a, b in pairwise(outward):
            self.levels.append(nn.Sequential(*_change(a, b), Resample(doubled), make.level(b)))
        self.image = _filled(nn.Conv2d(outward[-1], channels, 1))

    def forward(self, z: Tensor, noise: Tensor) -> Tensor:
        """Code (B, K) and noise (B, A) -> image (B, C, H, W), about in [-1, 1]; nothing bounds it."""
        x = self.scale(torch.cat([z, noise], 1))[:, :, None, None] * self.map
        for level in self.levels:
            x = level(x)
        return self.image(x)


class Critic(nn.Module):
    """An image to a logit: levels of blocks, then every feature's own weights over places, and a linear map.

    Taps ``level1``, ``level2`` ... are what each level gives.

    Args:
        channels: C.
        size: as for the generator.
        width: features at the image's side.
        widest: how many times as many the smallest map has at most, by powers of 2; 1 for as many throughout.
        blocks: of a level.
        expansion: how many times as wide a block is inside.
        group: features of a group of its 3x3 convolution.

    Raises:
        ValueError: a size that these networks cannot have, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        width: int = 64,
        widest: int = 4,
        blocks: int = 2,
        expansion: int = 2,
        group: int = 16,
    ) -> None:
        super().__init__()
        levels, sides = halvings(size)
        inward = widths(width, levels + 1, widest)
        self.begin = _filled(nn.Conv2d(channels, width, 1))
        make = Levels(blocks * len(inward), blocks, expansion, group)
        self.levels = nn.ModuleList([make.level(width)])
        for a, b in pairwise(inward):
            self.levels.append(nn.Sequential(Resample(halved), *_change(a, b), make.level(b)))
        self.places = _filled(nn.Conv2d(inward[-1], inward[-1], sides, groups=inward[-1], bias=False))
        self.logit = _filled(nn.Linear(inward[-1], 1))

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Image (B, C, H, W) in [-1, 1] -> logit (B,), unbounded, and the taps."""
        x, taps = self.begin(x), {}
        for number, level in enumerate(self.levels, 1):
            taps[f"level{number}"] = x = level(x)
        return api.CriticOutput(self.logit(self.places(x)[:, :, 0, 0])[:, 0], taps)


class Levels:
    """Makes the levels of a network.

    Args:
        depth: L, blocks of the whole network.
        blocks: of a level.
        expansion: how many times as wide a block is inside.
        group: features of a group of its 3x3 convolution.

    Raises:
        ValueError: a number below 1.
    """

    def __init__(self, depth: int, blocks: int, expansion: int, group: int) -> None:
        for name, number in (("blocks", blocks), ("expansion", expansion), ("group", group)):
            if number < 1:
                raise ValueError(f"{name} {number} is none: choose 1 or more")
        self.depth, self.blocks, self.expansion, self.group = depth, blocks, expansion, group

    def level(self, features: int) -> nn.Module:
        """The blocks of a level."""
        return nn.Sequential(
            *(Block(features, features * self.expansion, self.group, self.depth) for _ in range(self.blocks))
        )


class Block(nn.Module):
    """x + 1x1, grouped 3x3, 1x1 convolutions, leaky rectifiers in between (Xie et al. 2017, without normalisation).

    At first it is the identity: the last weights are 0, the others L^(-1/4) times as large as they would be (fix-up,
    Zhang et al. 2019, section 3, for a branch of m = 3 layers: L^(-1/(2m - 2))).

    Args:
        features: F.
        inside: features between the convolutions.
        group: how many of them a group has; a divisor of ``inside`` in its place where it is none.
        depth: L, blocks of the whole network.
    """

    def __init__(self, features: int, inside: int, group: int, depth: int) -> None:
        super().__init__()
        gain = sqrt(2 / (1 + SLOPE**2)) * depth**-0.25
        self.widen = _filled(nn.Conv2d(features, inside, 1), gain)
        groups = inside // gcd(inside, group)
        self.mix = _filled(nn.Conv2d(inside, inside, 3, padding=1, groups=groups), gain)
        self.narrow = _filled(nn.Conv2d(inside, features, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, F, H, W) -> the same."""
        inside = leaky_relu(self.mix(leaky_relu(self.widen(x), SLOPE)), SLOPE)
        return x + self.narrow(inside)


class Resample(nn.Module):
    """``doubled`` or ``halved``, as a layer.

    Args:
        by: which of the two.
    """

    def __init__(self, by: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, F, H, W) -> one of other sides."""
        return self.by(x)


def _change(a: int, b: int) -> list[nn.Module]:
    """A 1x1 convolution where the number of features changes."""
    return [] if a == b else [_filled(nn.Conv2d(a, b, 1, bias=False))]


def _filled(layer: nn.Conv2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """Weights N(0, gain^2 / fan-in) (He et al. 2015), biases 0."""
    nn.init.normal_(layer.weight, 0.0, gain / sqrt(layer.weight[0].numel()))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer
