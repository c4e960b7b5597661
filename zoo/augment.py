"""Augmentations of training batches. What happens to an image is a function of (seed, epoch, its index) alone:
not of the batch it comes in, nor of how many processes share the work."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.recipe.schema import Part, Recipe
from zoo.tensors import Draw, seeded

Augmentation = Callable[[Tensor, Tensor], Tensor]
"""(images (B, C, H, W) in [-1, 1], tickets (B,)) -> images of the same shape and type."""


class TicketDraw(Draw):
    """Random numbers for each image of a batch: row i is a function of ticket i, and of nothing else in the batch.

    A counter-based generator: splitmix64's finaliser (Steele, Lea & Flood 2014) of key, ticket and count.

    Args:
        tickets: int64 (B,), one for each showing of an image: epoch * images + index.
        key: anything printable that identifies the stream.
        dtype: floating type of the numbers.
    """

    def __init__(self, tickets: Tensor, *key: object, dtype: torch.dtype) -> None:
        super().__init__(*key, device=tickets.device, dtype=dtype)
        self._rows = _mix(tickets + seeded(*key).initial_seed())
        self._count = 0

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1), one row for each image: ``uniform(B)``, ``uniform(B, 2)``.

        Raises:
            ValueError: if the first number is not that of the images.
        """
        return self._uniform(shape).to(self._dtype)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, one row for each image (Box & Muller 1958)."""
        radius = (-2 * (1 - self._uniform(shape)).log()).sqrt()  # 1 - u is never 0
        return (radius * (2 * math.pi * self._uniform(shape)).cos()).to(self._dtype)

    def _uniform(self, shape: tuple[int, ...]) -> Tensor:
        rows = self._rows
        if not shape or shape[0] != len(rows):
            raise ValueError(f"an augmentation draws a row for each of its {len(rows)} images, not {list(shape)}")
        each = math.prod(shape[1:])
        columns = torch.arange(self._count, self._count + each, device=rows.device)
        self._count += each
        bits = _mix(rows[:, None] ^ _mix(columns)[None]) & (2**24 - 1)  # 24 bits: exact in float32, never 1
        return bits.float().mul_(2.0**-24).reshape(shape)


def _mix(x: Tensor) -> Tensor:
    """The finaliser of splitmix64: 64 bits in, 64 well mixed bits out."""
    x = x * -7046029254386353131  # 0x9E3779B97F4A7C15
    x = (x ^ _shifted(x, 30)) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    x = (x ^ _shifted(x, 27)) * -7723592293110705685  # 0x94D049BB133111EB
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """A logical shift to the right; that of a signed tensor drags the sign along."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def augmentations(recipe: Recipe) -> tuple[Augmentation, ...]:
    """The recipe's augmentations, in its order."""
    return tuple(partial(_augmented, part, _function(part, recipe), recipe.seed) for part in recipe.augment)


def _function(part: Part, recipe: Recipe) -> Any:
    target: Any = part.load()
    if inspect.isclass(target):
        made: Any = target(**part.arguments_for(recipe.sizes))
        return made if isinstance(made, nn.Module) else made.forward
    return partial(target, **part.arguments_for())


def _augmented(part: Part, function: Callable[..., Tensor], seed: int, images: Tensor, tickets: Tensor) -> Tensor:
    draw = TicketDraw(tickets, seed, "augment", part.label, dtype=images.dtype)
    given = {"images": images, "draw": draw}
    made = function(**{name: given[name] for name in part.entry.signature.needs})
    if made.shape != images.shape or made.dtype != images.dtype:
        raise ValueError(
            f"it gives {made.dtype} {tuple(made.shape)}, where the {images.dtype} {tuple(images.shape)} it was given "
            "is promised"
        )
    return made
