"""Networks that are told the time: U-Nets of images and maps, alone, of a class or of a code, and perceptrons.

B batch, C channels, H, W sides, K numbers of a code, F features. Time is a number from 0 to 1 for each item.
"""

from __future__ import annotations

import math
from itertools import pairwise
from math import gcd

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, scaled_dot_product_attention

Size = int | tuple[int, int]
"""Of images: the side of a square, or height and width."""


class UNet(nn.Module):
    """A U-Net that is told the time (Ho et al. 2020, appendix B), each block's norm scaled and shifted by it (Dhariwal
    & Nichol 2021): for what is to be guessed of a noised image, its noise or its velocity.

    Levels halve the side. What it gives is 0 at first.

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        width: features of the first level.
        multipliers: features of each level, as multiples of that.
        blocks: residual blocks of a level.
        attention: whether the lowest level has any.
        patch: side of the squares that are a place of the first level each; 2 makes all four times as quick.

    Raises:
        ValueError: a side that cannot be halved so often, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        width: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 2),
        blocks: int = 2,
        attention: bool = True,
        patch: int = 1,
    ) -> None:
        super().__init__()
        self.body = Body(channels, channels, size, width, multipliers, blocks, attention, patch)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Noised images (B, C, H, W) and times (B,) -> a guess (B, C, H, W), unbounded."""
        return self.body(x, self.body.time(time, x))


class ClassUNet(nn.Module):
    """That U-Net, told a class too, or that there is none: -1, as guidance without a classifier asks (Ho & Salimans
    2021).

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        classes: how many there are.
        width: features of the first level.
        multipliers: features of each level, as multiples of that.
        blocks: residual blocks of a level.
        attention: whether the lowest level has any.
        patch: side of the squares that are a place of the first level each; 2 makes all four times as quick.

    Raises:
        ValueError: a side that cannot be halved so often, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        classes: int,
        *,
        width: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 2),
        blocks: int = 2,
        attention: bool = True,
        patch: int = 1,
    ) -> None:
        super().__init__()
        self.body = Body(channels, channels, size, width, multipliers, blocks, attention, patch)
        self.classes = nn.Embedding(1 + classes, self.body.features)

    def forward(self, x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        """Noised images (B, C, H, W), times (B,) and classes (B,), -1 for none -> a guess (B, C, H, W)."""
        return self.body(x, self.body.time(time, x) + self.classes(label + 1))


class CodeUNet(nn.Module):
    """That U-Net, told a code too (Preechakul et al. 2022): a decoder that paints step by step.

    A vector joins the time, a map lies beside the image, as large as that.

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        latent: K, or the shape of a map.
        width: features of the first level.
        multipliers: features of each level, as multiples of that.
        blocks: residual blocks of a level.
        attention: whether the lowest level has any.
        patch: side of the squares that are a place of the first level each; 2 makes all four times as quick.

    Raises:
        ValueError: a side that cannot be halved so often, a number below 1, or codes that are tokens.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: tuple[int, ...],
        *,
        width: int = 32,
        multipliers: tuple[int, ...] = (1, 2, 2),
        blocks: int = 2,
        attention: bool = True,
        patch: int = 1,
    ) -> None:
        super().__init__()
        if len(latent) not in (1, 3):
            raise ValueError(f"codes are vectors or maps here, not {' x '.join(map(str, latent))}: set latent")
        self.size = (size, size) if isinstance(size, int) else size
        beside = latent[0] if len(latent) == 3 else 0
        self.body = Body(channels + beside, channels, size, width, multipliers, blocks, attention, patch)
        self.code = None if beside else nn.Linear(latent[0], self.body.features)

    def forward(self, x: Tensor, time: Tensor, z: Tensor) -> Tensor:
        """Noised images (B, C, H, W), times (B,) and codes (B, K) or (B, D, M, N) -> a guess (B, C, H, W)."""
        told = self.body.time(time, x)
        if self.code is not None:
            return self.body(x, told + self.code(z))
        return self.body(torch.cat([x, interpolate(z, size=self.size)], 1), told)


