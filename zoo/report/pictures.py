"""Grids of images as PNG files, and pictures made of such rows."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from PIL import Image
from torch import Tensor

from zoo.report.drawing import drawn
from zoo.types import to_pixels

GAP = 2
SIDE = 64
"""Pixels that a small image is enlarged to, about."""
COLUMNS = 8
"""Images in a row where a picture is shown among others."""


@dataclass(frozen=True)
class Picture:
    """Rows of items, from top to bottom, each a label, which may be empty, and images (N, C, H, W) in [-1, 1]; or what
    ``drawn`` makes images of.
    """

    file: str
    title: str
    caption: str
    rows: Sequence[tuple[str, Tensor]]

    def __post_init__(self) -> None:
        labels, items = zip(*self.rows, strict=True)
        object.__setattr__(self, "rows", [*zip(labels, drawn(items), strict=True)])

    @property
    def png(self) -> bytes:
        """The whole as a PNG file, without labels."""
        return grid_png([images for _, images in self.rows])

    def blocks(self) -> list[list[tuple[str, bytes]]]:
        """The rows, each a label and a PNG of ``COLUMNS`` images, the rest in blocks below; without labels they are one
        PNG.
        """
        if not any(label for label, _ in self.rows):
            return [[("", self.png)]]
        starts = range(0, max(len(images) for _, images in self.rows), COLUMNS)
        cut = [[(label, images[start : start + COLUMNS]) for label, images in self.rows] for start in starts]
        return [[(label, grid_png([images])) for label, images in block if len(images)] for block in cut]


def grid(rows: Sequence[Tensor]) -> Tensor:
    """Rows of images, each (N, C, H, W) in [-1, 1], the same H, W and C in all, as one picture.

    Of more than three channels the first three are shown, of two the first.

    It is uint8 (4, H', W'): red, green, blue and opacity; between the images it is white and clear.
    """
    width, shown = max(len(row) for row in rows), 3 if rows[0].shape[1] >= 3 else 1
    height, breadth = rows[0].shape[-2:]
    cells = torch.full((len(rows), width, 4, height + GAP, breadth + GAP), 255, dtype=torch.uint8)
    cells[:, :, 3] = 0
    for r, row in enumerate(rows):
        cells[r, : len(row), :3, :height, :breadth] = to_pixels(row[:, :shown]).cpu().expand(-1, 3, -1, -1)
        cells[r, : len(row), 3, :height, :breadth] = 255
    return rearrange(cells, "r n c h w -> c (r h) (n w)")[:, :-GAP, :-GAP]


def grid_image(rows: Sequence[Tensor], *, side: int = SIDE) -> Image.Image:
    """The same rows enlarged, by a whole factor, so that an image has about ``side`` pixels."""
    rows = drawn(rows)
    factor = max(1, round(side / rows[0].shape[-2]))
    image = Image.fromarray(rearrange(grid(rows), "c h w -> h w c").contiguous().numpy())
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)


def grid_png(rows: Sequence[Tensor], *, side: int = SIDE) -> bytes:
    """The bytes of a PNG file of ``grid_image``."""
    return png(grid_image(rows, side=side))


def png(picture: Image.Image) -> bytes:
    """A picture as a PNG file's bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=4)  # 6 is 2.5 times slower for 1 % fewer bytes
    return buffer.getvalue()


def encoded(ending: str, picture: Image.Image, images: Tensor) -> bytes:
    """A file's bytes by its ending: ``.png`` and ``.jpg`` of a picture; of images (N, C, H, W) in [-1, 1] ``.pt`` as
    they are, ``.npz`` as ``images``, uint8 (N, H, W, C).
    """
    buffer = io.BytesIO()
    if ending == ".npz":
        np.savez(buffer, images=to_pixels(images).movedim(1, -1).cpu().numpy())
    elif ending == ".pt":
        torch.save(images.detach().cpu().contiguous(), buffer)
    elif ending == ".png":
        return png(picture)
    else:
        picture.convert("RGB").save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def square(images: Tensor) -> list[Tensor]:
    """N images as rows of a grid that is about square."""
    return list(torch.split(images, max(1, round(len(images) ** 0.5))))


def reduced(images: Tensor, side: int) -> Tensor:
    """Floating images (N, C, H, W); those larger than ``side`` pixels are made smaller, each pixel a mean."""
    scale = side / max(images.shape[-2:])
    if scale >= 1 or images.ndim != 4:
        return images
    height, width = (max(1, round(length * scale)) for length in images.shape[-2:])
    return torch.nn.functional.adaptive_avg_pool2d(images, (height, width))
