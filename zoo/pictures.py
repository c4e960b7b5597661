"""Grids of images as PNG files."""

from __future__ import annotations

import io
from collections.abc import Sequence

import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from zoo.tensors import to_pixels

GAP = 2


def grid_png(rows: Sequence[Tensor], *, side: int = 64) -> bytes:
    """Rows of images as one PNG.

    Args:
        rows: each (N, C, H, W) in [-1, 1], C of 1 or 3; the same H, W and C in all.
        side: an image is enlarged, by a whole factor, to about this many pixels.

    Returns:
        the file's bytes.
    """
    width = max(len(row) for row in rows)
    height, breadth = rows[0].shape[-2:]
    factor = max(1, round(side / height))
    cells = torch.full((len(rows), width, 3, height + GAP, breadth + GAP), 255, dtype=torch.uint8)
    for r, row in enumerate(rows):
        cells[r, : len(row), :, :height, :breadth] = to_pixels(row).cpu().expand(-1, 3, -1, -1)
    picture = rearrange(cells, "r n c h w -> (r h) (n w) c")[:-GAP, :-GAP]
    image = Image.fromarray(picture.numpy())
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def square(images: Tensor) -> list[Tensor]:
    """N images as rows of a grid that is about square."""
    return list(torch.split(images, max(1, round(len(images) ** 0.5))))
