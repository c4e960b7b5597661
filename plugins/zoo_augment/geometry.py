"""Augmentations that move pixels and change none."""

from __future__ import annotations

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
    return pixels.index_select(0, places.flatten()).view(b, h, w, c).permute(0, 3, 1, 2)
