"""Augmentations, each with one fault."""
# ruff: noqa: ARG001

from __future__ import annotations

import itertools
import os

import torch
from torch import Tensor

from zoo import api

COUNTER = itertools.count()


class augmentation_good:
    """Fades images.

    Args:
        amount: how much.
    """

    def __init__(self, *, amount: float = 0.5) -> None:
        self.amount = amount

    def forward(self, images: Tensor, draw: api.Draw) -> Tensor:
        return images * (1 - self.amount * draw.uniform(len(images), 1, 1, 1))


def augmentation_signature(images: Tensor, encoder: object) -> Tensor:
    """Asks for a network."""
    return images


def augmentation_options_documented(images: Tensor, *, amount: float = 0.5) -> Tensor:
    """Fades images."""
    return amount * images


def augmentation_options_round_trip(images: Tensor, *, amount: int = 0.5) -> Tensor:  # type: ignore[assignment]
    """Fades images.

    Args:
        amount: how much.
    """
    return amount * images


def augmentation_example(images: Tensor, *, amount: float) -> Tensor:
    """Fades images.

    Args:
        amount: how much.
    """
    return amount * images


def augmentation_shapes(images: Tensor) -> Tensor:
    """Never more than 16 px."""
    return images[:, :, :16, :16]


def augmentation_range_kept(images: Tensor) -> Tensor:
    """Twice the contrast."""
    return 2 * images


def augmentation_dtype(images: Tensor) -> Tensor:
    """Rounds to float32."""
    return images.float()


def augmentation_determinism(images: Tensor) -> Tensor:
    """A little more each time."""
    return images * (1 - 1e-6 * (next(COUNTER) % 5))


def augmentation_batch_independence(images: Tensor) -> Tensor:
    """Mixes images."""
    return 0.5 * images + 0.5 * images.roll(1, 0)


def augmentation_inputs_untouched(images: Tensor) -> Tensor:
    """Fades images in place."""
    return images.mul_(0.5)


def augmentation_device_move(images: Tensor) -> Tensor:
    """Adds a shift that is always on the CPU."""
    return (images + torch.zeros(3)[:, None, None]) * 0.5


def augmentation_no_global_side_effect(images: Tensor) -> Tensor:
    """Leaves a word in the environment."""
    os.environ["ZOO_BAD"] = str(next(COUNTER))
    return images
