"""Augmentations that move an image and change nothing in it."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor

from zoo import api


def flip(images: Tensor, draw: api.Draw, *, probability: api.Scheduled = 0.5) -> Tensor:
    """Mirrors each image left to right with a probability; a volume along its last side.

    Args:
        images: (B, C, H, W), or (B, C, D, H, W).
        draw: one number for each image.
        probability: of being mirrored, in [0, 1].

    Returns:
        Images of the same shape.

    Raises:
        ValueError: if the probability is none.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"'probability' is in [0, 1], not {probability}")
    mirrored = draw.uniform(len(images)) < probability
    return torch.where(mirrored.view(-1, *[1] * (images.ndim - 1)), images.flip(-1), images)


flip.geometric = True


def crop(images: Tensor, draw: api.Draw, *, padding: int = 4, fill: Literal["reflect", "black"] = "reflect") -> Tensor:
    """Pads each image and cuts one of its own size out, at a place of its own: a shift by whole pixels.

    With padding 4 and black on 32 x 32 this is the CIFAR augmentation of He et al. 2016, section 4.2.

    Args:
        images: (B, C, H, W) in [-1, 1], or (B, C, D, H, W), each of whose slices is shifted alike; whole numbers are
            classes.
        draw: two numbers for each image.
        padding: largest shift, in pixels, in each of the four directions.
        fill: what stands beyond the border: the image mirrored, or black (-1; class 0).

    Returns:
        Images of the same shape.

    Raises:
        ValueError: if the padding is less than 1, or more than a mirror holds.
    """
    b, *_, h, w = images.shape
    if padding < 1 or (fill == "reflect" and padding >= min(h, w)):
        raise ValueError(f"'padding' is at least 1 and, with fill 'reflect', less than {min(h, w)}, not {padding}")
    corner = (draw.uniform(b, 2) * (2 * padding + 1)).long() - padding
    rows = corner[:, :1] + torch.arange(h, device=images.device)  # (B, H), some beyond the border
    columns = corner[:, 1:] + torch.arange(w, device=images.device)  # (B, W)
    planes = images.flatten(1, -3)
    if fill == "reflect":
        return _picked(planes, _mirrored(rows, h), _mirrored(columns, w)).view(images.shape)
    beyond = ((rows < 0) | (rows >= h))[:, None, :, None] | ((columns < 0) | (columns >= w))[:, None, None, :]
    black = -1.0 if images.is_floating_point() else 0
    moved = _picked(planes, rows.clamp(0, h - 1), columns.clamp(0, w - 1))
    return moved.masked_fill(beyond, black).view(images.shape)


crop.geometric = True


def _mirrored(places: Tensor, size: int) -> Tensor:
    """Places 0 to ``size`` - 1; one beyond the border is as far on this side of it, and the border's own not twice."""
    places = places.abs()
    return torch.where(places < size, places, 2 * (size - 1) - places)


def _picked(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Of each image the pixels at its rows (B, H) and columns (B, W): a pixel's channels are copied together."""
    b, c, h, w = images.shape
    pixels = images.permute(0, 2, 3, 1).reshape(b * h * w, c)
    image = torch.arange(b, device=images.device)[:, None, None]
    places = (image * h + rows[:, :, None]) * w + columns[:, None, :]
    return pixels.index_select(0, places.flatten()).view(*places.shape, c).permute(0, 3, 1, 2)


class ResizedCrop:
    """Cuts a part of each image out, of a random size, shape and place, and resizes it: Inception's crop.

    Szegedy et al. 2015, section 6, and torchvision's ``RandomResizedCrop``, but that a part which would stand out is
    cut to the image and not drawn again. Images are resized by a bilinear filter that is widened where it reduces, as
    ``torchvision.transforms.functional.resized_crop`` does, on the device that they are on; classes by the nearest.

    Args:
        height: of what is made.
        width: of what is made.
        scale: least and largest share of the image's area.
        ratio: least and largest width over height.

    Raises:
        ValueError: for a share outside (0, 1], or limits in the wrong order.
    """

    geometric = True

    def __init__(
        self,
        height: int,
        width: int,
        *,
        scale: tuple[float, float] = (0.5, 1.0),
        ratio: tuple[float, float] = (0.75, 1.3333),
    ) -> None:
        if not 0 < scale[0] <= scale[1] <= 1 or not 0 < ratio[0] <= ratio[1]:
            raise ValueError(f"'scale' is [low, high] in (0, 1] and 'ratio' [low, high], not {scale} and {ratio}")
        self._sides, self._scale, self._ratio = (height, width), scale, ratio

    def forward(self, images: Tensor, draw: api.Draw) -> Tensor:
        """(B, C, H, W), or (B, C, D, H, W) of which each slice is cut alike -> the same of ``height`` and ``width``."""
        planes = images.flatten(1, -3)
        tops, lefts, heights, widths = self.boxes(images, draw)
        if not images.is_floating_point():
            rows = tops[:, None] + _nearest(heights, self._sides[0])
            made = _picked(planes, rows, lefts[:, None] + _nearest(widths, self._sides[1]))
        else:
            down = _filters(tops, heights, images.shape[-2], self._sides[0], images.dtype)
            across = _filters(lefts, widths, images.shape[-1], self._sides[1], images.dtype)
            made = down[:, None] @ planes @ across[:, None].mT
        return made.reshape(*images.shape[:-2], *self._sides)

    def boxes(self, images: Tensor, draw: api.Draw) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where each image is cut, in whole pixels: top, left, height and width, (B,)."""
        high, wide = images.shape[-2:]
        share, shape, down, across = draw.uniform(len(images), 4).unbind(1)
        low, most = self._scale
        area = high * wide * (low + (most - low) * share)
        first, last = (math.log(end) for end in self._ratio)
        ratio = (first + (last - first) * shape).exp()
        heights = (area / ratio).sqrt().round().long().clamp(1, high)
        widths = (area * ratio).sqrt().round().long().clamp(1, wide)
        return (down * (high - heights + 1)).long(), (across * (wide - widths + 1)).long(), heights, widths


def _filters(starts: Tensor, sizes: Tensor, there: int, side: int, dtype: torch.dtype) -> Tensor:
    """What each of ``side`` pixels takes of ``there``, (B, side, there): a triangle around it, as wide as it is itself.

    Pixels outside the part, ``sizes`` from ``starts``, count for nothing.
    """
    places = torch.arange(there, device=starts.device, dtype=dtype)
    scale = sizes.to(dtype)[:, None, None] / side
    centres = (torch.arange(side, device=starts.device, dtype=dtype)[:, None] + 0.5) * scale + starts[:, None, None]
    weights = (1 - (places + 0.5 - centres).abs() / scale.clamp(min=1)).clamp(min=0)
    ends = (starts + sizes)[:, None, None]
    weights = weights * ((places >= starts[:, None, None]) & (places < ends))
    return weights / weights.sum(-1, keepdim=True)


def _nearest(sizes: Tensor, side: int) -> Tensor:
    """The pixel of each part that is nearest to each of ``side``, (B, side)."""
    return ((torch.arange(side, device=sizes.device) + 0.5) * (sizes / side)[:, None]).long()
