"""DiffAugment (Zhao et al. 2020): images as a critic is to see them, through which a generator's gradient passes.

A value for the real and one for the generated images, each with random numbers of its own.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from zoo import api

Policy = tuple[Literal["colour", "translation", "cutout"], ...]
"""Which augmentations, in this order."""


def augmented_x(
    x: Tensor,
    draw: api.Draw,
    *,
    policy: tuple[Literal["colour", "translation", "cutout"], ...] = ("colour", "translation", "cutout"),
) -> Tensor:
    """T(x) (Zhao et al. 2020, section 3.2), (B, C, H, W).

    Args:
        x: images (B, C, H, W) in [-1, 1].
        draw: numbers for each image.
        policy: ``colour``: brightness, saturation, contrast; ``translation`` by up to an eighth; ``cutout`` of a square
            of half the side.
    """
    return augmented(x, draw, policy)


def augmented_generated(
    generated: Tensor,
    draw: api.Draw,
    *,
    policy: tuple[Literal["colour", "translation", "cutout"], ...] = ("colour", "translation", "cutout"),
) -> Tensor:
    """T(G(z)), differentiable, (B, C, H, W).

    Args:
        generated: images (B, C, H, W) in [-1, 1].
        draw: numbers for each image.
        policy: as for ``augmented_x``.
    """
    return augmented(generated, draw, policy)


def critic_augmented(critic: nn.Module, augmented_x: Tensor) -> api.CriticOutput:
    """C(T(x))."""
    return critic(augmented_x)


def augmented(images: Tensor, draw: api.Draw, policy: Policy) -> Tensor:
    """Images with each augmentation of a policy in turn."""
    for name in policy:
        images = {"colour": _coloured, "translation": _shifted, "cutout": _cut}[name](images, draw)
    return images


def _coloured(images: Tensor, draw: api.Draw) -> Tensor:
    """Brightness by up to half of the range's half, saturation from 0 to 2 times, contrast from 1/2 to 3/2 times."""
    brighter, saturation, contrast = (u[:, None, None, None] for u in draw.uniform(len(images), 3).unbind(1))
    images = images + (brighter - 0.5)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (contrast + 0.5)


def _shifted(images: Tensor, draw: api.Draw) -> Tensor:
    """Moved by whole pixels, up to an eighth of a side each way; 0 comes in."""
    u = draw.uniform(len(images), 2)
    for axis, numbers in ((2, u[:, 0]), (3, u[:, 1])):
        side = images.shape[axis]
        most = int(side / 8 + 0.5)
        place = torch.arange(side, device=images.device) + _whole(numbers, 2 * most + 1)[:, None] - most  # (B, side)
        inside = (place >= 0) & (place < side)
        shape = [len(images), 1, 1, 1]
        shape[axis] = side
        index = place.clamp(0, side - 1).view(shape).expand_as(images)
        images = images.gather(axis, index) * inside.view(shape).to(images.dtype)
    return images


def _cut(images: Tensor, draw: api.Draw) -> Tensor:
    """A square of half the side is 0; its middle is anywhere in the image."""
    u, kept = draw.uniform(len(images), 2), []
    for axis, numbers in ((2, u[:, 0]), (3, u[:, 1])):
        side = images.shape[axis]
        square = int(side / 2 + 0.5)
        middle = _whole(numbers, side + 1 - square % 2)[:, None]
        place = torch.arange(side, device=images.device)[None]
        first = middle - square // 2
        kept.append((place < first) | (place >= first + square))
    outside = kept[0][:, None, :, None] | kept[1][:, None, None, :]
    return images * outside.to(images.dtype)


def _whole(u: Tensor, count: int) -> Tensor:
    """Numbers in [0, 1) -> whole numbers from 0 to ``count`` - 1."""
    return (u * count).long().clamp(max=count - 1)
