"""What the networks of this package share: how often a side is halved, and how a map is halved and doubled.

B batch, F features, H, W sides.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

Size = int | tuple[int, int]
"""Of images: the side of a square, or height and width."""


def halvings(size: Size) -> tuple[int, tuple[int, int]]:
    """How often sides are halved until the shorter is 4 to 7, and the sides that are left.

    Raises:
        ValueError: sides that cannot be halved so often, or less than 8.
    """
    height, width = sides = (size, size) if isinstance(size, int) else size
    count = 0
    while min(height, width) >= 8:
        if height % 2 or width % 2:
            step = 2 ** (count + 1)
            near = " x ".join(str(max(round(side / step), 1) * step) for side in sides)
            raise ValueError(
                f"images of {sides[0]} x {sides[1]} px cannot be halved {count + 1} times: choose {near}, or another "
                "size whose sides are a power of 2 times 4 to 7 (set data.size)"
            )
        height, width, count = height // 2, width // 2, count + 1
    if not count:
        raise ValueError(f"images of {sides[0]} x {sides[1]} px are too small: choose 8 px or more (set data.size)")
    return count, (height, width)


def widths(width: int, levels: int, widest: int) -> list[int]:
    """Features of each level from the image inwards: twice as many at each, up to ``widest`` times ``width``.

    Raises:
        ValueError: a number below 1.
    """
    for name, number in (("width", width), ("widest", widest)):
        if number < 1:
            raise ValueError(f"{name} {number} is none: choose 1 or more")
    return [width * min(2**level, widest) for level in range(levels)]


def doubled(x: Tensor) -> Tensor:
    """A map of twice the sides, by linear interpolation, (B, F, 2 H, 2 W).

    The filter is [1, 3, 3, 1] / 4, StyleGAN2's (Karras et al. 2020, appendix B); the edge is repeated.
    """
    for axis in (2, 3):
        before, after = _neighbours(x, axis)
        x = torch.stack([3 * x + before, 3 * x + after], axis + 1).flatten(axis, axis + 1) / 4
    return x


def halved(x: Tensor) -> Tensor:
    """A map of half the sides, by the filter [1, 3, 3, 1] / 8 (as ``doubled``), (B, F, H / 2, W / 2)."""
    for axis in (2, 3):
        before, after = _neighbours(x, axis)
        smooth = before + 2 * x + after
        x = smooth.unflatten(axis, (-1, 2)).sum(axis + 1) / 8
    return x


def _neighbours(x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """What stands before and after each place along an axis; at an edge the place itself."""
    side = x.shape[axis]
    wide = pad(x, (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0), mode="replicate")
    return wide.narrow(axis, 0, side), wide.narrow(axis, 2, side)
