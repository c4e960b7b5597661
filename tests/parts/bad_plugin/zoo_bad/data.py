"""Data, each with one fault."""
# ruff: noqa: ARG001

from __future__ import annotations

import itertools
import os
from dataclasses import replace
from typing import Literal

import torch

from zoo import api

COUNTER = itertools.count()


def _images(size: int, channels: int, seed: int = 0) -> api.Images:
    drawn = torch.Generator().manual_seed(seed)
    pixels = torch.randint(256, (18, channels, size, size), generator=drawn).to(torch.uint8)
    return api.Images(pixels[:12], pixels[12:])


def data_good(*, size: int = 32, channels: Literal[1, 3] = 3) -> api.Images:
    """Noise.

    Args:
        size: side.
        channels: of it.
    """
    return _images(size, channels)


def data_signature(encoder: object, *, size: int = 32, channels: Literal[1, 3] = 3) -> api.Images:
    """Noise."""
    return _images(size, channels)


def data_options_documented(*, size: int = 32, channels: Literal[1, 3] = 3) -> api.Images:
    """Noise."""
    return _images(size, channels)


def data_options_round_trip(*, size: int = 32, channels: Literal[1, 3] = 2) -> api.Images:  # type: ignore[assignment]
    """Noise.

    Args:
        size: side.
        channels: of it.
    """
    return _images(size, channels)


def data_example(*, path: str, size: int = 32, channels: Literal[1, 3] = 3) -> api.Images:
    """Noise.

    Args:
        path: of files.
        size: side.
        channels: of it.
    """
    return _images(size, channels)


def data_sizes(*, size: int = 32) -> api.Images:
    """Noise.

    Args:
        size: side.
    """
    return _images(size, 3)


def data_shapes(*, size: int = 32, channels: Literal[1, 3] = 3) -> api.Images:
    """Noise, never smaller than 16.

    Args:
        size: side.
        channels: of it.
    """
    return _images(max(size, 16), channels)


def data_dtype(*, size: int = 32, channels: Literal[1, 3] = 3) -> api.Images:
    """Noise, as floats.

    Args:
        size: side.
        channels: of it.
    """
    images = _images(size, channels)
    return api.Images(images.train.float(), images.test.float())


def data_splits(*, size: int = 32, channels: Literal[1, 3] = 3) -> api.Images:
    """Noise, and the same again.

    Args:
        size: side.
        channels: of it.
    """
    images = _images(size, channels)
    return api.Images(images.train, images.train[:6])


def data_determinism(*, size: int = 32, channels: Literal[1, 3] = 3) -> api.Images:
    """Another noise each time.

    Args:
        size: side.
        channels: of it.
    """
    return _images(size, channels, next(COUNTER))


def data_no_global_side_effect(*, size: int = 32, channels: Literal[1, 3] = 3) -> api.Images:
    """Noise, and a word in the environment.

    Args:
        size: side.
        channels: of it.
    """
    os.environ["ZOO_BAD"] = str(next(COUNTER))
    return _images(size, channels)


def data_fields(*, size: int = 32, channels: Literal[1, 3] = 3) -> api.Examples:
    """Noise, of three classes and not of two.

    Args:
        size: side.
        channels: of it.
    """
    images = _images(size, channels)
    return replace(images, fields={"label": (torch.arange(12) % 3, torch.arange(6) % 3)})
