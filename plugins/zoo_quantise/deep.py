"""An encoder and a decoder whose maps are 16 to 64 times smaller than images, by shortcuts from space to channels.

B batch, C channels, H, W image sides, D channels of a code.
"""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from zoo import api
from zoo_quantise.networks import _level, _out, _widths


class Encoder(nn.Module):
    """Residual blocks at each of several sides (Chen et al. 2024, section 3.1). A level halves the side: what it learns
    is added to the image's squares of four places laid into channels, averaged to as many as there are to be.

    Args:
        channels: C.
        factor: how many times smaller the map is than the image: 2 for each of ``multipliers`` but one.
        depth: D.
        width: features of the first level.
        multipliers: features of each level, as multiples of that, each at most four times the one before.
        blocks: residual blocks of a level.

    Raises:
        ValueError: levels that do not make the factor, features that no average makes, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        *,
        factor: int = 32,
        depth: int = 32,
        width: int = 16,
        multipliers: tuple[int, ...] = (1, 2, 4, 4, 8, 8),
        blocks: int = 1,
    ) -> None:
        super().__init__()
        widths = _widths(factor, depth, width, multipliers, blocks)
        layers: list[nn.Module] = [nn.Conv2d(channels, widths[0], 3, padding=1)]
        for a, b in pairwise(widths):
            layers += [*_level(a, a, blocks, False), Down(a, b)]
        self.layers = nn.Sequential(*layers, *_level(widths[-1], widths[-1], blocks, False))
        self.codes = _out(widths[-1], 2 * depth)

    def forward(self, x: Tensor) -> api.Gaussian:
        """Images (B, C, H, W) -> Gaussian of codes (B, D, H / factor, W / factor)."""
        return api.Gaussian(*self.codes(self.layers(x)).chunk(2, 1))


class Decoder(nn.Module):
    """The encoder's way back: what a level learns is added to channels, repeated, and laid out as squares of four.

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        latent: shape of a code, (D, H / factor, W / factor).
        width: features of the level at the image's side.
        multipliers: features of each level, as multiples of that, from the image down.
        blocks: residual blocks of a level.

    Raises:
        ValueError: levels that do not lead from the codes to the image, features that no repetition makes, or a number
            below 1.
    """

    def __init__(
        self,
        channels: int,
        size: int | tuple[int, int],
        latent: tuple[int, int, int],
        *,
        width: int = 16,
        multipliers: tuple[int, ...] = (1, 2, 4, 4, 8, 8),
        blocks: int = 1,
    ) -> None:
        super().__init__()
        high = size if isinstance(size, int) else size[0]
        if high % latent[1]:
            raise ValueError(f"codes of {latent[1]} places do not divide images of {high}")
        widths = _widths(high // latent[1], latent[0], width, multipliers, blocks)[::-1]
        layers: list[nn.Module] = [nn.Conv2d(latent[0], widths[0], 3, padding=1)]
        for a, b in pairwise(widths):
            layers += [*_level(a, a, blocks, False), Up(a, b)]
        self.layers = nn.Sequential(*layers, *_level(widths[-1], widths[-1], blocks, False))
        self.image = _out(widths[-1], channels)

    def forward(self, z: Tensor) -> Tensor:
        """Codes (B, D, H / factor, W / factor) -> images (B, C, H, W), about in [-1, 1]; nothing bounds them."""
        return self.image(self.layers(z))


class Down(nn.Module):
    """Half the side: a convolution whose places are laid into channels, and a shortcut that learns nothing.

    Args:
        inputs: features that it takes.
        outputs: features that it gives; they divide four times ``inputs``.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        if 4 * inputs % outputs or outputs % 4:
            raise ValueError(f"{inputs} features become {outputs}, which is no multiple of 4 that divides {4 * inputs}")
        self.outputs = outputs
        self.learnt = nn.Conv2d(inputs, outputs // 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / 2, W / 2)."""
        plain = pixel_unshuffle(x, 2).unflatten(1, (self.outputs, -1)).mean(2)
        return pixel_unshuffle(self.learnt(x), 2) + plain


class Up(nn.Module):
    """Twice the side: a convolution whose channels are laid out as places, and a shortcut that learns nothing.

    Args:
        inputs: features that it takes; they divide four times ``outputs``.
        outputs: features that it gives.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        if 4 * outputs % inputs:
            raise ValueError(f"{inputs} features become {outputs}, four times which {inputs} does not divide")
        self.times = 4 * outputs // inputs
        self.learnt = nn.Conv2d(inputs, 4 * outputs, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, 2 H, 2 W)."""
        return pixel_shuffle(self.learnt(x) + x.repeat_interleave(self.times, 1), 2)
