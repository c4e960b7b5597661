"""Augmentations of training batches. What happens to an image is a function of (seed, epoch, its index) alone:
not of the batch it comes in, nor of how many processes share the work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from torch import Tensor, nn

from zoo.draws import TicketDraw
from zoo.recipe.schema import Part, Recipe

Augmentation = Callable[[Tensor, Tensor], Tensor]
"""(images (B, C, H, W) in [-1, 1], tickets (B,)) -> images of the same shape and type."""


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
