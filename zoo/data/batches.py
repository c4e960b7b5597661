"""Data for training and evaluation: loaded by data plugins, served by position."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor

from zoo.data.augment import Augmentation, augmentations
from zoo.data.fields import central, check, seen, split_of, unseen, without
from zoo.data.trained import TrainedRun
from zoo.draws import WHOLE, Shard, seeded
from zoo.errors import Problem, RequestError, said_of
from zoo.machine.device import placed
from zoo.recipe.data_fields import DataField
from zoo.recipe.schema import ORIGINAL, Part, Recipe
from zoo.recipe.sets import NOVEL, named
from zoo.types import Batch, Examples

Gathered = tuple[dict[str, Tensor], Tensor]
"""Tensors of one set by field, and a ticket for each item."""


def load_images(recipe: Recipe, also: Collection[str] = ()) -> Examples:
    """The recipe's data, its first field, what codes are of, those that anything asks for, and others; a RecipeError,
    placed at its set, if it cannot be had or is not what it says.
    """
    fields, notes = dict[str, tuple[Tensor, Tensor]](), list[str]()
    for key, part in recipe.sets.items():
        examples = _loaded(part)
        called = {named(key, own, recipe.sets): own for own in ("x", *examples.fields, *[NOVEL] * bool(part.without))}
        notes += examples.notes
        with placed(part.position, f"data '{part.entry.name}'"), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            kept, novel = without(examples, part.without) if part.without else (slice(None), None)
            for name, own in called.items():
                if name not in (recipe.x.name, *also) and own != ORIGINAL and not recipe.graph.asked(name):
                    continue
                own_both = {"x": (examples.train, examples.test), NOVEL: novel}.get(own) or examples.fields[own]
                fields[name] = own_both[0][kept], own_both[1]
        notes += [str(warning.message) for warning in caught]
    whole = Examples(*fields.pop(recipe.x.name), tuple(notes), fields)
    with placed(recipe.data.position, f"data '{recipe.data.entry.name}'"):
        check(whole, recipe)
    return replace(whole, notes=(*notes, *unseen(whole, recipe)))


def lent(part: Part) -> dict[str, TrainedRun]:
    """What data is given that asks for it, by name."""
    return {"trained": TrainedRun(part.trained, load_images)} if part.trained else {}


def _loaded(part: Part) -> Examples:
    with placed(part.position, f"data '{part.entry.name}'"):
        try:
            examples = part.load()(**part.arguments_for(), **lent(part))
        except RequestError as error:
            raise ValueError(str(error)) from error
        if not isinstance(examples, Examples):
            raise ValueError(f"gives {type(examples).__name__}, not zoo.api.Examples")
        return examples


def lacks(recipe: Recipe) -> list[Problem]:
    """Why the recipe's data cannot be had, as what can say so (``api.ReadyData``) knows without reading any."""
    found = []
    for part in recipe.sets.values():
        if ready := getattr(part.load(), "ready", None):
            options = part.arguments_for()
            try:
                ready(**{name: options[name] for name in inspect.signature(ready).parameters})
            except (OSError, ValueError) as error:
                found.append(Problem(part.position, f"data '{part.entry.name}': {said_of(error)}"))
    return found


