"""Halves of a translator, an image to its content and back, and the networks that put a style to a content.

B batch, C channels, H, W image sides, F = width 2^halvings features of a content (B, F, M, N), S numbers of a style.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn
from torch.nn.functional import instance_norm

from zoo_translation.residual import Blocks, Down, Up
from zoo_translation.unet import Size


class Contents(nn.Module):
    """Down and through residual blocks: the first half of a ``translator`` (Liu et al. 2017; Huang et al. 2018, B.2).

    Args:
        channels: C.
        size: H and W; one number where they are equal.
        takes: channels of what it is given; 0 for those of the recipe's images.
        width: features of the first layer; each next one has twice as many.
        halvings: how often the side is halved.
        blocks: how many.
        norm: as for the generator ``translator``.

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
        blocks: int = 4,
        norm: Literal["instance", "layer"] = "instance",
    ) -> None:
        super().__init__()
        self.down = Down(size, takes=takes or channels, width=width, halvings=halvings, norm=norm)
        self.blocks = Blocks(width=width, halvings=halvings, blocks=blocks, norm=norm)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, takes, H, W) in [-1, 1] -> contents (B, F, M, N)."""
        return self.blocks(self.down(image))


class ContentDecoder(nn.Module):
    """Through residual blocks and up: the second half of a ``translator`` (Liu et al. 2017).

    Args:
        channels: C.
        width: as for the module ``contents``.
        halvings: as there.
        blocks: how many.
        norm: as there.
    """

    def __init__(
        self,
        channels: int,
        *,
        width: int = 64,
        halvings: int = 2,
        blocks: int = 4,
        norm: Literal["instance", "layer"] = "instance",
    ) -> None:
        super().__init__()
        self.blocks = Blocks(width=width, halvings=halvings, blocks=blocks, norm=norm)
        self.up = Up(channels, width=width, halvings=halvings, norm=norm)

    def forward(self, content: Tensor) -> Tensor:
        """Contents (B, F, M, N) -> images (B, C, H, W) in [-1, 1]."""
        return self.up(self.blocks(content))


class Styles(nn.Module):
    """Convolutions without a norm, the mean over all places, a linear layer: a style (Huang et al. 2018, B.2).

    A norm would take the means and deviations of features, which are the style.

    Args:
        channels: C.
        latent: S.
        takes: channels of what it is given; 0 for those of the recipe's images.
        width: features of the first layer; each halving doubles them, up to four times as many.
        halvings: how often the side is halved; 4, as published.
    """

    def __init__(self, channels: int, latent: int, *, takes: int = 0, width: int = 64, halvings: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(takes or channels, width, 7, padding=3), nn.ReLU()]
        widths = [width * min(2**i, 4) for i in range(halvings + 1)]
        for i in range(halvings):
            layers += [nn.Conv2d(widths[i], widths[i + 1], 4, 2, 1), nn.ReLU()]
        self.layers = nn.Sequential(*layers)
        self.head = nn.Linear(widths[-1], latent)

    def forward(self, image: Tensor) -> Tensor:
        """Images (B, takes, H, W) in [-1, 1] -> styles (B, S)."""
        return self.head(self.layers(image).mean((2, 3)))


class StyledBlocks(nn.Module):
    """Residual blocks whose instance norm has the scales and shifts that it is handed (Huang & Belongie 2017, eq. 8).

    Args:
        width: as for the module ``contents``.
        halvings: as there.
        blocks: how many.
    """

    def __init__(self, *, width: int = 64, halvings: int = 2, blocks: int = 4) -> None:
        super().__init__()
        self.features = width << halvings
        self.numbers = 4 * blocks * self.features
        self.blocks = nn.ModuleList(nn.ModuleList(self._convolution() for _ in range(2)) for _ in range(blocks))

    def _convolution(self) -> nn.Module:
        return nn.Conv2d(self.features, self.features, 3, padding=1, padding_mode="reflect")

    def forward(self, x: Tensor, factors: Tensor) -> Tensor:
        """Maps (B, F, M, N), and a scale less 1 and a shift for each feature of each norm (B, 4 blocks F) -> maps."""
        norms = factors.unflatten(1, (-1, 2, 2, self.features, 1, 1)).unbind(1)
        for (first, second), norm in zip(self.blocks, norms, strict=True):
            scale, shift = norm.unbind(2)
            within = (instance_norm(first(x)) * (1 + scale[:, 0]) + shift[:, 0]).relu()
            x = x + instance_norm(second(within)) * (1 + scale[:, 1]) + shift[:, 1]
        return x


class StyledDecoder(nn.Module):
    """A content, through residual blocks that are of a style, and up (Huang et al. 2018, section 3.3, B.2).

    Hidden layers make of a style the scales and shifts of the blocks. Up has layer norm, which keeps these.

    Args:
        channels: C.
        latent: S.
        width: as for the module ``contents``.
        halvings: as there.
        blocks: how many.
        hidden: width of the two hidden layers.
    """

    def __init__(
        self, channels: int, latent: int, *, width: int = 64, halvings: int = 2, blocks: int = 4, hidden: int = 256
    ) -> None:
        super().__init__()
        self.blocks = StyledBlocks(width=width, halvings=halvings, blocks=blocks)
        self.factors = nn.Sequential(
            nn.Linear(latent, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, self.blocks.numbers),
        )
        self.up = Up(channels, width=width, halvings=halvings, norm="layer")

    def forward(self, content: Tensor, style: Tensor) -> Tensor:
        """Contents (B, F, M, N) and styles (B, S) -> images (B, C, H, W) in [-1, 1]."""
        return self.up(self.blocks(content, self.factors(style)))
