"""Encoders and decoders of residual blocks for signals and volumes, whose codes are signals and volumes too, smaller.

B batch, C channels, L length, X, Y, Z sides, K channels of a code.
"""

from __future__ import annotations

from contextlib import nullcontext
from itertools import pairwise
from math import gcd
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from zoo import api


class Conv3d(nn.Conv3d):
    """A convolution of volumes, in the precision of its weights where a side is shorter than the kernel: there oneDNN's
    gradient of weights in bfloat16 is partly what lay in the memory before (torch 2.11 on CPUs)."""

    def forward(self, input: Tensor) -> Tensor:
        """Volumes (B, C, X, Y, Z) -> the same, convolved."""
        if min(input.shape[2:]) >= self.kernel_size[0]:
            return super().forward(input)
        device = input.device.type
        whole = torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()
        with whole:
            return super().forward(input.to(self.weight.dtype))


CONVOLUTIONS = {1: nn.Conv1d, 3: Conv3d}
"""By how many sides an item has."""
SPREAD = {1: 3, 3: 1}
"""How much wider than the last a level's next block looks: sounds are long (Zeghidour et al. 2021, section III-A)."""

Sigma = Literal["head", "none"]


class _Encoder(nn.Module):
    def __init__(
        self,
        sides: int,
        channels: int,
        factor: int,
        codes: int,
        width: int,
        multipliers: tuple[int, ...],
        blocks: int,
        sigma: Sigma,
    ) -> None:
        super().__init__()
        widths = _widths(factor, codes, width, multipliers, blocks)
        layers = [_convolution(sides, channels, widths[0])]
        for level, (a, b) in enumerate(pairwise([widths[0], *widths])):
            layers += _level(sides, a, b, blocks)
            if level + 1 < len(widths):
                layers.append(CONVOLUTIONS[sides](b, b, 4, 2, 1))
        self.layers = nn.Sequential(*layers)
        self.codes = _out(sides, widths[-1], 2 * codes if sigma == "head" else codes)
        self.sigma = sigma

    def forward(self, x: Tensor) -> api.Gaussian:
        """Items (B, C, ...) in [-1, 1] -> Gaussian of codes (B, K, ...), each side ``factor`` times smaller."""
        codes = self.codes(self.layers(x))
        if self.sigma == "none":
            return api.Gaussian(codes, torch.zeros_like(codes))
        return api.Gaussian(*codes.chunk(2, 1))


class _Decoder(nn.Module):
    def __init__(
        self,
        sides: int,
        channels: int,
        long: int,
        latent: tuple[int, ...],
        width: int,
        multipliers: tuple[int, ...],
        blocks: int,
    ) -> None:
        super().__init__()
        factor, rest = divmod(long, latent[1])
        if rest:
            raise ValueError(f"codes of length {latent[1]} do not divide {long}")
        widths = _widths(factor, latent[0], width, multipliers, blocks)[::-1]
        layers = [_convolution(sides, latent[0], widths[0])]
        for level, (a, b) in enumerate(pairwise([widths[0], *widths])):
            layers += _level(sides, a, b, blocks)
            if level + 1 < len(widths):
                layers += [_Twice(), _convolution(sides, b, b)]
        self.layers = nn.Sequential(*layers)
        self.item = _out(sides, widths[-1], channels)

    def forward(self, z: Tensor) -> Tensor:
        """Codes (B, K, ...) -> items (B, C, ...) in [-1, 1]."""
        return self.item(self.layers(z)).tanh()


class SignalEncoder(_Encoder):
    """Signals to signals of codes: residual blocks at each of several lengths, each half of the one before
    (Zeghidour et al. 2021, section III-A), blocks of a level dilated by 1, 3, 9 ...

    Args:
        channels: C.
        factor: how many times shorter the codes are: 2 for each of ``multipliers`` but one.
        codes: K.
        width: features of the first level.
        multipliers: features of each level, as multiples of that.
        blocks: residual blocks of a level.
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
        codes: int = 8,
        width: int = 16,
        multipliers: tuple[int, ...] = (1, 1, 2, 2, 4),
        blocks: int = 2,
        sigma: Literal["head", "none"] = "head",
    ) -> None:
        super().__init__(1, channels, factor, codes, width, multipliers, blocks, sigma)


class VolumeEncoder(_Encoder):
    """Volumes to volumes of codes: residual blocks at each of several sizes, each side half of the one before (Rombach
    et al. 2022, in three dimensions).

    Args:
        channels: C.
        factor: how many times smaller each side is: 2 for each of ``multipliers`` but one.
        codes: K.
        width: features of the first level.
        multipliers: features of each level, as multiples of that.
        blocks: residual blocks of a level.
        sigma: ``head`` gives a Gaussian with a deviation of its own for each number; ``none``, as quantisers want, one
            with none (its logarithm is 0 throughout).

    Raises:
        ValueError: levels that do not make the factor, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        *,
        factor: int = 4,
        codes: int = 3,
        width: int = 16,
        multipliers: tuple[int, ...] = (1, 2, 4),
        blocks: int = 1,
        sigma: Literal["head", "none"] = "head",
    ) -> None:
        super().__init__(3, channels, factor, codes, width, multipliers, blocks, sigma)


