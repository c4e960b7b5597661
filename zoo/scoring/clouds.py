"""Features of a set of images, kept on disk: computed once, shared out to processes, read back a block at a time."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.errors import RequestError
from zoo.machine.disk import AT_ONCE, write_atomically
from zoo.machine.processes import Processes
from zoo.machine.progress import Progress
from zoo.runs.provenance import software
from zoo.scoring.sets import Images

BATCH = 64
"""Images that are handed to the networks together."""
BLOCK = 1024
"""Rows of features that are read at a time."""


@dataclass(frozen=True)
class Seen:
    """What a pass over a set saw.

    Args:
        n: images.
        content: a hash of their sizes and pixels.
        sizes: ``WxH`` -> how many, the most frequent first.
    """

    n: int
    content: str
    sizes: Mapping[str, int]


@dataclass(frozen=True)
class Cloud:
    """Features of a set, in a file of float32: a row for each image, in the order of their names."""

    file: Path
    shape: tuple[int, int]
    seen: Seen

    def blocks(self) -> Iterator[Tensor]:
        """Some rows at a time, (B, F)."""
        with self.file.open("rb") as file:
            for start in range(0, self.shape[0], BLOCK):
                rows = min(BLOCK, self.shape[0] - start)
                yield torch.from_numpy(np.fromfile(file, np.float32, rows * self.shape[1])).view(rows, -1)

    def rows(self, which: Tensor) -> Iterator[Tensor]:
        """The rows of some images, as often as they are named, some at a time."""
        stored = np.memmap(self.file, np.float32, "r", shape=self.shape)
        for part in torch.split(which, BLOCK):
            yield torch.from_numpy(stored[part.numpy()])


def clouds(
    images: Images,
    features: Sequence[Any],
    folder: Path,
    device: torch.device,
    processes: Processes,
    what: str,
) -> list[Cloud]:
    """The features of a set under each of some networks, from ``folder`` where they are known there.

    Every process takes its share of the images; all of them call this, and the first has the files.

    Args:
        features: callables of pixels, each with ``protocol``, which says more once they were called.
        folder: where they are kept, by what they depend on.

    Raises:
        RequestError: an image cannot be read, or a network sees images of one size alone and there are several.
    """
    keys = {identity(each): each for each in features}
    paths = {key: folder / _digest(images.key, key, device.type, software()) for key in keys}
    missing = {key: each for key, each in keys.items() if not processes.told(_known(paths[key]))}
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            _compute(images, missing, paths, device, processes, what)
        finally:
            for path in paths.values():
                _part(path, processes.rank).unlink(missing_ok=True)
    found = {key: _read(path) for key, path in paths.items()}
    for key, each in keys.items():
        refuse_mixed(images.place, found[key].seen, each)
    return [found[identity(each)] for each in features]


def identity(features: Any) -> str:
    """What features depend on, but for the images."""
    return json.dumps({k: v for k, v in dict(features.protocol).items() if v is not None}, sort_keys=True, default=str)


def look(images: Images) -> Seen:
    """Count, content and sizes of a set that no network looks at."""
    eye = _Eye()
    for batch in images.batches(BATCH):
        eye.see(batch)
    return eye.seen()


def refuse_mixed(place: str, seen: Seen, features: Any) -> None:
    """Refuses sizes that differ where a protocol has none: a RequestError says which they are, and how many."""
    if len(seen.sizes) > 1 and not getattr(features, "mixed", False):
        some = ", ".join(f"{n:,} of {size}" for size, n in list(seen.sizes.items())[:4])
        raise RequestError(
            f"{place}: its images differ in size ({some}{' ...' if len(seen.sizes) > 4 else ''}), and this protocol "
            "takes one size; resize them, or choose one that resizes each by itself: --protocol clean-fid"
        )


def _digest(*what: Any) -> str:
    return hashlib.sha256(json.dumps(what, default=str, sort_keys=True).encode()).hexdigest()[:32]


def _known(path: Path) -> bool:
    return path.with_suffix(".json").is_file() and path.with_suffix(".f32").is_file()


def _read(path: Path) -> Cloud:
    about = json.loads(path.with_suffix(".json").read_text())
    return Cloud(path.with_suffix(".f32"), tuple(about["shape"]), Seen(**about["seen"]))


class _Eye:
    """Hashes and counts images as they go by."""

    def __init__(self) -> None:
        self.each: list[bytes] = []
        self.sizes: Counter[str] = Counter()

    def see(self, batch: Tensor) -> None:
        height, width = batch.shape[2:]
        self.sizes[f"{width}x{height}"] += len(batch)
        for image in batch:
            self.each.append(hashlib.sha256(f"{width}x{height}".encode() + image.numpy().tobytes()).digest())

    def join(self, others: Iterable[_Eye]) -> _Eye:
        """Sees what others saw after it."""
        for other in others:
            self.each += other.each
            self.sizes.update(other.sizes)
        return self

    def seen(self) -> Seen:
        """All of it."""
        return Seen(
            len(self.each), f"sha256:{hashlib.sha256(b''.join(self.each)).hexdigest()}", dict(self.sizes.most_common())
        )


def _compute(
    images: Images,
    features: Mapping[str, Any],
    paths: Mapping[str, Path],
    device: torch.device,
    processes: Processes,
    what: str,
) -> None:
    """Writes the features of this process's share; the first puts the shares together, in order."""
    n, eye, widths = len(images.names), _Eye(), dict.fromkeys(features, 0)
    begin, end = n * processes.rank // processes.count, n * (processes.rank + 1) // processes.count
    with ExitStack() as stack:
        files = {k: stack.enter_context(_part(paths[k], processes.rank).open("wb")) for k in features}
        bar = stack.enter_context(Progress(what, n, silent=None if processes.first else float("inf")))
        done = begin
        for batch in images.batches(BATCH, begin, end):
            eye.see(batch)
            pixels = batch.to(device)  # one tensor, by which networks that metrics share know that they were asked
            for key, each in features.items():
                found = each(pixels)
                widths[key] = found.shape[1]
                found.numpy().astype(np.float32, copy=False).tofile(files[key])
            done += len(batch)
            bar.update(done)
    shares = processes.gathered(eye)
    if processes.first:
        seen = shares[0].join(shares[1:]).seen()
        for key in features:
            parts = [_part(paths[key], rank) for rank in range(processes.count)]
            write_atomically(paths[key].with_suffix(".f32"), _pieces(parts))
            about = {"shape": [n, widths[key]], "seen": asdict(seen), "features": json.loads(key)}
            write_atomically(paths[key].with_suffix(".json"), json.dumps(about).encode())
    processes.told()  # nobody takes a share away before the first has read it


def _part(path: Path, rank: int) -> Path:
    return path.with_name(f"{path.name}.{rank}.part")


def _pieces(parts: Sequence[Path]) -> Iterator[bytes]:
    for part in parts:
        with part.open("rb") as file:
            while piece := file.read(AT_ONCE):
                yield piece