class Batches:
    """turn -> a batch, as models see it, augmented, a function of (seed, turn) alone.

    Each set is gone through in a new random order each epoch; a batch may span two epochs, so a set smaller than a
    batch works too. What is packed lies on the device if there is room; else the next batch is gathered by a thread,
    into pinned memory, while this one is worked on.

    Args:
        stored: field -> tensor (N, ...), as it is stored; of one set as many each.
        fields: what each is.
        batch: items in a batch, of all processes together; ``shard`` is this process's share of each.
        augment: what is done to them, in this order; a step of the training takes so many ``turns``.
        on: where what is stored lies: ``device``, ``host``, or ``auto`` for the device if it fills at most half of its
            free memory.
    """

    def __init__(
        self,
        stored: Mapping[str, Tensor],
        fields: Mapping[str, DataField],
        batch: int,
        seed: int,
        *,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
        channels_last: bool = True,
        augment: Sequence[Augmentation] = (),
        shard: Shard = WHOLE,
        on: str = "auto",
        turns: int = 1,
    ) -> None:
        self._augment, self._fields, self._dtype, self._turns = tuple(augment), fields, dtype, turns
        self._device = torch.empty(0, device=device).device  # with its number: cuda is cuda:0
        later = on == "auto" and any(hasattr(tensor, "identity") for tensor in stored.values())
        there = not later and lies_on_device(sum(tensor.nbytes for tensor in stored.values()), self._device, on)
        placed = {name: tensor.to(self._device) if there else tensor for name, tensor in stored.items()}
        first, *others = dict.fromkeys(fields[name].of for name in placed)
        keys: dict[str, tuple[object, ...]] = {first: (seed,), **{of: (seed, of) for of in others}}
        self._sets = [
            Set({name: tensor for name, tensor in placed.items() if fields[name].of == of}, batch, shard, key)
            for of, key in keys.items()
        ]
        lies_here = all(tensor.device == self._device for tensor in placed.values())
        self._ahead = None if lies_here and not later else _Ahead(self._gathered)
        self._layout = torch.channels_last if channels_last else torch.contiguous_format

    @classmethod
    def of(
        cls, recipe: Recipe, examples: Examples, device: torch.device | str, dtype: torch.dtype, shard: Shard = WHOLE
    ) -> Batches:
        """The batches that a recipe's model is trained on: of the fields that it asks for, and the first."""
        settings, stored = recipe.train, split_of(examples, "train", recipe)
        return cls(
            {name: tensor for name, tensor in stored.items() if name in recipe.asked_fields},
            recipe.fields,
            settings.batch,
            recipe.seed,
            device=device,
            dtype=dtype,
            channels_last=settings.channels_last,
            augment=augmentations(recipe, dtype),
            shard=shard,
            on=settings.data_on,
            turns=recipe.turns,
        )

    def __call__(self, turn: int) -> Batch:
        """The batch of a turn, this process's share of it: field -> (B, ...), images in [-1, 1]."""
        gathered = self._ahead(turn) if self._ahead else self._gathered(turn)
        batch = {}
        for stored, tickets in gathered:
            for name, tensor in stored.items():
                field = self._fields[name]
                moved = tensor.to(self._device, non_blocking=True)
                found = self._laid(seen(moved, field, self._dtype, whole=bool(self._augment)))
                if self._augment:
                    here = tickets.to(self._device, non_blocking=True)
                    for augment in self._augment:
                        found = augment(field, found, here, turn // self._turns)
                    found = self._laid(central(found, field.shape) if field.spatial else found)
                batch[name] = found
        return batch

    def _laid(self, tensor: Tensor) -> Tensor:
        return tensor.contiguous(memory_format=self._layout if tensor.ndim == 4 else torch.contiguous_format)

    def images_of(self, turn: int) -> Tensor:
        """Which items of the first set a turn's share shows, (B,)."""
        return self._sets[0].items_of(turn)

    def _gathered(self, turn: int) -> list[Gathered]:
        return [one.gathered(turn, tickets=bool(self._augment)) for one in self._sets]


class Set:
    """The tensors of one set, in a new random order each epoch, which is a function of ``key`` and the epoch."""

    def __init__(self, stored: Mapping[str, Tensor], batch: int, shard: Shard, key: tuple[object, ...]) -> None:
        self._stored, self._batch, self._shard, self._key = stored, batch, shard, key
        self._size = len(next(iter(stored.values())))
        self._orders: dict[int, Tensor] = {}

    def items_of(self, turn: int) -> Tensor:
        """Which items a turn's share shows, (B,)."""
        return torch.cat([indices for _, indices in self._stretches(turn)])

    def gathered(self, turn: int, tickets: bool) -> Gathered:
        """The tensors of a turn, and a ticket for each item: (epoch, index), counted through."""
        stretches = self._stretches(turn)
        indices = torch.cat([indices for _, indices in stretches])
        numbers = torch.cat([epoch * self._size + own for epoch, own in stretches]) if tickets else indices
        return {name: tensor[indices] for name, tensor in self._stored.items()}, numbers

    def _stretches(self, turn: int) -> list[tuple[int, Tensor]]:
        """The epochs that a turn's share lies in, each with its items there."""
        size, rows = self._size, self._batch // self._shard.count
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
            seed, *others = self._key
            generator = seeded(seed, "order", *others, epoch)
            first = next(iter(self._stored.values()))
            shuffled = getattr(first, "shuffled", partial(torch.randperm, self._size))
            order = shuffled(generator=generator).to(first.device)
            # set at once: a thread may be gathering the next turn
            self._orders = orders = {**{e: o for e, o in orders.items() if e >= epoch - 1}, epoch: order}
        return orders[epoch]


class _Ahead:
    """Gathers the turn after the one that is asked for, in a thread, into memory that a GPU can copy from by itself."""

    def __init__(self, gathered: Callable[[int], list[Gathered]]) -> None:
        self._gathered = gathered
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="zoo-data")
        self._coming: tuple[int, Future[list[Gathered]]] | None = None

    def __call__(self, turn: int) -> list[Gathered]:
        coming = self._coming
        sets = coming[1].result() if coming and coming[0] == turn else self._pinned(turn)
        self._coming = (turn + 1, self._thread.submit(self._pinned, turn + 1))
        return sets

    def _pinned(self, turn: int) -> list[Gathered]:
        def pinned(tensor: Tensor) -> Tensor:
            return tensor.pin_memory() if torch.cuda.is_available() else tensor

        return [({name: pinned(t) for name, t in stored.items()}, pinned(n)) for stored, n in self._gathered(turn)]


def lies_on_device(size: int, device: torch.device, on: str) -> bool:
    """Whether what is stored in so many bytes goes to the device."""
    if on == "auto" and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return size <= free / 2
    return on != "host"
