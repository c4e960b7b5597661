"""Images for training and evaluation: loaded by a data plugin, served by position."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from zoo.augment import Augmentation
from zoo.errors import Problem, RecipeError
from zoo.recipe.schema import Recipe
from zoo.tensors import Images, seeded, to_model


def load_images(recipe: Recipe) -> Images:
    """The recipe's images.

    Raises:
        RecipeError: placed at ``data``, if they cannot be had or are not what the recipe says.
    """
    part = recipe.data
    try:
        images = part.load()(**part.arguments_for())
        _check(images, recipe)
    except (ValueError, OSError, TypeError) as error:
        message = f"data '{part.entry.name}': {error}"
        raise RecipeError([Problem(part.position, message)]) from error
    return images  # type: ignore[no-any-return]


def _check(images: Images, recipe: Recipe) -> None:
    if not isinstance(images, Images):
        raise TypeError(f"gives {type(images).__name__}, not zoo.api.Images")
    expected = (recipe.sizes.channels, recipe.sizes.size, recipe.sizes.size)
    for split, pixels in (("train", images.train), ("test", images.test)):
        if pixels.dtype != torch.uint8 or pixels.shape[1:] != expected:
            raise ValueError(
                f"its {split} images are {pixels.dtype} {tuple(pixels.shape)}; uint8 (N, {expected}) is promised"
            )
        if not len(pixels):
            raise ValueError(f"has no {split} images")


class Batches:
    """turn -> a batch of images in [-1, 1], augmented, a function of (seed, turn) alone.

    The set is gone through in a new random order each epoch; a batch may span two epochs, so a set
    smaller than a batch works too.

    Args:
        pixels: uint8 (N, C, H, W).
        batch: images in a batch.
        seed: of the order.
        device: where the batches go.
        dtype: their type.
        channels_last: their memory layout.
        augment: what is done to them, in this order.
    """

    def __init__(
        self,
        pixels: Tensor,
        batch: int,
        seed: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        channels_last: bool = True,
        augment: Sequence[Augmentation] = (),
    ) -> None:
        self._augment = tuple(augment)
        self._pixels = pixels
        self._batch = batch
        self._seed = seed
        self._device = device
        self._dtype = dtype
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._orders: dict[int, Tensor] = {}

    def __call__(self, turn: int) -> Tensor:
        """The batch of a turn, (B, C, H, W) in [-1, 1]."""
        size = len(self._pixels)
        positions = torch.arange(turn * self._batch, (turn + 1) * self._batch)
        indices = self._indices(positions)
        pixels = self._pixels[indices].to(self._device, non_blocking=True)
        images = to_model(pixels, self._dtype).contiguous(memory_format=self._layout)
        if self._augment:
            tickets = (positions // size * size + indices).to(self._device)  # (epoch, index), counted through
            for augment in self._augment:
                images = augment(images, tickets)
            images = images.contiguous(memory_format=self._layout)
        return images

    def _indices(self, positions: Tensor) -> Tensor:
        size = len(self._pixels)
        first, last = int(positions[0]) // size, int(positions[-1]) // size
        orders = torch.cat([self._order(epoch) for epoch in range(first, last + 1)])
        return orders[positions - first * size]

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            self._orders = {e: o for e, o in self._orders.items() if e >= epoch - 1}
            generator = seeded(self._seed, "order", epoch)
            self._orders[epoch] = torch.randperm(len(self._pixels), generator=generator)
        return self._orders[epoch]


def in_order(pixels: Tensor, batch: int, *, device: torch.device | str, dtype: torch.dtype) -> Iterator[Tensor]:
    """All images in their order, in batches (B, C, H, W) in [-1, 1]; the last may be smaller."""
    for start in range(0, len(pixels), batch):
        yield to_model(pixels[start : start + batch].to(device), dtype)
