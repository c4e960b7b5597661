"""Tar shards as WebDataset writes them, read where they lie, in any order: nothing is unpacked, packed or kept."""

import os
import re
import sys
import tarfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from hashlib import blake2b
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from zoo import api
from zoo_data.bad import Bad, printable
from zoo_data.beside import TEST, TRAIN, folders
from zoo_data.cache import cache_folder, digest
from zoo_data.decode import Content, View
from zoo_data.files import user_path
from zoo_data.listed import content, signature
from zoo_data.pack import check_workers
from zoo_data.pixels import Size, check_common
from zoo_data.read import read
from zoo_data.sources import LARGEST_FILE
from zoo_data.unpacked import Reader, Unpacked

ENDINGS = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "tif", "tiff")
"""Of a sample's members, which is its image."""
MEMBER = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)")
"""The key of a sample, up to the first dot of a member's name, and the ending after it."""
BLOCK, SLACK = tarfile.BLOCKSIZE, 1 << 20
"""Of a tar; and how many bytes may follow its end."""
TOLD_SECONDS = 10
"""How often a line says how far that is."""
INDEX = 1
"""Version of what is noted of a shard."""


def shards(
    *,
    path: str,
    classes: int | tuple[str, ...] = 0,
    image: str = "",
    size: Size = 64,
    stored: Size = 0,
    channels: Literal[1, 3] = 3,
    test: float = 0.05,
    crop: int | Literal["square", "none"] = "square",
    resize: Literal["antialias", "published"] = "antialias",
    mixed: int = 0,
    on_error: Literal["error", "skip"] = "error",
    workers: int = 0,
) -> api.Examples:
    """The images of tar shards, read and decoded whenever they are used: no cache, and memory for a batch.

    A shard is gone through once, to note where its images are; then any image can be read. Whether one is for test is
    a hash of its key, unless ``path`` has directories ``train`` and ``test`` (or ``val``) of shards.

    Args:
        path: a directory of ``.tar`` files, or their names with ``*`` in the last part; ``~`` is the home directory.
        classes: how many there are, or their names: each sample's ``.cls`` is then the field ``label``.
        image: the ending of each sample's image, such as ``left.jpg``; empty for the first of a usual one.
        size: image side in pixels, or [height, width].
        stored: image side that is decoded, or [height, width], larger than ``size``: models see the central part, or
            what an augmentation such as ``resized-crop`` cuts out; 0 for ``size``.
        channels: 3, or 1 (luma).
        test: share of the images held out, between 0 and 1.
        crop: the largest central ``square``, or part of the proportions of ``size``; a number of pixels, for a
            central part of that shorter side; ``none`` squeezes the whole image.
        resize: ``antialias`` (bicubic), or ``published`` (bilinear from the four nearest pixels).
        mixed: how many shards are mixed at a time in an epoch's order, for disks that are slow to seek; 0 for all.
        on_error: stop with an ``error`` where an image cannot be read, or ``skip`` it: the next one stands in.
        workers: threads that decode; 0 for one a core, at most 8; 1 for none but the one that asks.

    Raises:
        ValueError: for a value outside its range, a damaged shard, or a sample without its class.
        OSError: when there is no shard, or one cannot be read.
    """
    check_common("shards", size=size, stored=stored, channels=channels, crop=crop)
    check_workers("shards", workers)
    if not 0 < test < 1:
        raise ValueError(f"shards: option 'test' is {test}; choose a share between 0 and 1, such as 0.05.")
    if mixed < 0:
        raise ValueError(f"shards: option 'mixed' is {mixed}; choose a number of shards, or 0 for all of them.")
    places = _splits(path)
    sets = {split: Shards(files, image) for split, files in places.items()}
    rows = {split: _rows(sets, split, test) for split in ("train", "test")}
    view, both = View(stored or size, channels, crop, resize), dict[str, Unpacked]()
    for split, (found, some) in rows.items():
        how = {"on_error": on_error, "workers": workers, "blocks": found.starts, "mixed": mixed}
        identity = digest([found.identity, repr(view)])
        both[split] = Unpacked.of(Reader("shards", view, found.contents, len(found), identity, **how), some)
    notes = tuple(dict.fromkeys(note for found in sets.values() for note in found.notes))
    labels = [found.labels(some) for found, some in rows.values()] if classes else []
    return api.Examples(both["train"], both["test"], notes, {"label": tuple(labels)} if classes else {})


