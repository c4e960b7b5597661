"""An encoder and a decoder of residual blocks, whose codes are maps: the networks of VQGAN and of latent diffusion.

B batch, C channels, H, W image sides, D channels of a code, F features.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, pad, scaled_dot_product_attention

from zoo import api


class Encoder(nn.Module):
    """Residual blocks at each of several sides, from the image down (Esser et al. 2021, table 7; Rombach et al. 2022).

    A level halves the side but for the last, which has attention after each block and in the middle. The last
    convolution gives the codes; published programs have a linear map after it, which adds nothing.

    Args:
        channels: C.
        factor: how many times smaller the map is than the image: 2 for each of ``multipliers`` but one.
        depth: D.
        width: features of the first level.
        multipliers: features of each level, as multiples of that.
        blocks: residual blocks of a level.
        attention: whether the last level has any.
        sigma: ``head`` gives a Gaussian with a deviation of its own for each number; ``none``, as quantisers want, one
            with none (its logarithm is 0 throughout).

    Raises:
        ValueError: levels that do not make the factor, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        *,
        factor: int = 16,
        depth: int = 256,
        width: int = 128,
        multipliers: tuple[int, ...] = (1, 1, 2, 2, 4),
        blocks: int = 2,
        attention: bool = True,
        sigma: Literal["head", "none"] = "head",
    ) -> None:
        super().__init__()
        widths = _widths(factor, depth, width, multipliers, blocks)
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1)]
        for level, (a, b) in enumerate(pairwise([widths[0], *widths])):
            last = level + 1 == len(widths)
            layers += _level(a, b, blocks, attention and last)
            if not last:
                layers.append(_Down(b))
        self.layers = nn.Sequential(*layers, *_middle(widths[-1], attention))
        self.codes = _out(widths[-1], 2 * depth if sigma == "head" else depth)
        self.sigma = sigma

    def forward(self, x: Tensor) -> api.Gaussian:
        """Images (B, C, H, W) -> Gaussian of codes (B, D, H / factor, W / factor)."""
        codes = self.codes(self.layers(x))
        if self.sigma == "none":
            return api.Gaussian(codes, torch.zeros_like(codes))
        return api.Gaussian(*codes.chunk(2, 1))


class Decoder(nn.Module):
    """The encoder's way back, with one block more a level (Esser et al. 2021, table 7).

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        latent: shape of a code, (D, H / factor, W / factor).
        width: features of the level at the image's side.
        multipliers: features of each level, as multiples of that, from the image down.
        blocks: residual blocks of a level of the encoder.
        attention: whether the level of the codes has any.

    Raises:
        ValueError: levels that do not lead from the codes to the image, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        size: int | tuple[int, int],
        latent: tuple[int, int, int],
        *,
        width: int = 128,
        multipliers: tuple[int, ...] = (1, 1, 2, 2, 4),
        blocks: int = 2,
        attention: bool = True,
    ) -> None:
        super().__init__()
        depth, *sides = latent
        images = (size, size) if isinstance(size, int) else size
        factor, rest = divmod(images[0], sides[0])
        if rest or tuple(side * factor for side in sides) != images:
            told = (" x ".join(map(str, one)) for one in (sides, images))
            raise ValueError("codes of {} places do not divide images of {}".format(*told))
        widths = _widths(factor, depth, width, multipliers, blocks)[::-1]
        layers: list[nn.Module] = [nn.Conv2d(depth, widths[0], 3, padding=1), *_middle(widths[0], attention)]
        for level, (a, b) in enumerate(pairwise([widths[0], *widths])):
            layers += _level(a, b, blocks + 1, attention and not level)
            if level + 1 < len(widths):
                layers.append(_Up(b))
        self.layers = nn.Sequential(*layers)
        self.image = _out(widths[-1], channels)

    def forward(self, z: Tensor) -> Tensor:
        """Codes (B, D, H / factor, W / factor) -> images (B, C, H, W), about in [-1, 1]; nothing bounds them."""
        return self.image(self.layers(z))


def _widths(factor: int, depth: int, width: int, multipliers: tuple[int, ...], blocks: int) -> list[int]:
    for what, number in (
        ("width", width),
        ("depth", depth),
        ("blocks", blocks),
        ("multipliers", min(multipliers, default=0)),
    ):
        if number < 1:
            raise ValueError(f"{what} {number} is none: choose 1 or more")
    if 2 ** (len(multipliers) - 1) != factor:
        told = f"{len(multipliers)} levels, multipliers {list(multipliers)}, halve a side {len(multipliers) - 1} times"
        raise ValueError(f"{told}, which does not make a factor of {factor}: give log2(factor) + 1 multipliers")
    return [width * multiplier for multiplier in multipliers]


def _level(inputs: int, outputs: int, blocks: int, attention: bool) -> list[nn.Module]:
    layers: list[nn.Module] = []
    for number in range(blocks):
        layers.append(_Block(outputs if number else inputs, outputs))
        layers += [_Attention(outputs)] if attention else []
    return layers


def _middle(features: int, attention: bool) -> list[nn.Module]:
    return [_Block(features, features), *([_Attention(features)] if attention else []), _Block(features, features)]


def _norm(features: int) -> nn.Module:
    return nn.GroupNorm(gcd(32, features), features, eps=1e-6)


def _out(features: int, outputs: int) -> nn.Module:
    return nn.Sequential(_norm(features), nn.SiLU(), nn.Conv2d(features, outputs, 3, padding=1))


class _Block(nn.Module):
    """Twice norm, SiLU and a 3x3 convolution, added to what came in."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        convolutions = [nn.Conv2d(a, outputs, 3, padding=1) for a in (inputs, outputs)]
        self.change = nn.Sequential(
            _norm(inputs), nn.SiLU(), convolutions[0], _norm(outputs), nn.SiLU(), convolutions[1]
        )
        self.same = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.same(x) + self.change(x)


class _Attention(nn.Module):
    """One head of attention over all places, added to what came in."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm, self.read, self.write = (
            _norm(features),
            nn.Conv2d(features, 3 * features, 1),
            nn.Conv2d(features, features, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.read(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, 2)
        found = scaled_dot_product_attention(query, key, value)
        return x + self.write(found.transpose(1, 2).reshape(x.shape))


class _Down(nn.Module):
    """A 3x3 convolution of stride 2, padded at the right and the bottom."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(features, features, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(pad(x, (0, 1, 0, 1)))


class _Up(nn.Module):
    """Nearest neighbour and a 3x3 convolution."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.convolution(interpolate(x, scale_factor=2.0))
