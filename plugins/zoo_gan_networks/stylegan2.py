"""StyleGAN2's networks, without CUDA code: mapping, modulated generator, residual critic (Karras et al. 2020).

Shapes: B batch, C channels, H, W = size, K latent, F features, L layers that have a style each.
Weights are N(0, 1) and scaled where they are used, so that Adam moves all at one rate (Karras 2018, section 4.1).
"""

from __future__ import annotations

from itertools import pairwise
from math import gcd, prod, sqrt

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, leaky_relu, linear

from zoo import api
from zoo_gan_networks.sides import Size, doubled, halved, halvings, widths


class Mapping(nn.Module):
    """Codes to styles: each code at unit length a number, then hidden layers (Karras et al. 2019, section 2).

    Args:
        latent: K, of styles too.
        depth: layers; StyleGAN2 has 8.

    Raises:
        ValueError: a depth below 1.
    """

    def __init__(self, latent: int, *, depth: int = 4) -> None:
        super().__init__()
        if depth < 1:
            raise ValueError(f"depth {depth} is none: choose 1 or more")
        self.layers = nn.ModuleList(Dense(latent, latent) for _ in range(depth))

    def forward(self, z: Tensor) -> Tensor:
        """Codes (B, K) -> styles (B, K)."""
        w = z * (z.square().mean(1, keepdim=True) + 1e-8).rsqrt()
        for layer in self.layers:
            w = _rectified(layer(w))
        return w


class Synthesis(nn.Module):
    """Styles and noise to images: a learned map, modulated convolutions, and images of all sides, summed (figure 7, b).

    Args:
        channels: C.
        size: H and W; one number where they are equal. The shorter side is 4 to 7 times 2, 4, 8 ...
        latent: K.
        width: features at the image's side.
        widest: how many times as many the smallest map has at most, by powers of 2.

    Attributes:
        styles: L, layers that have a style each.
        noise: the shape of the noise of an image, (3, H, W).

    Raises:
        ValueError: a size that these networks cannot have, or a number below 1.
    """

    def __init__(self, channels: int, size: Size, latent: int, *, width: int = 64, widest: int = 4) -> None:
        super().__init__()
        levels, (height, wide) = halvings(size)
        outward = widths(width, levels + 1, widest)[::-1]
        self.map = nn.Parameter(torch.randn(outward[0], height, wide))
        self.layers = nn.ModuleList([Styled(outward[0], outward[0], latent)])
        self.images = nn.ModuleList([ToImage(outward[0], channels, latent)])
        for a, b in pairwise(outward):
            self.layers += [Styled(a, b, latent, up=True), Styled(b, b, latent)]
            self.images.append(ToImage(b, channels, latent))
        self.styles = len(self.layers) + 1
        self.noise = (3, height * 2**levels, wide * 2**levels)

    def forward(self, styles: Tensor, noise: Tensor) -> Tensor:
        """Styles (B, L, K) and noise (B, 3, H, W) -> images (B, C, H, W), about in [-1, 1]; nothing bounds them.

        Of fewer styles the last one is that of all further layers. An image of a level has the next layer's style.
        """
        each = list(styles.unbind(1))
        each += each[-1:] * (self.styles - len(each))
        noises = noises_of(noise, len(self.images) - 1)
        x = self.map.expand(styles.shape[0], *self.map.shape)
        x = self.layers[0](x, each[0], noises[0])
        image = self.images[0](x, each[1])
        for level, to_image in enumerate(self.images[1:], 1):
            for place in (2 * level - 1, 2 * level):
                x = self.layers[place](x, each[place], noises[place])
            image = doubled(image) + to_image(x, each[2 * level + 1])
        return image


