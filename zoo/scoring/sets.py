"""What is scored: images in a folder, a zip, an ``.npz``, memory, published statistics, a run's images, a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo.errors import RequestError, did_you_mean, said_of
from zoo.registry import Registry, check_options, to_arguments
from zoo.runs.provenance import run_of
from zoo.scoring.numbers import Arrays, images_in, statistics_in

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
"""Endings of files that are images."""
READERS, AHEAD = 4, 128
"""Threads that decode, and images that they are ahead of who uses them."""
Decoded = Iterator[np.ndarray]
"""Images, uint8 (H, W, 3)."""


@dataclass(frozen=True)
class Images:
    """A set of images, which are read anew at each pass.

    Args:
        place: what the user calls it.
        names: of its images, by which two sets are paired; no two are the same.
        read: the images from one position to another.
        key: what its bytes are known by.
        about: where the images are from, for a passport.
        notes: sentences on what was passed over.
        statistics: published with the images, by name.
    """

    place: str
    names: tuple[str, ...]
    read: Callable[[int, int], Decoded]
    key: str
    about: Mapping[str, Any]
    notes: tuple[str, ...] = ()
    statistics: Mapping[str, Tensor] = field(default_factory=dict)

    def first(self, n: int) -> Images:
        """Its first images.

        Raises:
            RequestError: it has fewer.
        """
        if n > len(self.names):
            raise RequestError(f"{self.place}: has {len(self.names):,} images, and {n:,} are asked for")
        return replace(self, names=self.names[:n], statistics={}, key=f"{self.key}, first {n}") if n else self

    def batches(self, most: int, begin: int = 0, end: int | None = None) -> Iterator[Tensor]:
        """uint8 (B, 3, H, W), at most so many together; a batch ends where the size of the images changes."""
        waiting: list[np.ndarray] = []
        for image in self.read(begin, len(self.names) if end is None else end):
            if waiting and (len(waiting) == most or image.shape != waiting[0].shape):
                yield _stacked(waiting)
                waiting = []
            waiting.append(image)
        if waiting:
            yield _stacked(waiting)


@dataclass(frozen=True)
class Statistics:
    """Published numbers of a set whose images are elsewhere."""

    place: str
    statistics: Mapping[str, Tensor]
    key: str
    about: Mapping[str, Any]
    notes: tuple[str, ...] = ()


Source = Images | Statistics
Opener = Callable[[Path, str], Images]
"""Makes a set of a run's directory and the name of an output."""


def open_source(place: str, registry: Registry, run: Opener, options: Mapping[str, Any]) -> Source:
    """What a user names.

    Args:
        place: a folder, a zip, an ``.npz`` or ``.pkl``, ``RUN`` or ``RUN#OUTPUT``, or ``DATA`` or ``DATA:SPLIT``.
        registry: which has the data sets.
        run: makes images of a run.
        options: of a data set by name.

    Raises:
        RequestError: in a sentence, where it is no such thing.
    """
    path, (before, _, output) = Path(place), place.partition("#")
    if not path.exists() and run_of(before):
        return run(Path(before), output or "sample")
    if run_of(place):
        return run(path, "sample")
    if path.is_dir():
        return _folder(path)
    if path.is_file():
        return _file(path)
    return _data(place, registry, options)


# -- files -------------------------------------------------------------------------------------------------


def _folder(path: Path) -> Images:
    found = sorted(file for file in path.rglob("*") if file.is_file() and not _hidden(file.relative_to(path)))
    files = [file for file in found if file.suffix.lower() in SUFFIXES]
    named = [str(file.relative_to(path).as_posix()) for file in files]
    return _files(str(path), named, [partial(file.open, "rb") for file in files], len(found), "folder")


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _file(path: Path) -> Source:
    if path.suffix.lower() in (".npz", ".pkl"):
        return _numbers(path)
    try:
        archive = ZipFile(path)
    except (BadZipFile, OSError) as error:
        raise RequestError(f"{path}: is neither a zip of images, an .npz nor a .pkl of statistics ({error})") from None
    found = sorted(name for name in archive.namelist() if not name.endswith("/") and not _hidden(Path(name)))
    names = [name for name in found if Path(name).suffix.lower() in SUFFIXES]
    return _files(str(path), names, [partial(archive.open, name) for name in names], len(found), "zip")


def _files(place: str, names: list[str], openers: list[Callable[[], Any]], found: int, kind: str) -> Images:
    if not names:
        raise RequestError(f"{place}: holds no images ({' '.join(SUFFIXES)})")

    def one(index: int) -> np.ndarray:
        try:
            with openers[index]() as file:
                return np.asarray(Image.open(file).convert("RGB"))
        except Exception as error:  # noqa: BLE001 - whatever a file that is none may cause
            why = said_of(error)
            raise RequestError(
                f"{place}: {names[index]} cannot be read as an image: {why}; repair or remove it"
            ) from None

    def read(begin: int, end: int) -> Decoded:
        with ThreadPoolExecutor(READERS) as pool:
            for start in range(begin, end, AHEAD):  # bounded: a pool would decode all there are
                yield from pool.map(one, range(start, min(start + AHEAD, end)))

    digest = hashlib.sha256()
    for name, opened in zip(names, openers, strict=True):
        with opened() as file:
            digest.update(f"{name}\0{hashlib.file_digest(file, 'sha256').hexdigest()}\n".encode())
    left = found - len(names)
    notes = (f"{place}: passed over {left:,} file{'s' * (left != 1)} that are no images",) if left else ()
    return Images(place, _stems(names), read, digest.hexdigest(), {"kind": kind}, notes)


