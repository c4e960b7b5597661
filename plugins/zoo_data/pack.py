"""From a source of images to packed pixels: decoded once, by several processes, and then read from the cache."""

import os
import sys
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, replace
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch

from zoo import api
from zoo_data.bad import PARTNER, Bad, judge
from zoo_data.cache import FORMAT, CacheError, DamagedError, Entry, Packed, digest, exposed
from zoo_data.decode import SIDES, Chunk, Content, MachineError, Square, View, decode_chunk
from zoo_data.listed import CHANGED
from zoo_data.part import Part
from zoo_data.sources import Items, Source, how_many, of_good
from zoo_data.workers import decoded

CHUNK = 256
"""Images that a process decodes at a time, and that are lost when packing is killed; fewer if they are large."""
CHUNK_BYTES = 2 << 20
"""Of their pixels."""
MOST_WORKERS = 8
"""More of them would wait for the disk, and for this process to hand out the work."""
MEMORY_SHARE = 1 / 8
"""Of the memory there is (``api.memory``), that images may take which the cache cannot keep."""


def pack_splits(train: Source, test: Source, view: View, *, workers: int, on_error: str) -> api.Examples:
    """Two splits as the zoo takes them.

    Raises:
        ValueError: for bad images where ``on_error`` is ``error``; for none that is good.
        OSError: if the cache cannot be written and memory is too small; if the machine fails.
    """
    check_workers(train.name, workers)
    packs = [pack(source, view, workers) for source in (train, test)]
    notes = list(dict.fromkeys(note for packed in packs for note in packed.notes))
    for source, packed in zip((train, test), packs, strict=True):
        notes += judge(source.name, packed.bad, len(packed.pixels), source.where, on_error, packed.page)

    def both(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return train.fields[name](packs[0].bad), test.fields[name](packs[1].bad)

    fields = Later({name: partial(both, name) for name in train.fields})
    return api.Examples(packs[0].pixels, packs[1].pixels, tuple(notes), fields)


class Later(Mapping[str, tuple[torch.Tensor, torch.Tensor]]):
    """Fields by name, each made when it is looked up."""

    def __init__(self, made: Mapping[str, Callable[[], tuple[torch.Tensor, torch.Tensor]]]) -> None:
        self._made = made

    def __getitem__(self, name: str) -> tuple[torch.Tensor, torch.Tensor]:
        return self._made[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)


def noted(packed: Packed) -> torch.Tensor:
    """The pixels of a field; what happened to its entry on the way is warned of."""
    for note in packed.notes:
        warnings.warn(note, stacklevel=2)
    return packed.pixels


def whole(
    names: Mapping[str, Sequence[str]], packs: Mapping[str, Packed]
) -> tuple[dict[str, torch.Tensor], list[int], list[Bad]]:
    """Of each field the pixels of the items that are good in all of them, their places, and the others."""
    bad = {name: {one.name for one in packed.bad} for name, packed in packs.items()}
    spoilt = {
        place: next(own[place] for name, own in names.items() if own[place] in bad[name])
        for place in range(len(names["x"]))
        if any(own[place] in bad[name] for name, own in names.items())
    }
    good = [place for place in range(len(names["x"])) if place not in spoilt]
    found, lost = dict[str, torch.Tensor](), list[Bad]()
    for name, own in names.items():
        alone = [
            Bad(own[place], f"{PARTNER}{by} is bad") for place, by in spoilt.items() if own[place] not in bad[name]
        ]
        there = [inside for inside in own if inside not in bad[name]]
        found[name] = of_good(packs[name].pixels, there, alone)
        lost += [*packs[name].bad, *alone]
    return found, good, lost


def alike(
    names: Mapping[str, Sequence[str]],
    packs: Mapping[str, Packed],
    sources: Mapping[str, Source],
    crop: int | str,
    workers: int,
) -> dict[str, Packed]:
    """The fields of items; bad is what shows another part of a scene, once it is cropped, than the ``x`` beside it.

    It has other proportions than that, by more than 1 % and a pixel, or for a ``crop`` of so many pixels another size.
    """
    if len(names) == 1 or crop == "none":
        return dict(packs)
    sides, found = {name: _sides(names[name], sources[name], workers) for name in names}, dict(packs)
    for name, own in names.items():
        odd = list[Bad]()
        for first, other in zip(names["x"], own, strict=True):
            if first not in sides["x"] or other not in sides[name]:
                continue  # bad in any case
            (wide, high), (across, down) = sides["x"][first], sides[name][other]
            apart, near = abs(wide * down - high * across), max(0.01 * wide * down, wide, high, across, down)
            if apart > near if crop == "square" else (wide, high) != (across, down):
                what = "proportions" if crop == "square" else "size"
                odd.append(Bad(other, f"{across} x {down} pixels, and its x has {wide} x {high}: other {what}"))
        bad, known = found[name].bad, {one.name for one in found[name].bad}
        there = [inside for inside in own if inside not in known]
        more = [one for one in odd if one.name not in known]
        found[name] = replace(found[name], pixels=of_good(found[name].pixels, there, more), bad=(*bad, *more))
    return found


def _sides(names: Sequence[str], source: Source, workers: int) -> dict[str, list[int]]:
    """Width and height of the images that have any, by name."""
    packed = pack(source, SIDES, workers)
    bad = {one.name for one in packed.bad}
    known = packed.pixels.numpy().reshape(-1, 8).view("<u4").tolist()
    return dict(zip((name for name in names if name not in bad), known, strict=True))


def pack_labels(name: str, split: str, count: int, labels: Callable[[], Iterable[int]], identity: Any) -> torch.Tensor:
    """The classes of a split's images, below 256, kept as images of one pixel are: uint8 (N,)."""

    def items(start: int) -> Items:
        numbered = islice(enumerate(labels()), start, None)
        return ((f"label {number}", Square(np.full((1, 1, 1), label, np.uint8))) for number, label in numbered)

    source = Source(name, f"{split}-labels", count, items, identity, "labels")
    return noted(pack(source, View(1, 1, "none"), 1)).flatten()


def first_images(images: api.Examples, name: str, *, train: int, test: int) -> api.Examples:
    """The first items of each split; 0 for all.

    Raises:
        ValueError: where there are not so many.
    """
    first = {"train": train, "test": test}
    wanted = {split: how_many(name, split, first[split], len(getattr(images, split))) for split in first}

    def cut(field: str) -> tuple[torch.Tensor, torch.Tensor]:
        of_train, of_test = images.fields[field]
        return of_train[: wanted["train"]], of_test[: wanted["test"]]

    fields = Later({field: partial(cut, field) for field in images.fields})
    return api.Examples(images.train[: wanted["train"]], images.test[: wanted["test"]], images.notes, fields)


def check_workers(name: str, workers: int) -> None:
    """Refuses a number of processes that cannot be.

    Raises:
        ValueError: in a sentence.
    """
    if workers < 0:
        raise ValueError(f"{name}: option 'workers' is {workers}; choose 0 for one a core, or a number of processes.")


def pack(source: Source, view: View, workers: int) -> Packed:
    """Gives a source from the cache, packed first if need be; from memory, with a note, where it cannot be kept.

    Args:
        source: what to pack.
        view: how its images become pixels of one size.
        workers: processes that decode; 0 for one a core, at most ``MOST_WORKERS``; 1 for none but this one.

    Raises:
        OSError: if the cache cannot be used and memory is too small, or the machine fails.
    """
    fits = source.count * view.bytes <= MEMORY_SHARE * api.memory()
    try:
        packed = _kept(source, view, workers, fits)
        return replace(packed, notes=(*packed.notes, *exposed()))
    except CacheError as error:
        if not fits:
            raise
        note = f"{source.name}: {error}; the images are in memory, and will be decoded again."
    with closing(_decoded(source, view, 0, workers)) as decoding:
        chunks = list(decoding)
    none = np.empty((0, *view.shape), np.uint8)
    pixels = torch.from_numpy(np.concatenate([none, *(chunk.pixels for chunk in chunks)]))
    return Packed(pixels, tuple(bad for chunk in chunks for bad in chunk.bad), None, (note,))


def _kept(source: Source, view: View, workers: int, fits: bool) -> Packed:
    """From the cache; what a full disk broke off is kept for the next run if it is too large for memory."""
    about = {"format": FORMAT, "chunk": _chunk(view), "source": source.name, "split": source.split}
    about["view"] = asdict(view)
    key = digest(about | {"identity": source.identity})
    entry = Entry(f"{source.name}-{source.split}-{key}", view.shape)
    damaged, notes = False, ()
    try:
        if packed := entry.open():
            return packed
    except DamagedError:
        damaged = True
    with entry.held():
        try:
            if packed := entry.open(full=damaged):  # by the process we waited for; another sample may miss the damage
                return packed
        except DamagedError as error:
            notes = (f"{source.name}: {entry.file('.u8')} was damaged ({error}) and has been packed again.",)
            entry.remove()
        try:
            with closing(Part(entry, about)) as part:
                _fill(part, source, view, workers)
                part.finish()
            packed = entry.written()
        except CacheError:
            if fits:
                with suppress(CacheError):
                    entry.remove()
            raise
        if any(bad.reason == CHANGED for bad in packed.bad):
            entry.remove()  # the pixels stay mapped
            packed = replace(packed, page=None)
    return replace(packed, notes=notes)


def _fill(part: Part, source: Source, view: View, workers: int) -> None:
    part.require_room(source.count - part.seen)
    with closing(_decoded(source, view, part.seen, workers)) as chunks:
        for chunk in chunks:
            part.append(chunk)


def _decoded(source: Source, view: View, start: int, workers: int) -> Generator[Chunk, None, None]:
    """The chunks from a position on, in order, whoever decodes them. To be closed."""
    chunks = _chunks(source.items(start), _chunk(view))
    with ExitStack() as stack:
        bar = stack.enter_context(api.Progress(f"packing {source.name} {source.split}", source.count, start))
        if workers == 1:
            done = (decode_chunk(items, view) for items in chunks)
        else:
            done = stack.enter_context(closing(decoded(chunks, view, workers or min(_cores(), MOST_WORKERS))))
        try:
            for chunk in done:
                yield chunk
                start += chunk.seen
                bar.update(start)
        except MachineError as error:
            raise OSError(f"{source.name}: {error}.") from None


def _cores() -> int:
    """Cores that this process may use."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _chunk(view: View) -> int:
    """Images of a chunk."""
    return max(1, min(CHUNK, CHUNK_BYTES // view.bytes))


def _chunks(items: Items, size: int) -> Iterator[list[tuple[str, Content]]]:
    while chunk := list(islice(items, size)):
        yield chunk
