"""Residual networks from image to image, and their parts: down, through blocks, up.

B batch, C channels, H, W image sides, F = width 2^halvings features of the smallest map.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from zoo_translation.unet import Size, _sides

Norm = Literal["instance", "layer"]


class Down(nn.Module):
    """A 7x7 convolution, and 3x3 ones that halve the side (Johnson et al. 2016; Zhu et al. 2017, appendix 7.2).

    Args:
        size: H and W; one number where they are equal.
        takes: channels of what it is given.
        width: features of the first layer; each next one has twice as many.
        halvings: how often the side is halved.
        norm: as for ``Translator``.

    Raises:
        ValueError: sides that cannot be halved so often, or down to less than 4 px.
    """

    def __init__(
        self, size: Size, *, takes: int = 3, width: int = 64, halvings: int = 2, norm: Norm = "instance"
    ) -> None:
        super().__init__()
        if any(side % 2**halvings or side >> halvings < 4 for side in _sides(size)):
            raise ValueError(f"images of {size} px cannot be halved {halvings} times to 4 px or more: set halvings")
        layers: list[nn.Module] = [_convolution(takes, width, 7), _norm(width, norm), nn.ReLU()]
        for i in range(halvings):
            a, b = width << i, width << i + 1
            layers += [nn.Conv2d(a, b, 3, 2, 1), _norm(b, norm), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, takes, H, W) -> maps (B, F, H / 2^halvings, W / 2^halvings)."""
        return self.layers(image)


class Blocks(nn.Module):
    """Residual blocks (He et al. 2016) of 3x3 convolutions with instance norm, as Johnson et al. 2016 have them.

    Args:
        width: as for ``Down``.
        halvings: as for ``Down``.
        blocks: how many.
        norm: as for ``Translator``.
    """

    def __init__(self, *, width: int = 64, halvings: int = 2, blocks: int = 6, norm: Norm = "instance") -> None:
        super().__init__()
        features = width << halvings
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _convolution(features, features, 3),
                _norm(features, norm),
                nn.ReLU(),
                _convolution(features, features, 3),
                _norm(features, norm),
            )
            for _ in range(blocks)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, F, M, N) -> maps of that shape."""
        for block in self.blocks:
            x = x + block(x)
        return x


class Up(nn.Module):
    """The way back: the nearest neighbour and a 3x3 convolution double the side (Odena et al. 2016), 7x7 to the image.

    Args:
        channels: C.
        width: as for ``Down``.
        halvings: as for ``Down``.
        norm: as for ``Translator``.
    """

    def __init__(self, channels: int, *, width: int = 64, halvings: int = 2, norm: Norm = "instance") -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for i in reversed(range(halvings)):
            a, b = width << i + 1, width << i
            layers += [nn.Upsample(scale_factor=2), _convolution(a, b, 3), _norm(b, norm), nn.ReLU()]
        self.layers = nn.Sequential(*layers, _convolution(width, channels, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Maps (B, F, M, N) -> images (B, C, H, W) in [-1, 1]."""
        return self.layers(x)


class Translator(nn.Module):
    """Down, through residual blocks, up: an image to one of another domain (Zhu et al. 2017, appendix 7.2).

    Args:
        channels: C, of what it gives.
        size: H and W; one number where they are equal.
        takes: channels of what it is given; 0 for as many as it gives.
        width: features of the first layer; each next one has twice as many.
        halvings: how often the side is halved; twice, as published.
        blocks: how many; 6 for 128 px, 9 for 256, as published.
        norm: ``instance``, as published, which takes the mean of every feature, and so the colour of a ground of one;
            or ``layer``, of all features together (Ba et al. 2016), which leaves it.

    Raises:
        ValueError: sides that cannot be halved so often, or down to less than 4 px.
    """

    def __init__(
        self,
        channels: int,
        size: Size,
        *,
        takes: int = 0,
        width: int = 64,
        halvings: int = 2,
        blocks: int = 6,
        norm: Literal["instance", "layer"] = "instance",
    ) -> None:
        super().__init__()
        self.down = Down(size, takes=takes or channels, width=width, halvings=halvings, norm=norm)
        self.blocks = Blocks(width=width, halvings=halvings, blocks=blocks, norm=norm)
        self.up = Up(channels, width=width, halvings=halvings, norm=norm)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, takes, H, W) in [-1, 1] -> images (B, C, H, W) in [-1, 1]."""
        return self.up(self.blocks(self.down(image)))


def _convolution(inputs: int, outputs: int, side: int) -> nn.Module:
    """Of the same side, reflected at the border."""
    return nn.Conv2d(inputs, outputs, side, padding=side // 2, padding_mode="reflect")


def _norm(features: int, norm: Norm) -> nn.Module:
    return nn.InstanceNorm2d(features) if norm == "instance" else nn.GroupNorm(1, features)
