"""Augmentations that move pixels and change none."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo import api


def flip(images: Tensor, draw: api.Draw, *, probability: float = 0.5) -> Tensor:
    """Mirrors each image left to right with a probability.

    Args:
        images: (B, C, H, W).
        draw: one number for each image.
        probability: of being mirrored, in [0, 1].

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: if the probability is none.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"'probability' is in [0, 1], not {probability}")
    mirrored = draw.uniform(len(images)) < probability
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def crop(images: Tensor, draw: api.Draw, *, padding: int = 4, fill: Literal["reflect", "black"] = "reflect") -> Tensor:
    """Pads each image and cuts one of its own size out, at a place of its own: a shift by whole pixels.

    With padding 4 and black on 32 x 32 this is the CIFAR augmentation of He et al. 2016, section 4.2.

    Args:
        images: (B, C, H, W) in [-1, 1].
        draw: two numbers for each image.
        padding: largest shift, in pixels, in each of the four directions.
        fill: what stands beyond the border: the image mirrored, or black (-1).

    Returns:
        (B, C, H, W).

    Raises:
        ValueError: if the padding is less than 1, or more than a mirror holds.
    """
    b, _, h, w = images.shape
    if padding < 1 or (fill == "reflect" and padding >= min(h, w)):
        raise ValueError(f"'padding' is at least 1 and, with fill 'reflect', less than {min(h, w)}, not {padding}")
    edges = (padding,) * 4
    padded = F.pad(images, edges, mode="reflect") if fill == "reflect" else F.pad(images, edges, value=-1.0)
    corner = (draw.uniform(b, 2) * (2 * padding + 1)).long()
    rows = corner[:, :1] + torch.arange(h, device=images.device)  # (B, H)
    columns = corner[:, 1:] + torch.arange(w, device=images.device)  # (B, W)
    image = torch.arange(b, device=images.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
