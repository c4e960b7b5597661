"""Metrics that compare images with their reconstructions, pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor

from zoo_metrics.statistics import Size, shorter

RANGE = 2.0
"""Distance of the largest pixel from the smallest."""


class Mse:
    """Mean squared error for each pixel and channel of images in [-1, 1]."""

    quick: ClassVar = True
    better: ClassVar = "lower"
    protocol: ClassVar = {"range": [-1, 1], "reduction": "mean over images, pixels and channels"}

    def __init__(self) -> None:
        self._sum = torch.zeros((), dtype=torch.float64)
        self._count = 0

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        """Takes a batch in: images and reconstructions, both (B, C, H, W) in [-1, 1]."""
        self._sum += (x.double() - reconstruction.double()).square().sum().cpu()
        self._count += x.numel()

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._sum += other._sum
            self._count += other._count

    def compute(self) -> float:
        """The mean so far."""
        return float(self._sum) / self._count


class Psnr:
    """Peak signal-to-noise ratio, 10 log10(L^2 / MSE) of each image, L = 2 the range; the mean over images, in dB."""

    quick: ClassVar = True
    better: ClassVar = "higher"
    protocol: ClassVar = {"range": [-1, 1], "reduction": "mean over images of each one's ratio"}

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        """Takes a batch in: images and reconstructions, both (B, C, H, W) in [-1, 1]."""
        errors = (x.double() - reconstruction.double()).square().flatten(1).mean(1)
        self._sum += float((10 * (RANGE**2 / errors).log10()).sum())
        self._count += len(x)

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._sum += other._sum
            self._count += other._count

    def compute(self) -> float:
        """The mean so far; infinite if an image was reconstructed exactly."""
        return self._sum / self._count


class RandomPairs:
    """Mean squared error of images and the reconstructions of other images: what ``mse`` is without a match.

    A reconstruction that keeps nothing of its image is no better than this. It is the exact mean over all pairs of
    two different images, not an estimate: sum_ij |x_i - r_j|^2 needs sums of x, r, |x|^2 and |r|^2 alone. Donahue
    et al. 2016 report such a baseline for BiGAN.
    """

    protocol: ClassVar = {"range": [-1, 1], "reduction": "mean over pairs of different images, pixels and channels"}

    def __init__(self) -> None:
        self._x = self._r = torch.zeros((), dtype=torch.float64)  # sums of images, (C, H, W)
        self._squares = self._matched = 0.0
        self._count = self._pixels = 0

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        """Takes a batch in: images and reconstructions, both (B, C, H, W) in [-1, 1]."""
        x, r = x.double(), reconstruction.double()
        self._x, self._r = self._x + x.sum(0).cpu(), self._r + r.sum(0).cpu()
        self._squares += float(x.square().sum() + r.square().sum())
        self._matched += float((x - r).square().sum())
        self._count, self._pixels = self._count + len(x), x[0].numel()

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._x, self._r = self._x + other._x, self._r + other._r
            self._squares += other._squares
            self._matched += other._matched
            self._count += other._count

    def compute(self) -> float:
        """The mean so far.

        Raises:
            ValueError: fewer than two images.
        """
        n = self._count
        if n < 2:
            raise ValueError(f"a pair of different images needs at least 2 of them, and there are {n}")
        every = n * self._squares - 2 * float((self._x * self._r).sum())
        return (every - self._matched) / (n * (n - 1) * self._pixels)


class Ssim:
    """Structural similarity (Wang et al. 2004, eq. 13), for each channel and image, at every place a window fits.

    Windows are Gaussian, sigma 1.5, 11 pixels wide; K1 = .01, K2 = .03, L = 2 the range; moments are weighted over n.

    Args:
        size: H and W; one number where they are equal.

    Raises:
        ValueError: images smaller than the window.
    """

    better: ClassVar = "higher"
    protocol: ClassVar = {
        "range": [-1, 1],
        "window": "Gaussian, sigma 1.5, 11 px, valid places",
        "reduction": "mean over images, channels and places",
    }

    def __init__(self, size: Size) -> None:
        if shorter(size) < WINDOW:
            raise ValueError(f"its windows are {WINDOW} px wide, and images are {shorter(size)}")
        self._sum, self._count = 0.0, 0

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        """Takes a batch in: images and reconstructions, both (B, C, H, W) in [-1, 1]."""
        self._sum += float(ssim(x.double(), reconstruction.double()).sum())
        self._count += len(x)

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._sum += other._sum
            self._count += other._count

    def compute(self) -> float:
        """The mean so far, at most 1."""
        return self._sum / self._count


WINDOW, SIGMA, K1, K2 = 11, 1.5, 0.01, 0.03


def ssim(x: Tensor, y: Tensor) -> Tensor:
    """Structural similarity of images (B, C, H, W) in [-1, 1], float64: (B,)."""
    c1, c2 = (K1 * RANGE) ** 2, (K2 * RANGE) ** 2
    mx, my = _blurred(x), _blurred(y)
    vx, vy, vxy = _blurred(x * x) - mx * mx, _blurred(y * y) - my * my, _blurred(x * y) - mx * my
    similar = (2 * mx * my + c1) * (2 * vxy + c2) / ((mx * mx + my * my + c1) * (vx + vy + c2))
    return similar.flatten(1).mean(1)


def _blurred(images: Tensor) -> Tensor:
    """Weighted means over windows, (B, C, H - 10, W - 10)."""
    weights = [math.exp(-0.5 * ((i - WINDOW // 2) / SIGMA) ** 2) for i in range(WINDOW)]
    window = torch.tensor(weights, dtype=images.dtype, device=images.device) / sum(weights)
    planes = images.flatten(0, 1)[:, None]  # (B C, 1, H, W)
    down = torch.nn.functional.conv2d(planes, window.view(1, 1, -1, 1))
    return torch.nn.functional.conv2d(down, window.view(1, 1, 1, -1)).unflatten(0, images.shape[:2])[:, :, 0]
