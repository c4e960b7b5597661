"""The shape of a code: as the recipe says it, else as the contract of its encoder does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from zoo.recipe.contract import contract_of

if TYPE_CHECKING:
    from zoo.recipe.data_fields import Sizes
    from zoo.recipe.schema import Part

Code = int | tuple[int, ...]
"""Dimensions of a code that is a vector, or the shape of one that is a map, or tokens."""


def as_code(shape: int | Sequence[int]) -> Code:
    """A code's shape; of one dimension, that number."""
    if isinstance(shape, int):
        return shape
    return shape[0] if len(shape) == 1 else tuple(shape)


def encoder_of(slots: Mapping[str, Part]) -> Part | None:
    """The slot that encodes: the one of that kind, or of several that which is called so; else None.

    One that has a code of its own ``sizes`` is none.
    """
    own = {label: part for label, part in slots.items() if "latent" not in part.sizes}
    encoders = {label: part for label, part in own.items() if part.entry.kind == "encoder"}
    return next(iter(encoders.values())) if len(encoders) == 1 else encoders.get("encoder")


def code_told(slots: Mapping[str, Part], sizes: Sizes) -> Code | None:
    """The shape that the encoder's contract says a code has: that of its first output, unless it asks for 'latent'.

    A contract that comes to no shape is a ValueError.
    """
    part = encoder_of(slots)
    contract = contract_of(part, sizes) if part else None
    if contract is None or "latent" in contract.outputs[0].names:
        return None
    shape = [size for size in contract.outputs[0].dims[1:] if isinstance(size, int)]
    return as_code(shape) if shape and len(shape) == len(contract.outputs[0].dims) - 1 else None
