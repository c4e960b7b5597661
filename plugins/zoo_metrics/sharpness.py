"""How sharp images are, without a network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor


class Edges:
    """Edge strength of images over that of real ones: 1 as sharp, below 1 blurred, above 1 rough. Ours.

    Edge strength is the mean absolute difference of neighbouring pixels' luminance, across and down.
    """

    quick: ClassVar = True
    better: ClassVar = "one"
    protocol: ClassVar = {"range": [-1, 1], "strength": "mean |difference| of neighbours' luminance"}

    def __init__(self) -> None:
        self._images = torch.zeros((), dtype=torch.float64)
        self._real = torch.zeros((), dtype=torch.float64)

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        """Takes a batch in: real images and those to judge, both (B, C, H, W) in [-1, 1]."""
        self._real += edge_strength(x) * len(x)
        self._images += edge_strength(reconstruction) * len(reconstruction)

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._real += other._real
            self._images += other._images

    def compute(self) -> float:
        """The ratio so far."""
        return float(self._images / self._real)


def edge_strength(images: Tensor) -> Tensor:
    """Mean absolute difference of neighbouring pixels' luminance, a float64 scalar."""
    luminance = images.double().mean(1)  # (B, H, W)
    across = luminance.diff(dim=2).abs().mean()
    down = luminance.diff(dim=1).abs().mean()
    return ((across + down) / 2).cpu()
