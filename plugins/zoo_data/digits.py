"""The digits that scikit-learn ships (Alpaydin & Kaynak 1998, in the UCI repository)."""

from typing import Literal

import numpy as np
import torch
from PIL import Image
from sklearn.datasets import load_digits

from zoo import api
from zoo_data.pixels import allocate, check_common, resized

WHITE = 16
"""The brightest value in the set: each pixel counts the inked points of a 4 x 4 block."""


def digits(*, size: int = 32, channels: Literal[1, 3] = 1, test: int = 297, seed: int = 0) -> api.Images:
    """All 1,797 digits, light ink on black, resized from 8 x 8 (bicubic; smaller sizes are antialiased).

    Args:
        size: image side in pixels.
        channels: 1, or 3 equal ones.
        test: how many digits, drawn at random, are held out; the others are for training.
        seed: which ones are held out.

    Raises:
        ValueError: for a value outside its range.
    """
    check_common("digits", size=size, channels=channels, seed=seed)
    blocks = load_digits().images  # (1797, 8, 8), 0..16
    if not 1 <= test < len(blocks):
        raise ValueError(f"digits: option 'test' is {test}; choose from 1 to {len(blocks) - 1} held-out digits.")
    pixels = allocate("digits", len(blocks), channels, size)
    order = np.random.default_rng(seed).permutation(len(blocks))
    for row, which in enumerate(order):
        grey = np.rint(blocks[which] * (255 / WHITE)).astype(np.uint8)
        pixels[row] = resized(Image.fromarray(grey), size)  # (1, S, S) fills every channel
    packed = torch.from_numpy(pixels)
    return api.Images(packed[test:], packed[:test])