shards.read = read


def _ready(*, path: str) -> None:
    """Refuses where there is no shard."""
    _splits(path)


shards.ready = _ready


def _splits(path: str) -> dict[str, list[Path]]:
    """The shards of each split; under ``all`` where they are of both."""
    if not path:
        raise ValueError("shards: option 'path' is empty; give a directory of .tar files, or such as pictures/*.tar.")
    place = user_path(path).absolute()
    inside = folders(place) if place.is_dir() else []
    train = next((name for name in inside if name.lower() in TRAIN), None)
    held = next((name for known in TEST for name in inside if name.lower() == known), None)
    if train and held:
        return {"train": _files(place / train), "test": _files(place / held)}
    return {"all": _files(place)}


def _files(place: Path) -> list[Path]:
    folder, pattern = (place, "*.tar") if place.is_dir() else (place.parent, place.name)
    if found := sorted(file for file in folder.glob(pattern) if file.is_file()):
        return found
    packed = next((file.name for file in place.glob("*.tar.*") if file.is_file()), "")
    cure = "give a directory of .tar files, or such as pictures/*.tar"
    cure = f"unpack {packed} to a .tar: what is compressed is not read from its middle" if packed else cure
    raise FileNotFoundError(f"shards: there is no {folder / pattern}; {cure}.")


def _rows(sets: dict[str, "Shards"], split: str, test: float) -> tuple["Shards", Any]:
    """The shards of a split, and which of their rows."""
    if "all" not in sets:
        return sets[split], range(len(sets[split]))
    whole = sets["all"]
    if len(whole) < 2:
        raise ValueError(f"shards: there are {len(whole)} images in {whole.where}; training and test need one each.")
    held = whole.column(KEY).view(np.uint64) < np.uint64(test * 2**64)
    held[-1] |= not held.any()
    held[0] &= not held.all()
    return whole, np.flatnonzero(held == (split == "test"))


OFFSET, SIZE, LABEL, KEY = range(4)
"""Columns of what is noted of an image: its first byte and how many, its class or -1, a hash of its key."""


