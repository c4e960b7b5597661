"""Residual networks for GANs: those of SN-GAN, with attention where it is asked for, and of a class or of none.

Shapes: B batch, C channels, H, W = size, K latent, A noise, F features. A level halves or doubles the sides.
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd, prod, sqrt
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate, relu, scaled_dot_product_attention
from torch.nn.utils.parametrizations import spectral_norm

from zoo import api
from zoo_gan_networks.sides import Size, halvings, widths


class Generator(nn.Module):
    """Codes and noise to images: dense, residual blocks that double the sides, 3x3 to tanh (Miyato 2018, table 4).

    Args:
        channels: C.
        size: H and W; one number where they are equal. The shorter side is 4 to 7 times 2, 4, 8 ...
        latent: K.
        noise: A, may be 0.
        width: features at the image's side.
        widest: how many times as many the smallest map has at most, by powers of 2; 1 for as many throughout, as
            published for CIFAR-10 (with ``width: 256``).
        norm: before every activation.
        attention: the side of the map that has self-attention (Zhang et al. 2019), the shorter one; 0 for none.

    Raises:
        ValueError: a size, a width or an attention that these networks cannot have.
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
        norm: Literal["batch", "group", "none"] = "batch",
        attention: int = 0,
    ) -> None:
        super().__init__()
        self.body = Painter(channels, size, latent + noise, width, widest, norm, attention, classes=0)

    def forward(self, z: Tensor, noise: Tensor) -> Tensor:
        """Code (B, K) and noise (B, A) -> image (B, C, H, W) in [-1, 1]."""
        return self.body(torch.cat([z, noise], 1))


class ClassGenerator(nn.Module):
    """Codes and classes to images: a class says scale and shift of each normalisation (Miyato & Koyama 2018, table 3).

    Args:
        channels: C.
        size: as for ``resnet``.
        latent: K.
        classes: how many.
        width: features at the image's side.
        widest: as for ``resnet``.
        norm: that a class scales and shifts (Dumoulin et al. 2017, eq. 5).
        attention: as for ``resnet``.

    Raises:
        ValueError: a size, a width or an attention that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        latent: int,
        classes: int,
        *,
        width: int = 64,
        widest: int = 4,
        norm: Literal["batch", "group"] = "batch",
        attention: int = 0,
    ) -> None:
        super().__init__()
        self.body = Painter(channels, size, latent, width, widest, norm, attention, classes)

    def forward(self, z: Tensor, label: Tensor) -> Tensor:
        """Code (B, K) and class (B,) -> image (B, C, H, W) in [-1, 1]."""
        return self.body(z, label)


class Critic(nn.Module):
    """An image to a logit: residual blocks, most of which halve the sides, a sum over places (Miyato 2018, table 4).

    Taps ``block1``, ``block2`` ... are what each block gives, ``features`` (B, F) the sum after the last activation.

    Args:
        channels: C.
        size: as for the generator ``resnet``.
        width: features of the first block.
        widest: how many times as many the last one has at most, by powers of 2; 1 for as many throughout, as published
            for CIFAR-10 (with ``width: 128``).
        norm: ``spectral`` on every weight (Miyato et al. 2018), or ``none``, as gradient penalties want.
        attention: the side of the map that has self-attention (Zhang et al. 2019), the shorter one; 0 for none.

    Raises:
        ValueError: a size, a width or an attention that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        width: int = 64,
        widest: int = 4,
        norm: Literal["spectral", "none"] = "spectral",
        attention: int = 0,
    ) -> None:
        super().__init__()
        self.body = Reader(channels, size, width, widest, norm, attention)
        self.logit = normed(_dense(self.body.features, 1), norm)

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Image (B, C, H, W) in [-1, 1] -> logit (B,), unbounded, and the taps."""
        features, taps = self.body(x)
        return api.CriticOutput(self.logit(features)[:, 0], taps)


class ProjectionCritic(nn.Module):
    """An image and a class to a logit: psi(h) + e(y) . h, h the features of ``resnet`` (Miyato & Koyama 2018, eq. 5).

    Taps are those of ``resnet``.

    Args:
        channels: C.
        size: as for the generator ``resnet``.
        classes: how many.
        width: features of the first block.
        widest: as for the critic ``resnet``.
        norm: as for the critic ``resnet``; of the classes' vectors too.
        attention: as for the critic ``resnet``.

    Raises:
        ValueError: a size, a width or an attention that these networks cannot have.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        classes: int,
        *,
        width: int = 64,
        widest: int = 4,
        norm: Literal["spectral", "none"] = "spectral",
        attention: int = 0,
    ) -> None:
        super().__init__()
        self.body = Reader(channels, size, width, widest, norm, attention)
        self.logit = normed(_dense(self.body.features, 1), norm)
        of_class = nn.Embedding(classes, self.body.features)
        nn.init.xavier_uniform_(of_class.weight)
        self.of_class = normed(of_class, norm)

    def forward(self, x: Tensor, label: Tensor) -> api.CriticOutput:
        """Image (B, C, H, W) in [-1, 1] and class (B,) -> logit (B,), unbounded, and the taps."""
        features, taps = self.body(x)
        return api.CriticOutput(self.logit(features)[:, 0] + (self.of_class(label) * features).sum(1), taps)