def noises_of(noise: Tensor, levels: int) -> list[Tensor]:
    """Noise for each layer, no number of it for two: a channel for each of the last two, a third for all before them.

    Args:
        noise: (B, 3, H, W).
        levels: how often the smallest map's sides are doubled.

    Returns:
        Maps (B, 1, H', W'): one of the smallest sides, two of each further level.
    """
    coarse, found = noise[:, 2:], []
    for level in range(levels):
        step = 2 ** (levels - level)
        rows = coarse[:, :, step // 2 :: step]
        found += [rows[..., step // 2 :: step], rows[..., ::step]]
    del found[1]  # the smallest map has one layer
    return [*found, noise[:, :1], noise[:, 1:2]]


class Critic(nn.Module):
    """An image to a logit: residual blocks that halve the sides, the batch's deviation beside their map (figure 7, c).

    So a logit depends on the images that stand beside it in the batch. Taps ``block1``, ``block2`` ... are blocks'.

    Args:
        channels: C.
        size: as for the generator.
        width: features at the image's side.
        widest: how many times as many the smallest map has at most, by powers of 2.
        group: images whose deviation is taken together (Karras et al. 2018, section 3), at most, as it divides the
            batch; 1 for none.

    Raises:
        ValueError: a size that these networks cannot have, or a number below 1.
    """

    def __init__(self, channels: int, size: Size, *, width: int = 64, widest: int = 4, group: int = 4) -> None:
        super().__init__()
        levels, sides = halvings(size)
        inward = widths(width, levels + 1, widest)
        if group < 1:
            raise ValueError(f"group {group} is none: choose 1 or more")
        self.group = group
        self.begin = Convolution(channels, width, 1)
        self.blocks = nn.ModuleList(Down(a, b) for a, b in pairwise(inward))
        last = inward[-1]
        self.mix = Convolution(last + 1, last, 3)
        self.hidden, self.logit = Dense(last * prod(sides), last), Dense(last, 1)

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Image (B, C, H, W) in [-1, 1] -> logit (B,), unbounded, and the taps."""
        x, taps = _rectified(self.begin(x)), {}
        for number, block in enumerate(self.blocks, 1):
            taps[f"block{number}"] = x = block(x)
        x = _rectified(self.mix(torch.cat([x, deviation(x, gcd(self.group, len(x)))], 1)))
        return api.CriticOutput(self.logit(_rectified(self.hidden(x.flatten(1))))[:, 0], taps)


class Dense(nn.Module):
    """A linear layer.

    Args:
        inputs: its numbers.
        outputs: its numbers.
        bias: what the bias is at first.
    """

    def __init__(self, inputs: int, outputs: int, bias: float = 0.0) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.randn(outputs, inputs)), nn.Parameter(torch.full((outputs,), bias))
        self.scale = 1 / sqrt(inputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs) -> (B, outputs)."""
        return linear(x, self.weight * self.scale, self.bias)


class Convolution(nn.Module):
    """A convolution that keeps the sides.

    Args:
        inputs: features.
        outputs: features.
        side: of the kernel.
        bias: whether it has one, 0 at first.
    """

    def __init__(self, inputs: int, outputs: int, side: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(outputs, inputs, side, side))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        self.scale = 1 / sqrt(inputs * side**2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H, W)."""
        return conv2d(x, self.weight * self.scale, self.bias, padding=self.weight.shape[2] // 2)


class Modulated(nn.Module):
    """A convolution whose inputs a style scales, each output then brought to unit variance (eq. 1 and 3).

    The weights of an image are w' = s w, over their norm; here inputs and outputs are scaled instead, and one
    convolution serves all images.

    Args:
        inputs: features.
        outputs: features.
        side: of the kernel.
        latent: K, of a style.
        demodulate: whether outputs are brought to unit variance.
    """

    def __init__(self, inputs: int, outputs: int, side: int, latent: int, *, demodulate: bool = True) -> None:
        super().__init__()
        self.style = Dense(latent, inputs, bias=1.0)
        self.convolution = Convolution(inputs, outputs, side, bias=False)
        self.demodulate = demodulate

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map (B, inputs, H, W) and styles (B, K) -> (B, outputs, H, W)."""
        style = self.style(w)
        x = self.convolution(x * style[:, :, None, None])
        if self.demodulate:
            squares = (self.convolution.weight * self.convolution.scale).square().sum((2, 3))
            x = x * (style.square() @ squares.mT + 1e-8).rsqrt()[:, :, None, None]
        return x


class Styled(nn.Module):
    """A modulated 3x3 convolution, noise of a learned strength, 0 at first, and a rectifier (figure 2, d).

    Args:
        inputs: features.
        outputs: features.
        latent: K, of a style.
        up: whether the sides are doubled.
    """

    def __init__(self, inputs: int, outputs: int, latent: int, *, up: bool = False) -> None:
        super().__init__()
        self.convolution = Modulated(inputs, outputs, 3, latent)
        self.strength, self.bias = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(outputs, 1, 1))
        self.up = up

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """Map (B, inputs, H, W), styles (B, K) and noise (B, 1, H', W') -> (B, outputs, H', W')."""
        x = self.convolution(doubled(x) if self.up else x, w)
        return _rectified(x + self.strength * noise + self.bias)


class ToImage(nn.Module):
    """A modulated 1x1 convolution to an image, not brought to unit variance.

    Args:
        inputs: features.
        channels: C.
        latent: K, of a style.
    """

    def __init__(self, inputs: int, channels: int, latent: int) -> None:
        super().__init__()
        self.convolution = Modulated(inputs, channels, 1, latent, demodulate=False)
        self.bias = nn.Parameter(torch.zeros(channels, 1, 1))

    def forward(self, x: Tensor, w: Tensor) -> Tensor:
        """Map (B, inputs, H, W) and styles (B, K) -> (B, C, H, W)."""
        return self.convolution(x, w) + self.bias


class Down(nn.Module):
    """(short + branch) / sqrt 2, at half the sides: the branch two 3x3 convolutions, the short way one of 1x1.

    Ours: the branch is halved before its second convolution, which then costs a quarter.

    Args:
        inputs: features.
        outputs: features.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = Convolution(inputs, inputs, 3), Convolution(inputs, outputs, 3)
        self.short = Convolution(inputs, outputs, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) -> (B, outputs, H / 2, W / 2)."""
        branch = _rectified(self.second(halved(_rectified(self.first(x)))))
        return (self.short(halved(x)) + branch) / sqrt(2)


def deviation(x: Tensor, group: int) -> Tensor:
    """A map of one number a group: over its images, how much features deviate, averaged over the map (Karras 2018).

    Args:
        x: maps (B, F, H, W).
        group: images of a group, a divisor of B; those at equal distances in the batch are one.

    Returns:
        (B, 1, H, W).
    """
    groups = x.unflatten(0, (group, -1))  # (group, B / group, F, H, W)
    spread = (groups.var(0, correction=0) + 1e-8).sqrt().mean((1, 2, 3))
    return spread.repeat(group)[:, None, None, None].expand(-1, 1, *x.shape[2:])


def _rectified(x: Tensor) -> Tensor:
    """A leaky rectifier that keeps the variance, about: times sqrt 2."""
    return leaky_relu(x, 0.2) * sqrt(2)