class Shards:
    """Where the images of some shards are, in their order.

    Raises:
        ValueError: for a damaged shard, or one without images.
        OSError: for one that cannot be read.
    """

    def __init__(self, files: Sequence[Path], image: str) -> None:
        self._files, self.notes, tables = files, list[str](), list[np.ndarray]()
        self._told = time.monotonic()
        self._known = [signature(file) for file in files]
        for number, file in enumerate(files):
            tables.append(self._table(file, image, f"{number + 1:,} of {len(files):,}"))
        self._tables = tables
        counts = [len(table) for table in tables]
        self.starts = np.cumsum([0, *counts])[:-1]
        self._count = sum(counts)
        self.where = f"shards in {printable(str(files[0].parent))}"
        if not self._count:
            raise ValueError(f"shards: there is no image in the {len(files):,} {self.where}; endings: {_told(image)}.")

    def __len__(self) -> int:
        return self._count

    @property
    def identity(self) -> str:
        """Changes when an image does, and not with the place where the shards are."""
        known = blake2b(content(self._files).encode(), digest_size=16)
        for table in self._tables:
            known.update(np.ascontiguousarray(table).data)
        return known.hexdigest()

    def column(self, number: int) -> np.ndarray:
        """A column of all images."""
        return np.concatenate([table[:, number] for table in self._tables])

    def labels(self, rows: Any) -> torch.Tensor:
        """The classes of some rows, (N,)."""
        found = self.column(LABEL)[np.asarray(rows)]
        if (found < 0).any():
            row = int(np.asarray(rows)[int((found < 0).argmax())])
            ((name, _),) = self.contents([row])
            raise ValueError(
                f"shards: {name} has no class beside it (a member .cls, a whole number); leave out 'classes'."
            )
        return torch.from_numpy(found)

    def contents(self, rows: Sequence[int]) -> list[tuple[str, Content]]:
        """The images of some rows as they are in their shards."""
        found: dict[int, tuple[str, Content]] = {}
        places = np.searchsorted(self.starts, rows, "right") - 1
        for shard, some in groupby(sorted(zip(places.tolist(), rows, strict=True)), lambda both: both[0]):
            with self._opened(shard) as file:
                for _, row in some:
                    offset, size = (int(n) for n in self._tables[shard][row - self.starts[shard], :LABEL])
                    file.seek(offset - BLOCK)  # the member's header, whose first 100 bytes are its name
                    name = file.read(BLOCK)[:100].rstrip(b"\0").decode("utf-8", "backslashreplace")
                    name = f"{self._files[shard].name}: {name}"
                    large = Bad(name, f"more than {LARGEST_FILE >> 20} MiB")
                    found[row] = name, large if size > LARGEST_FILE else file.read(size)
        return [found[row] for row in rows]

    def _opened(self, shard: int) -> Any:
        file = self._files[shard]
        if signature(file) != self._known[shard]:
            raise OSError(f"shards: {file} changed or is gone since it was looked through; run again.")
        return file.open("rb")

    def _table(self, file: Path, image: str, place: str) -> np.ndarray:
        """What is noted of a shard, from the cache if it is there."""
        key = digest([INDEX, os.path.realpath(file), signature(file), image])
        with suppress(OSError, ValueError):  # it is not there, or not whole
            return np.load(cache_folder() / f"shard-{key}.npy", mmap_mode="r")
        if time.monotonic() > self._told + TOLD_SECONDS:
            self._told = time.monotonic()
            print(f"looking through shard {place} in {file.parent}", file=sys.stderr, flush=True)
        table = np.array([*_members(file, image)], np.int64).reshape(-1, 4)
        try:
            folder = cache_folder()
            folder.mkdir(parents=True, exist_ok=True)
            unfinished = folder / f"shard-{key}.{os.getpid()}.part"
            with unfinished.open("wb") as beside:
                np.save(beside, table)
            os.replace(unfinished, folder / f"shard-{key}.npy")
        except OSError as error:
            self.notes.append(f"shards: what is in them is not kept ({error}); each run looks through them again.")
        return table


def _members(file: Path, image: str) -> Iterator[tuple[int, int, int, int]]:
    """What is noted of each image of a shard.

    Raises:
        ValueError: if the shard is damaged or compressed.
    """
    end = 0
    try:
        with tarfile.open(file, "r:") as archive:
            members = (one for one in archive if one.isreg() and MEMBER.fullmatch(one.name))
            for key, sample in groupby(members, lambda one: MEMBER.fullmatch(one.name)[1]):
                found = {MEMBER.fullmatch(one.name)[2].lower(): one for one in sample}
                ending = next((end for end in found if end in ([image] if image else ENDINGS)), None)
                if ending is None:
                    continue
                label = _class(archive.extractfile(found["cls"]).read(20), file, key) if "cls" in found else -1
                hashed = int.from_bytes(blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest())
                yield found[ending].offset_data, found[ending].size, label, hashed - (hashed >> 63 << 64)
            end = archive.offset
    except tarfile.TarError as error:
        raise ValueError(f"shards: {file} cannot be read as a tar ({error}); {CURE}.") from None
    with file.open("rb") as whole:
        whole.seek(end)
        rest = whole.read(SLACK + 1)
    if not rest or rest.strip(b"\0") or len(rest) > SLACK:  # an archive's end is zeros; tarfile takes damage for it
        size = file.stat().st_size
        raise ValueError(f"shards: {file} is damaged or cut short at byte {end:,} of {size:,}; {CURE}.")


CURE = "fetch it again, or remove it; a compressed one is to be unpacked to a .tar"


def _class(text: bytes, file: Path, key: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"shards: {file}: {key}.cls says {text!r}, which is no whole number; correct it.") from None


def _told(image: str) -> str:
    return image or ", ".join(ENDINGS)