class Painter(nn.Module):
    """A vector, and a class where there are any, to an image; what the generators are."""

    def __init__(
        self, channels: int, size: Size, inputs: int, width: int, widest: int, norm: str, attention: int, classes: int
    ) -> None:
        super().__init__()
        levels, self.sides = halvings(size)
        outward = [*widths(width, levels, widest), width * min(2**levels, widest)][::-1]
        self.begin = _dense(inputs, outward[0] * prod(self.sides))
        self.blocks, shorter = nn.ModuleList(), min(self.sides)
        for a, b in pairwise(outward):
            self.blocks.append(Up(a, b, norm, classes))
            shorter *= 2
            if attention == shorter:
                self.blocks.append(Attention(b, "none"))
        _check_attention(attention, self.blocks, min(self.sides), levels)
        self.norm = normalisation(width, norm, classes)
        self.image = _convolution(width, channels, 3)

    def forward(self, z: Tensor, *label: Tensor) -> Tensor:
        """Vector (B, N), and class (B,) -> image (B, C, H, W)."""
        x = self.begin(z).unflatten(1, (-1, *self.sides))
        for block in self.blocks:
            x = block(x, *label)
        return self.image(relu(self.norm(x, *label))).tanh()


class Reader(nn.Module):
    """An image to features, summed over places; what the critics are."""

    def __init__(self, channels: int, size: Size, width: int, widest: int, norm: str, attention: int) -> None:
        super().__init__()
        levels, sides = halvings(size)
        inward = widths(width, max(levels - 1, 1), widest)
        self.blocks, shorter = nn.ModuleList(), min(sides) * 2**levels
        for number, (a, b) in enumerate(pairwise([channels, *inward])):
            self.blocks.append(Down(a, b, norm, first=not number))
            shorter //= 2
            if attention == shorter:
                self.blocks.append(Attention(b, norm))
        _check_attention(attention, self.blocks, min(sides), levels)
        self.features = inward[-1]
        self.blocks += [Same(self.features, norm) for _ in range(2)]

    def forward(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Image (B, C, H, W) -> features (B, F), and the taps."""
        taps = {}
        for number, block in enumerate(self.blocks, 1):
            taps[f"block{number}"] = x = block(x)
        taps["features"] = features = relu(x).sum((2, 3))
        return features, taps


class Up(nn.Module):
    """x + a branch of two normalised 3x3 convolutions, at twice the sides (Miyato et al. 2018, figure 8)."""

    def __init__(self, inputs: int, outputs: int, norm: str, classes: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(normalisation(features, norm, classes) for features in (inputs, outputs))
        self.first, self.second = (_convolution(a, outputs, 3, sqrt(2)) for a in (inputs, outputs))
        self.short = _convolution(inputs, outputs, 1)

    def forward(self, x: Tensor, *label: Tensor) -> Tensor:
        """Map (B, F, H, W), and class (B,) -> (B, F', 2 H, 2 W)."""
        branch = self.first(_twice(relu(self.norms[0](x, *label))))
        return _twice(self.short(x)) + self.second(relu(self.norms[1](branch, *label)))


class Down(nn.Module):
    """x + a branch of two 3x3 convolutions, at half the sides; the first block's begins with the image as it is."""

    def __init__(self, inputs: int, outputs: int, norm: str, *, first: bool) -> None:
        super().__init__()
        self.first, self.second = (normed(_convolution(a, outputs, 3, sqrt(2)), norm) for a in (inputs, outputs))
        self.short = normed(_convolution(inputs, outputs, 1), norm)
        self.begins = first

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, F, H, W) -> (B, F', H / 2, W / 2)."""
        branch = self.second(relu(self.first(x if self.begins else relu(x))))
        return self.short(avg_pool2d(x, 2)) + avg_pool2d(branch, 2)


class Same(nn.Module):
    """x + a branch of two 3x3 convolutions, at the same sides."""

    def __init__(self, features: int, norm: str) -> None:
        super().__init__()
        self.first, self.second = (normed(_convolution(features, features, 3, sqrt(2)), norm) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, F, H, W) -> the same."""
        return x + self.second(relu(self.first(relu(x))))


class Attention(nn.Module):
    """x + g a, a what places take of each other, g learned and 0 at first (Zhang et al. 2019, eq. 1 to 3).

    Keys have F / 8 features, values F / 2; keys and values are at half the sides, as in the published program.
    """

    def __init__(self, features: int, norm: str) -> None:
        super().__init__()
        few, half = max(features // 8, 1), max(features // 2, 1)
        self.query, self.key, self.value = (
            normed(_convolution(features, number, 1), norm) for number in (few, few, half)
        )
        self.out = normed(_convolution(half, features, 1), norm)
        self.gain = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, *_: Tensor) -> Tensor:
        """Map (B, F, H, W), and a class that does not matter -> the same."""
        query = self.query(x).flatten(2).mT
        key, value = (avg_pool2d(of(x), 2).flatten(2).mT for of in (self.key, self.value))
        taken = scaled_dot_product_attention(query, key, value, scale=1.0)
        return x + self.gain * self.out(taken.mT.unflatten(2, x.shape[2:]))


class ClassNorm(nn.Module):
    """g_y (x - m) / s + b_y: a normalisation whose scale and shift are those of a class (Dumoulin et al. 2017, eq. 5).

    At first every class has scale 1 and shift 0.

    Args:
        features: F.
        classes: how many.
        norm: ``batch`` or ``group``, which gives m and s.
    """

    def __init__(self, features: int, classes: int, norm: str) -> None:
        super().__init__()
        self.norm = (
            nn.BatchNorm2d(features, affine=False)
            if norm == "batch"
            else nn.GroupNorm(gcd(8, features), features, affine=False)
        )
        self.scale, self.shift = nn.Embedding(classes, features), nn.Embedding(classes, features)
        nn.init.ones_(self.scale.weight)
        nn.init.zeros_(self.shift.weight)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """Map (B, F, H, W) and class (B,) -> the map, normalised."""
        return self.norm(x) * self.scale(label)[:, :, None, None] + self.shift(label)[:, :, None, None]


def normalisation(features: int, norm: str, classes: int) -> nn.Module:
    """Batch norm, group norm in 8 groups or fewer, or nothing; of a class where there are any."""
    if classes:
        return ClassNorm(features, classes, norm)
    if norm == "batch":
        return nn.BatchNorm2d(features)
    return nn.GroupNorm(gcd(8, features), features) if norm == "group" else nn.Identity()


def normed(layer: nn.Module, norm: str) -> nn.Module:
    """A layer, under spectral norm where that is asked (Miyato et al. 2018)."""
    return spectral_norm(layer) if norm == "spectral" else layer


def _convolution(inputs: int, outputs: int, side: int, gain: float = 1.0) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, side, padding=side // 2)
    nn.init.xavier_uniform_(layer.weight, gain)
    nn.init.zeros_(layer.bias)
    return layer


def _dense(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _twice(x: Tensor) -> Tensor:
    return interpolate(x, scale_factor=2.0)


def _check_attention(attention: int, blocks: nn.ModuleList, least: int, levels: int) -> None:
    if attention and not any(isinstance(block, Attention) for block in blocks):
        there = [str(least * 2**level) for level in range(1, levels)]
        raise ValueError(f"no map has a side of {attention} for attention; choices: {', '.join(there) or 'none, 0'}")