class Perceptron(nn.Module):
    """Residual hidden layers that are told the time, for vectors such as codes.

    What it gives is 0 at first.

    Args:
        features: F, of a vector.
        width: of a hidden layer.
        blocks: residual blocks.

    Raises:
        ValueError: a number below 1.
    """

    def __init__(self, features: int, *, width: int = 256, blocks: int = 3) -> None:
        super().__init__()
        _check(width=width, blocks=blocks)
        self.time = Time(width, width)
        self.begin = nn.Linear(features, width)
        self.blocks = nn.ModuleList(_Hidden(width) for _ in range(blocks))
        self.end = nn.Sequential(nn.LayerNorm(width), zeroed(nn.Linear(width, features)))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Noised vectors (B, F) and times (B,) -> a guess (B, F), unbounded."""
        told, h = self.time(time, x), self.begin(x)
        for block in self.blocks:
            h = block(h, told)
        return self.end(h)


class Time(nn.Module):
    """A time from 0 to 1 as sines and cosines of 1,000 times it (Vaswani et al. 2017; Ho et al. 2020), then two layers.

    Args:
        waves: how many sines and cosines, at least 2.
        features: F.
    """

    def __init__(self, waves: int, features: int) -> None:
        super().__init__()
        self.half = max(waves // 2, 1)
        self.layers = nn.Sequential(nn.Linear(2 * self.half, features), nn.SiLU(), nn.Linear(features, features))

    def forward(self, time: Tensor, like: Tensor) -> Tensor:
        """Times (B,) -> (B, F), of the type of ``like``."""
        place = torch.arange(self.half, device=like.device, dtype=like.dtype) / self.half
        angles = 1000 * time.to(like.dtype)[:, None] * (-math.log(10000) * place).exp()
        return self.layers(torch.cat([angles.sin(), angles.cos()], 1))


class Body(nn.Module):
    """A U-Net: levels down, whose every block is kept for the way up; each block is told a vector.

    Args:
        inputs: channels that it takes.
        outputs: channels that it gives.
        size: H and W.
        width: features of the first level.
        multipliers: features of each level, as multiples of that.
        blocks: residual blocks of a level.
        attention: whether the lowest level has any.
        patch: side of the squares that are a place of the first level each.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: Size,
        width: int,
        multipliers: tuple[int, ...],
        blocks: int,
        attention: bool,
        patch: int,
    ) -> None:
        super().__init__()
        _check(width=width, blocks=blocks, patch=patch, multipliers=min(multipliers, default=0))
        step = patch * 2 ** (len(multipliers) - 1)
        if odd := [side for side in ((size, size) if isinstance(size, int) else size) if side % step]:
            told = f"patches of {patch} and {len(multipliers)} levels, multipliers {list(multipliers)},"
            raise ValueError(f"{told} divide a side by {step}, and {odd[0]} cannot be: take fewer (or data.size)")
        widths, self.features = [width * multiplier for multiplier in multipliers], 4 * width
        self.time = Time(width, self.features)
        self.begin = nn.Sequential(nn.PixelUnshuffle(patch), nn.Conv2d(inputs * patch**2, widths[0], 3, padding=1))
        self.down, self.up, kept = nn.ModuleList(), nn.ModuleList(), []
        for level, (a, b) in enumerate(pairwise([widths[0], *widths])):
            self.down.append(nn.ModuleList(_Block(b if n else a, b, self.features) for n in range(blocks)))
            kept.append([b] * blocks)
            if level + 1 < len(widths):
                self.down.append(nn.Conv2d(b, b, 3, 2, 1))
        deep = widths[-1]
        middle = [_Block(deep, deep, self.features), *([Attention(deep)] if attention else [])]
        self.middle = nn.ModuleList([*middle, _Block(deep, deep, self.features)])
        now = deep
        for level in reversed(range(len(widths))):
            steps = nn.ModuleList()
            for other in reversed(kept[level]):
                steps.append(_Block(now + other, widths[level], self.features))
                now = widths[level]
            self.up.append(steps)
            if level:
                self.up.append(nn.Conv2d(now, now, 3, padding=1))
        end = zeroed(nn.Conv2d(now, outputs * patch**2, 3, padding=1))
        self.end = nn.Sequential(_norm(now), nn.SiLU(), end, nn.PixelShuffle(patch))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        """Maps (B, inputs, H, W) and what blocks are told (B, features) -> (B, outputs, H, W)."""
        h, kept = self.begin(x), []
        for level in self.down:
            if isinstance(level, nn.Conv2d):
                h = level(h)
                continue
            for block in level:
                h = block(h, told)
                kept.append(h)
        for block in self.middle:
            h = block(h) if isinstance(block, Attention) else block(h, told)
        for level in self.up:
            if isinstance(level, nn.Conv2d):
                h = level(interpolate(h, scale_factor=2.0))
                continue
            for block in level:
                h = block(torch.cat([h, kept.pop()], 1), told)
        return self.end(h)


class _Block(nn.Module):
    """Twice norm, SiLU and a 3x3 convolution, added to what came in; the second norm's scale and shift are told."""

    def __init__(self, inputs: int, outputs: int, features: int) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(inputs), nn.SiLU(), nn.Conv2d(inputs, outputs, 3, padding=1))
        self.told = nn.Sequential(nn.SiLU(), nn.Linear(features, 2 * outputs))
        self.norm = _norm(outputs)
        self.second = nn.Sequential(nn.SiLU(), zeroed(nn.Conv2d(outputs, outputs, 3, padding=1)))
        self.same = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told)[:, :, None, None].chunk(2, 1)
        return self.same(x) + self.second(self.norm(self.first(x)) * (1 + scale) + shift)


class Attention(nn.Module):
    """One head of attention over all places, added to what came in."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.norm, self.read = _norm(features), nn.Conv2d(features, 3 * features, 1)
        self.write = zeroed(nn.Conv2d(features, features, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, F, H, W) -> the same."""
        query, key, value = self.read(self.norm(x)).flatten(2).transpose(1, 2).chunk(3, 2)
        found = scaled_dot_product_attention(query, key, value)
        return x + self.write(found.transpose(1, 2).reshape(x.shape))


class _Hidden(nn.Module):
    """Norm, scaled and shifted as told, and two layers, added to what came in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.told = nn.Sequential(nn.SiLU(), nn.Linear(width, 2 * width))
        self.change = nn.Sequential(nn.Linear(width, width), nn.SiLU(), zeroed(nn.Linear(width, width)))

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told).chunk(2, 1)
        return x + self.change(self.norm(x) * (1 + scale) + shift)


def zeroed(layer: nn.Module) -> nn.Module:
    """The layer, 0 at first (Ho et al. 2020)."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


def _norm(features: int) -> nn.Module:
    return nn.GroupNorm(gcd(8, features), features)


def _check(**numbers: int) -> None:
    for what, number in numbers.items():
        if number < 1:
            raise ValueError(f"{what} {number} is none: choose 1 or more")
