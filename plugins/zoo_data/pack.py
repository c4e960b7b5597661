"""From a source of images to packed pixels: decoded once, by several processes, and then read from the cache."""

from collections.abc import Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing, suppress
from dataclasses import asdict, replace
from itertools import islice

from joblib import Parallel, cpu_count, delayed

from zoo import api
from zoo_data.bad import judge
from zoo_data.cache import FORMAT, DamagedError, Entry, Packed, Part, digest
from zoo_data.decode import Chunk, Content, View, decode_chunk
from zoo_data.progress import progress
from zoo_data.sources import Items, Source, how_many

CHUNK = 256
"""Images that a process decodes at a time, and that are lost when packing is killed."""
MOST_WORKERS = 8
"""More of them would wait for the disk, and for this process to hand out the work."""
IDLE_SECONDS = 5
"""How long a process without work stays."""


def pack_splits(train: Source, test: Source, view: View, *, workers: int, on_error: str) -> api.Images:
    """Two splits as the zoo takes them.

    Raises:
        ValueError: for bad images where ``on_error`` is ``error``; for none that is good.
        OSError: if the cache cannot be written.
    """
    check_workers(train.name, workers)
    packs = [pack(source, view, workers) for source in (train, test)]
    notes = [note for packed in packs for note in packed.notes]
    for source, packed in zip((train, test), packs, strict=True):
        notes += judge(source.name, packed.bad, len(packed.pixels), source.where, on_error, packed.page)
    return api.Images(packs[0].pixels, packs[1].pixels, tuple(notes))


def first_images(images: api.Images, name: str, *, train: int, test: int) -> api.Images:
    """The first images of each split; 0 for all.

    Raises:
        ValueError: where there are not so many.
    """
    first = {"train": train, "test": test}
    wanted = {split: how_many(name, split, first[split], len(getattr(images, split))) for split in first}
    return replace(images, train=images.train[: wanted["train"]], test=images.test[: wanted["test"]])


def check_workers(name: str, workers: int) -> None:
    """Refuses a number of processes that cannot be.

    Raises:
        ValueError: in a sentence.
    """
    if workers < 0:
        raise ValueError(f"{name}: option 'workers' is {workers}; choose 0 for one a core, or a number of processes.")


def pack(source: Source, view: View, workers: int) -> Packed:
    """What the cache has of a source, packed first if need be.

    Args:
        source: what to pack.
        view: how its images become squares.
        workers: processes that decode; 0 for one a core, at most ``MOST_WORKERS``.

    Raises:
        OSError: if the cache cannot be written, or the machine fails.
    """
    about = {"format": FORMAT, "chunk": CHUNK, "source": source.name, "split": source.split, "view": asdict(view)}
    key = digest(about | {"identity": source.identity})
    entry = Entry(f"{source.name}-{source.split}-{key}", (view.channels, view.size, view.size))
    with suppress(DamagedError):
        if found := entry.open():
            return found
    with entry.held():
        notes: tuple[str, ...] = ()
        try:
            if found := entry.open():  # by the process we waited for
                return found
        except DamagedError as error:
            notes = (f"{source.name}: {entry.file('.u8')} was damaged ({error}) and has been packed again.",)
            entry.remove()
        with closing(Part(entry, about)) as part:
            _fill(part, source, view, workers)
            part.finish()
        packed = entry.open()
    assert packed
    return replace(packed, notes=notes)


def _fill(part: Part, source: Source, view: View, workers: int) -> None:
    left = source.count - part.seen
    part.require_room(left)
    if workers == 0:
        workers = min(cpu_count(), MOST_WORKERS) if left > CHUNK else 1
    with progress(f"{source.name} {source.split}", part.seen, source.count) as advance:
        for chunk in _decoded(source, view, part.seen, workers):
            part.append(chunk)
            advance(chunk.seen)


def _decoded(source: Source, view: View, start: int, workers: int) -> Iterator[Chunk]:
    """The chunks from a position on, in order, whoever decodes them."""
    chunks = _chunks(source.items(start))
    if workers == 1:
        yield from (decode_chunk(items, view) for items in chunks)
        return
    # joblib's own processes: unlike multiprocessing's they neither import the user's script nor inherit threads.
    parallel = Parallel(workers, return_as="generator", batch_size=1, idle_worker_timeout=IDLE_SECONDS)
    try:
        yield from parallel(delayed(decode_chunk)(items, view) for items in chunks)
    except BrokenProcessPool:
        raise OSError(
            f"{source.name}: a process that decoded images was killed, by the system for want of memory or by a "
            "damaged image; set workers to 1 for one process and little memory."
        ) from None


def _chunks(items: Items) -> Iterator[list[tuple[str, Content]]]:
    while chunk := list(islice(items, CHUNK)):
        yield chunk
