"""Augmentations of training batches. What happens to an image is a function of (seed, epoch, its index) alone, and of
the step where an option changes with it: not of the batch it comes in, nor of how many processes share the work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.draws import TicketDraw
from zoo.recipe.data_fields import DataField
from zoo.recipe.schema import Part, Recipe

Augmentation = Callable[[DataField, Tensor, Tensor, int], Tensor]
"""(a field, its items (B, ...), tickets (B,), step) -> items of the same shape and type; as they are, where they stay.
"""


def augmentations(recipe: Recipe, dtype: torch.dtype = torch.float32) -> tuple[Augmentation, ...]:
    """The recipe's augmentations, in its order; ``dtype`` is that of what they draw."""
    return tuple(partial(_augmented, part, _function(part, recipe), recipe, dtype) for part in recipe.augment)


def _function(part: Part, recipe: Recipe) -> Callable[[int], Callable[..., Tensor]]:
    """What is called at a step: a function's options may change with it."""
    target: Any = part.load()
    if inspect.isclass(target):
        made: Any = target(**part.arguments_for(recipe.sizes))
        target = made if isinstance(made, nn.Module) else made.forward
        return lambda _: target
    if part.changing:
        return lambda step: partial(target, **part.arguments_for(step=step))
    same = partial(target, **part.arguments_for())
    return lambda _: same


def _augmented(
    part: Part,
    function: Callable[[int], Callable[..., Tensor]],
    recipe: Recipe,
    dtype: torch.dtype,
    field: DataField,
    items: Tensor,
    tickets: Tensor,
    step: int = 0,
) -> Tensor:
    """One that is ``geometric`` changes all that lies in a plane or in space, alike for the fields of an item; another
    what is of the first field's kind.
    """
    geometric = getattr(part.load(), "geometric", False)
    if field.kind != recipe.x.kind and not (geometric and field.spatial):
        return items
    flat = field.kind == "mask"
    images = items[:, None] if flat else items
    draw = TicketDraw(tickets, recipe.seed, "augment", part.label, dtype=dtype)
    given = {"images": images, "draw": draw}
    made = function(step)(**{name: given[name] for name in part.entry.signature.needs})
    if made.shape not in (images.shape, (len(images), *[1] * flat, *field.shape)) or made.dtype != images.dtype:
        raise ValueError(
            f"it gives {made.dtype} {tuple(made.shape)}, where the {images.dtype} {tuple(images.shape)} it was given "
            "is promised"
        )
    return made[:, 0] if flat else made