def _stems(names: list[str]) -> tuple[str, ...]:
    """Names without their endings, for a PNG may be of a JPEG; with them, where two would be alike."""
    stems = tuple(name.rpartition(".")[0] for name in names)
    return stems if len(set(stems)) == len(stems) else tuple(names)


def _numbers(path: Path) -> Source:
    arrays = Arrays(path)
    statistics = statistics_in(arrays)
    about = {"kind": path.suffix[1:]}
    if images := images_in(arrays):
        names = tuple(f"{i:05d}" for i in range(images.count))
        return Images(str(path), names, images.read, arrays.key, about, statistics=statistics)
    if not statistics:
        raise RequestError(
            f"{path}: holds {', '.join(arrays.names) or 'nothing'}; expected images (arr_0, uint8, N x H x W x 3) or "
            "statistics (mu and sigma)"
        )
    return Statistics(str(path), statistics, arrays.key, about)


# -- data sets ---------------------------------------------------------------------------------------------


def _data(place: str, registry: Registry, options: Mapping[str, Any]) -> Images:
    name, _, split = place.partition(":")
    known = [entry.name for entry in registry.components("data")]
    if name.partition("/")[2] not in known and name not in known:
        near = did_you_mean(name, known, listed=False)
        said = "there is no such folder, zip, .npz, run, or data set by name"
        raise RequestError(f"{place}: {said}{near or '; data sets: zoo list data'}")
    entry = registry.find("data", name)
    values, problems = check_options(entry.signature, options)
    if problems:
        raise RequestError(f"{place}: data '{entry.name}' {problems[0].message}")
    if split not in ("", "train", "test"):
        raise RequestError(f"{place}: there is no split {split!r}; choices: test, train")
    try:
        images = entry.load()(**to_arguments(entry.signature, values))
    except (ValueError, OSError) as error:
        raise RequestError(f"{place}: {said_of(error)}") from None
    pixels: Tensor = getattr(images, split or "test")
    about = {"kind": "data", "data": entry.id, "split": split or "test", **{k: values[k] for k in sorted(values)}}
    return in_memory(place, lambda begin, end: pixels[begin:end], len(pixels), about, images.notes)


def of_pixels(place: str, given: Any) -> Images:
    """Images that are in memory, uint8 (N, C, H, W) or (N, H, W, C).

    Raises:
        RequestError: it is something else.
    """
    tensor = isinstance(given, Tensor | np.ndarray)
    pixels = torch.as_tensor(given) if tensor else torch.empty(0)
    last = pixels.ndim == 4 and pixels.shape[1] not in (1, 3)
    if pixels.dtype != torch.uint8 or pixels.ndim != 4 or pixels.shape[3 if last else 1] not in (1, 3):
        what = f"{pixels.dtype} {tuple(pixels.shape)}" if tensor else type(given).__name__
        raise RequestError(
            f"{place} is {what}; a set is a path, a name, or uint8 (N, C, H, W) or (N, H, W, C), C 1 or 3, which "
            "zoo.api.to_pixels makes of floats in [-1, 1]"
        )
    pixels = pixels.movedim(-1, 1).cpu() if last else pixels.cpu()
    return in_memory(place, lambda begin, end: pixels[begin:end], len(pixels), {"kind": "memory"})


def in_memory(
    place: str,
    part: Callable[[int, int], Tensor],
    count: int,
    about: Mapping[str, Any],
    notes: tuple[str, ...] = (),
    key: str = "",
) -> Images:
    """A set of pixels, of which ``part(begin, end)`` gives some, uint8 (B, C, H, W); known by them where no key is."""
    if not count:
        raise RequestError(f"{place}: has no images")

    def read(begin: int, end: int) -> Decoded:
        for start in range(begin - begin % AHEAD, end, AHEAD):  # the same parts wherever one begins
            stop = min(start + AHEAD, count)
            yield from _rgb(part(start, stop))[max(begin - start, 0) : end - start]

    if not key:
        digest = hashlib.sha256()
        for image in read(0, count):
            digest.update(image.tobytes())
        key = digest.hexdigest()
    return Images(place, tuple(f"{i:05d}" for i in range(count)), read, key, about, notes)


def _rgb(pixels: Tensor) -> np.ndarray:
    """uint8 (B, C, H, W) -> (B, H, W, 3)."""
    if pixels.shape[1] not in (1, 3):
        raise RequestError(f"images have {pixels.shape[1]} channels; scores are of gray or colour")
    return pixels.expand(-1, 3, -1, -1).movedim(1, -1).numpy()


def _stacked(images: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(images)).movedim(-1, 1).contiguous()
