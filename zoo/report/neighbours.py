"""The training images nearest to samples: whether a model makes images, or remembers them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo.data.fields import central
from zoo.report.pictures import COLUMNS, Picture, reduced
from zoo.types import Examples, to_model, to_pixels

SIDE = 32
"""Larger images are compared at this size, in pixels."""
ASKED = 32
"""Samples, and test images, whose distances are taken."""
MOST = 100_000
"""Training images searched; of more than these, evenly spaced ones."""
CHUNK = 2048
ORDINALS = ("nearest", "2nd", "3rd")


def beside_nearest(samples: Tensor, images: Examples) -> Picture:
    """The first ``COLUMNS`` samples, of (N, C, H, W) in [-1, 1], above their nearest training images.

    The caption compares how near samples and as many test images are: what copies its training images comes nearer.
    """
    stride = -(-len(images.train) // MOST)
    train = images.train[::stride]
    samples = samples[:ASKED]
    shape = samples.shape[1:]
    asked = torch.cat([to_pixels(samples), central(images.test[:ASKED].to(samples.device), shape)])
    distances, indices = nearest(asked, train, min(len(ORDINALS), len(train)))
    units = 127.5 * math.sqrt(small(asked[:1]).numel())  # root mean square over pixels and channels, in [-1, 1]
    made, real = (part[:, 0].median().item() / units for part in (distances[: len(samples)], distances[len(samples) :]))
    shown = samples[:COLUMNS]
    rows = [("sample", shown)]
    rows += [
        (name, to_model(central(train[indices[: len(shown), k]], shape)))
        for k, name in enumerate(ORDINALS[: indices.shape[1]])
    ]
    among = f"{len(train):,} training images" if stride == 1 else f"every {stride}th training image"
    size = "" if max(samples.shape[-2:]) <= SIDE else f" at {SIDE} px"
    caption = (
        f"Samples, and the nearest of {among} by the distance of pixels{size}. Median distance to the nearest: "
        f"{made:.3f} for samples, {real:.3f} for test images (root mean square, pixels in [-1, 1])."
    )
    return Picture("neighbours.png", "Nearest training images", caption.replace("-1", "\N{MINUS SIGN}1"), rows)


def nearest(asked: Tensor, train: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Exact nearest neighbours by the Euclidean distance of pixels, of larger images at ``SIDE`` pixels.

    Distances come from |a|^2 + |b|^2 - 2 a b in float64, where these whole numbers are exact. Images are uint8, (N, C,
    H, W) and, on any device, (M, C, H, W).

    Returns:
        distances (N, k), nearest first, and indices into ``train`` (N, k), both on the CPU; of equally near images the
        earlier.
    """
    a = small(asked).flatten(1).double()
    best = torch.zeros((len(a), 0), dtype=torch.float64, device=a.device)
    index = torch.zeros((len(a), 0), dtype=torch.long, device=a.device)
    for start in range(0, len(train), CHUNK):
        b = small(central(train[start : start + CHUNK].to(a.device), asked.shape[1:])).flatten(1).double()
        squares = a.square().sum(1, keepdim=True) + b.square().sum(1) - 2 * a @ b.T
        here = torch.arange(start, start + len(b), device=a.device).expand(len(a), -1)
        order = torch.cat([best, squares], 1).sort(dim=1, stable=True)
        best, index = order.values[:, :k], torch.cat([index, here], 1).gather(1, order.indices[:, :k])
    return best.sqrt().cpu(), index.cpu()


def small(pixels: Tensor) -> Tensor:
    """Images as they are compared: uint8 (N, C, H, W), reduced to ``SIDE`` where they are larger."""
    return reduced(pixels.float(), SIDE).round().to(torch.uint8) if max(pixels.shape[-2:]) > SIDE else pixels
