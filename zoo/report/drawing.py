"""Items that are no images as images: signals as curves, vectors as bars, volumes as their middle slices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
from torch import Tensor

SIDE = 64
"""Pixels of a side of what is drawn."""
INKS = torch.tensor([[31, 119, 180], [214, 39, 40], [44, 160, 44], [148, 103, 189], [255, 127, 14], [23, 190, 207]])
"""Colours of the channels of a signal, red, green and blue of 255, again from the first where there are more."""
PAPER, FRAME = 1.0, 0.6


def drawn(rows: Sequence[Tensor]) -> list[Tensor]:
    """Rows of items as rows of images (N, C, H, W) in [-1, 1], all of one scale. Images stay as they are.

    Items are signals (N, C, L), vectors (N, F) or volumes (N, C, D, H, W).
    """
    dimensions = rows[0].ndim if rows else 4
    if dimensions == 4:
        return [*rows]
    if dimensions == 5:
        return [row[:, :, row.shape[2] // 2] for row in rows]
    scale = max(1.0, *(float(row.abs().max()) for row in rows if len(row)))
    draw = _curves if dimensions == 3 else _bars
    return [_framed(draw(row.detach().float().cpu() / scale)) for row in rows]


def scatter(real: Tensor, made: Tensor) -> Tensor:
    """Vectors (N, F), and others that were made, (M, F), as points on the plane in which the first vary most.

    It is one image (1, 3, H, W) in [-1, 1]: the first are blue, the others red.
    """
    real, made = real.detach().float().cpu(), made.detach().float().cpu()
    centre = real.mean(0)
    plane = torch.linalg.svd(real - centre, full_matrices=False).Vh[:2]
    points = [((some - centre) @ plane.T) for some in (real, made)]
    reach = 1.1 * float(points[0].abs().max().clamp(min=1e-6))
    side = 4 * SIDE
    image = torch.full((1, 3, side, side), PAPER)
    for ink, some in zip(INKS, points, strict=False):
        places = ((some / reach + 1) / 2 * (side - 1)).round().long()
        places = places[((places > 0) & (places < side - 1)).all(1)]
        for x, y in product((-1, 0, 1), repeat=2):
            image[0, :, places[:, -1] + y, places[:, 0] + x] = _ink(ink)[:, None]
    return _framed(image)


def _framed(images: Tensor) -> Tensor:
    """Images with a thin line around each."""
    images[..., [0, -1]] = images[..., [0, -1], :] = FRAME
    return images


def _ink(colour: Tensor) -> Tensor:
    return colour / 127.5 - 1


def _curves(signals: Tensor) -> Tensor:
    """Signals (N, C, L) in [-1, 1] as curves, a colour for each channel."""
    count, channels, length = signals.shape
    width = max(SIDE, min(length, 4 * SIDE))
    smooth = torch.nn.functional.interpolate(signals, width + 1, mode="linear", align_corners=True)
    heights = (1 - smooth) / 2 * (SIDE - 1)
    low, high = (ends(heights[..., :-1], heights[..., 1:]) for ends in (torch.minimum, torch.maximum))
    image = torch.full((count, 3, SIDE, width), PAPER)
    rows = torch.arange(SIDE)[:, None]
    for channel in range(channels):
        on = (rows >= low[:, channel, None].floor()) & (rows <= high[:, channel, None].ceil())
        image = torch.where(on[:, None], _ink(INKS[channel % len(INKS)])[:, None, None], image)
    return image


def _bars(vectors: Tensor) -> Tensor:
    """Vectors (N, F) in [-1, 1] as bars up or down from the middle."""
    count, features = vectors.shape
    each = max(1, SIDE // features)
    heights = vectors.repeat_interleave(each, 1)[:, None]
    middle = (SIDE - 1) / 2 - torch.arange(SIDE)[:, None]  # how far a row lies above the middle
    on = (middle * heights.sign() >= 0) & (middle.abs() <= heights.abs() * SIDE / 2)
    gaps = (torch.arange(features * each) % each == each - 1) & (each > 2)
    paper = torch.full((count, 3, SIDE, features * each), PAPER)
    return torch.where((on & ~gaps)[:, None], _ink(INKS[0])[:, None, None], paper)
