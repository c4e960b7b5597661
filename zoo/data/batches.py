"""Images for training and evaluation: loaded by a data plugin, served by position."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from zoo.data.augment import Augmentation, augmentations
from zoo.draws import WHOLE, Shard, seeded
from zoo.errors import Problem, RecipeError, ZooError, said_of
from zoo.machine.torch_private import out_of_memory
from zoo.recipe.schema import Recipe
from zoo.types import Images, to_model


def load_images(recipe: Recipe) -> Images:
    """The recipe's images; a RecipeError, placed at ``data``, if they cannot be had or are not what the recipe says."""
    part = recipe.data
    try:
        images = part.load()(**part.arguments_for())
        _check(images, recipe)
    except Exception as error:
        if isinstance(error, ZooError) or out_of_memory(error):
            raise
        message = f"data '{part.entry.name}': {said_of(error)}"
        raise RecipeError([Problem(part.position, message)]) from error
    return images  # type: ignore[no-any-return]


def lacks(recipe: Recipe) -> list[Problem]:
    """Why the recipe's images cannot be had, as data that can say so (``api.ReadyData``) know without reading any."""
    part = recipe.data
    ready = getattr(part.load(), "ready", None)
    if ready is None:
        return []
    options = part.arguments_for()
    try:
        ready(**{name: options[name] for name in inspect.signature(ready).parameters})
    except (OSError, ValueError) as error:
        return [Problem(part.position, f"data '{part.entry.name}': {said_of(error)}")]
    return []


def _check(images: Images, recipe: Recipe) -> None:
    if not isinstance(images, Images):
        raise ValueError(f"gives {type(images).__name__}, not zoo.api.Images")
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

    The set is gone through in a new random order each epoch; a batch may span two epochs, so a set smaller than a batch
    works too. The packed images lie on the device if there is room; else the next batch is gathered by a thread, into
    pinned memory, while this one is worked on.

    Args:
        pixels: uint8 (N, C, H, W).
        batch: images in a batch, of all processes together; ``shard`` is this process's share of each.
        augment: what is done to them, in this order.
        on: where the images lie: ``device``, ``host``, or ``auto`` for the device if they fill at most half of its
            free memory.
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
        shard: Shard = WHOLE,
        on: str = "auto",
    ) -> None:
        self._augment, self._batch, self._shard, self._seed, self._dtype = tuple(augment), batch, shard, seed, dtype
        self._device = torch.empty(0, device=device).device  # with its number: cuda is cuda:0
        self._pixels = pixels.to(self._device) if _lies_on_device(pixels, self._device, on) else pixels
        self._ahead = _Ahead(self._gathered) if self._pixels.device != self._device else None
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._orders: dict[int, Tensor] = {}

    @classmethod
    def of(
        cls, recipe: Recipe, pixels: Tensor, device: torch.device | str, dtype: torch.dtype, shard: Shard = WHOLE
    ) -> Batches:
        """The batches that a recipe's model is trained on."""
        settings = recipe.train
        return cls(
            pixels,
            settings.batch,
            recipe.seed,
            device=device,
            dtype=dtype,
            channels_last=settings.channels_last,
            augment=augmentations(recipe),
            shard=shard,
            on=settings.data_on,
        )

    def __call__(self, turn: int) -> Tensor:
        """The batch of a turn, this process's share of it, (B, C, H, W) in [-1, 1]."""
        pixels, tickets = self._ahead(turn) if self._ahead else self._gathered(turn)
        images = to_model(pixels.to(self._device, non_blocking=True), self._dtype)
        images = images.contiguous(memory_format=self._layout)
        if self._augment:
            tickets = tickets.to(self._device, non_blocking=True)
            for augment in self._augment:
                images = augment(images, tickets)
            images = images.contiguous(memory_format=self._layout)
        return images

    def images_of(self, turn: int) -> Tensor:
        """Which images of the set a turn's share shows, (B,)."""
        return torch.cat([indices for _, indices in self._stretches(turn)])

    def _gathered(self, turn: int) -> tuple[Tensor, Tensor]:
        """The pixels of a turn, and a ticket for each image: (epoch, index), counted through."""
        size, stretches = len(self._pixels), self._stretches(turn)
        indices = torch.cat([indices for _, indices in stretches])
        tickets = torch.cat([epoch * size + own for epoch, own in stretches]) if self._augment else indices
        return self._pixels[indices], tickets

    def _stretches(self, turn: int) -> list[tuple[int, Tensor]]:
        """The epochs that a turn's share lies in, each with its images there."""
        size, rows = len(self._pixels), self._batch // self._shard.count
        start = turn * self._batch + self._shard.index * rows
        stretches, end = [], start + rows
        while start < end:
            epoch, first = divmod(start, size)
            taken = min(size - first, end - start)
            stretches.append((epoch, self._order(epoch)[first : first + taken]))
            start += taken
        return stretches

    def _order(self, epoch: int) -> Tensor:
        orders = self._orders
        if epoch not in orders:
            generator = seeded(self._seed, "order", epoch)
            order = torch.randperm(len(self._pixels), generator=generator).to(self._pixels.device)
            # set at once: a thread may be gathering the next turn
            self._orders = orders = {**{e: o for e, o in orders.items() if e >= epoch - 1}, epoch: order}
        return orders[epoch]


class _Ahead:
    """Gathers the turn after the one that is asked for, in a thread, into memory that a GPU can copy from by itself."""

    def __init__(self, gathered: Callable[[int], tuple[Tensor, ...]]) -> None:
        self._gathered = gathered
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="zoo-data")
        self._coming: tuple[int, Future[tuple[Tensor, ...]]] | None = None

    def __call__(self, turn: int) -> tuple[Tensor, ...]:
        coming = self._coming
        tensors = coming[1].result() if coming and coming[0] == turn else self._pinned(turn)
        self._coming = (turn + 1, self._thread.submit(self._pinned, turn + 1))
        return tensors

    def _pinned(self, turn: int) -> tuple[Tensor, ...]:
        pin = torch.cuda.is_available()
        return tuple(tensor.pin_memory() if pin else tensor for tensor in self._gathered(turn))


def _lies_on_device(pixels: Tensor, device: torch.device, on: str) -> bool:
    if on == "auto" and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return pixels.nbytes <= free / 2
    return on != "host"