class SignalDecoder(_Decoder):
    """The way back of signals: each level twice as long as the one before.

    Args:
        channels: C.
        length: L.
        latent: shape of a code, (K, L / factor).
        width: features of the level of the signal's length.
        multipliers: features of each level, as multiples of that, from the signal down.
        blocks: residual blocks of a level.

    Raises:
        ValueError: levels that do not lead from the codes to the signal, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        length: int,
        latent: tuple[int, int],
        *,
        width: int = 16,
        multipliers: tuple[int, ...] = (1, 1, 2, 2, 4),
        blocks: int = 2,
    ) -> None:
        super().__init__(1, channels, length, latent, width, multipliers, blocks)


class VolumeDecoder(_Decoder):
    """The way back of volumes: each level twice as large as the one before.

    Args:
        channels: C.
        depth: the volume's first side.
        latent: shape of a code, (K, X / factor, Y / factor, Z / factor).
        width: features of the level of the volume's size.
        multipliers: features of each level, as multiples of that, from the volume down.
        blocks: residual blocks of a level.

    Raises:
        ValueError: levels that do not lead from the codes to the volume, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        depth: int,
        latent: tuple[int, int, int, int],
        *,
        width: int = 16,
        multipliers: tuple[int, ...] = (1, 2, 4),
        blocks: int = 1,
    ) -> None:
        super().__init__(3, channels, depth, latent, width, multipliers, blocks)


def _widths(factor: int, codes: int, width: int, multipliers: tuple[int, ...], blocks: int) -> list[int]:
    numbers = {"width": width, "codes": codes, "blocks": blocks, "multipliers": min(multipliers, default=0)}
    for what, number in numbers.items():
        if number < 1:
            raise ValueError(f"{what} {number} is none: choose 1 or more")
    if 2 ** (len(multipliers) - 1) != factor:
        told = f"{len(multipliers)} levels, multipliers {list(multipliers)}, halve a side {len(multipliers) - 1} times"
        raise ValueError(f"{told}, which does not make a factor of {factor}: give log2(factor) + 1 multipliers")
    return [width * multiplier for multiplier in multipliers]


def _convolution(sides: int, inputs: int, outputs: int, dilation: int = 1) -> nn.Module:
    return CONVOLUTIONS[sides](inputs, outputs, 3, padding=dilation, dilation=dilation)


def _level(sides: int, inputs: int, outputs: int, blocks: int) -> list[nn.Module]:
    return [_Block(sides, outputs if n else inputs, outputs, SPREAD[sides] ** n) for n in range(blocks)]


def _norm(features: int) -> nn.Module:
    return nn.GroupNorm(gcd(8, features), features)


def _out(sides: int, features: int, outputs: int) -> nn.Module:
    return nn.Sequential(_norm(features), nn.SiLU(), _convolution(sides, features, outputs))


class _Block(nn.Module):
    """Twice norm, SiLU and a convolution of 3, the first dilated, added to what came in."""

    def __init__(self, sides: int, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        first, second = _convolution(sides, inputs, outputs, dilation), _convolution(sides, outputs, outputs)
        self.change = nn.Sequential(_norm(inputs), nn.SiLU(), first, _norm(outputs), nn.SiLU(), second)
        self.same = nn.Identity() if inputs == outputs else CONVOLUTIONS[sides](inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.same(x) + self.change(x)


class _Twice(nn.Module):
    """Each number twice along each side."""

    def forward(self, x: Tensor) -> Tensor:
        return interpolate(x, scale_factor=2.0)
