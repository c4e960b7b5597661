"""Values, each with one fault."""

from __future__ import annotations

import itertools
import os

import torch
from torch import Tensor

from zoo import api

COUNTER = itertools.count()


def value_good(x: Tensor, draw: api.Draw, *, amount: float = 0.1) -> Tensor:
    """Noisy images.

    Args:
        amount: of noise.
    """
    return x + amount * draw.normal(*x.shape)


class value_signature:
    """Asks for a size that there is not."""

    def __init__(self, colour: int) -> None:
        self.colour = colour

    def forward(self, x: Tensor) -> Tensor:
        return x


def value_options_documented(x: Tensor, *, amount: float = 0.1) -> Tensor:
    """Darker images."""
    return x - amount


def value_options_round_trip(x: Tensor, *, amount: float = "much") -> Tensor:  # type: ignore[assignment]
    """Images.

    Args:
        amount: nothing.
    """
    return x + len(str(amount))


def value_example(x: Tensor, *, amount: float) -> Tensor:
    """Images.

    Args:
        amount: of light.
    """
    return x + amount


def value_shapes(x: Tensor) -> Tensor:
    """So many numbers as there are pairs."""
    return x.new_ones(len(x) ** 2)


def value_determinism(x: Tensor) -> Tensor:
    """Another one each time."""
    return x + next(COUNTER)


def value_inputs_untouched(x: Tensor) -> Tensor:
    """Images, lighter for everyone."""
    return x.add_(1)


def value_dtype(x: Tensor) -> Tensor:
    """Images, rounded to float32."""
    return x.float() * 2


def value_device_move(x: Tensor) -> Tensor:
    """Ones, always on the CPU."""
    return torch.ones(len(x), dtype=x.dtype)


def value_no_global_side_effect(x: Tensor) -> Tensor:
    """Images, and a word in the environment."""
    os.environ["ZOO_BAD"] = str(next(COUNTER))
    return x + 1
