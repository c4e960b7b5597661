"""Metrics that compare images with their reconstructions."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor


class Mse:
    """Mean squared error for each pixel and channel of images in [-1, 1]."""

    better: ClassVar = "lower"
    protocol: ClassVar = {"range": [-1, 1], "reduction": "mean over images, pixels and channels"}

    def __init__(self) -> None:
        self._sum = torch.zeros((), dtype=torch.float64)
        self._count = 0

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        """Takes a batch in: images and reconstructions, both (B, C, H, W) in [-1, 1]."""
        self._sum += (x.double() - reconstruction.double()).square().sum().cpu()
        self._count += x.numel()

    def compute(self) -> float:
        """The mean so far."""
        return float(self._sum) / self._count
