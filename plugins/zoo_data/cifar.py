"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009), from the "python version" files."""

import tarfile
import zlib
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Literal

from torch import Tensor
from torchvision import datasets

from zoo import api
from zoo_data.bad import Bad
from zoo_data.decode import View
from zoo_data.files import check_md5, fetch, homes, look, missing
from zoo_data.listed import signature
from zoo_data.pack import first_images, pack_labels, pack_splits
from zoo_data.pickles import Batch, read_batch
from zoo_data.pixels import Size, check_common
from zoo_data.read import read
from zoo_data.sources import Items, Source

SIDE = 32
LARGEST_BATCH = 256 << 20
"""Bytes; the largest published one has 154 million."""
COUNTS = {"train": 50000, "test": 10000}
LABELS = {"cifar10": "labels", "cifar100": "fine_labels"}
"""What the files call the classes; a hundred of them lie in twenty coarse ones, which are not used."""
PAGE = "https://www.cs.toronto.edu/~kriz/cifar.html"


def cifar10(
    *,
    root: str = "data",
    size: Size = 32,
    channels: Literal[1, 3] = 3,
    train: int = 0,
    test: int = 0,
    resize: Literal["antialias", "published"] = "antialias",
    check: bool = True,
    download: bool = False,
) -> api.Examples:
    """60,000 colour photographs of ten kinds of things, 32 x 32, and which, in the publisher's order and split.

    Args:
        root: the directory that holds ``cifar-10-python.tar.gz`` or the folder ``cifar-10-batches-py`` in it.
        size: image side in pixels, or [height, width].
        channels: 3, or 1 (luma).
        train: how many training images, the first ones; 0 for all 50,000.
        test: how many test images, the first ones; 0 for all 10,000.
        resize: where ``size`` is not 32: ``antialias`` (bicubic), or ``published`` (bilinear from the four
            nearest pixels).
        check: compare the files with the published MD5 sums when packing.
        download: fetch the archive into ``root`` if it is not there (163 MiB).

    Raises:
        ValueError: for a value outside its range, or a file that is not what it should be.
        OSError: when a file is missing or cannot be read; when the cache cannot be written.
    """
    view = _view("cifar10", size, channels, resize)
    images = _images("cifar10", datasets.CIFAR10, root, view, check, download)
    return first_images(images, "cifar10", train=train, test=test)


def cifar100(
    *,
    root: str = "data",
    size: Size = 32,
    channels: Literal[1, 3] = 3,
    train: int = 0,
    test: int = 0,
    resize: Literal["antialias", "published"] = "antialias",
    check: bool = True,
    download: bool = False,
) -> api.Examples:
    """60,000 colour photographs of a hundred kinds of things, 32 x 32, and which, in the publisher's order and split.

    Args:
        root: the directory that holds ``cifar-100-python.tar.gz`` or the folder ``cifar-100-python`` in it.
        size: image side in pixels, or [height, width].
        channels: 3, or 1 (luma).
        train: how many training images, the first ones; 0 for all 50,000.
        test: how many test images, the first ones; 0 for all 10,000.
        resize: where ``size`` is not 32: ``antialias`` (bicubic), or ``published`` (bilinear from the four
            nearest pixels).
        check: compare the files with the published MD5 sums when packing.
        download: fetch the archive into ``root`` if it is not there (161 MiB).

    Raises:
        ValueError: for a value outside its range, or a file that is not what it should be.
        OSError: when a file is missing or cannot be read; when the cache cannot be written.
    """
    view = _view("cifar100", size, channels, resize)
    images = _images("cifar100", datasets.CIFAR100, root, view, check, download)
    return first_images(images, "cifar100", train=train, test=test)


def _ready(name: str, published: type[datasets.CIFAR10], *, root: str, download: bool) -> None:
    """Refuses where a file lacks that would not be fetched."""
    if not download:
        _place(name, published, root, download)


cifar10.ready = partial(_ready, "cifar10", datasets.CIFAR10)
cifar100.ready = partial(_ready, "cifar100", datasets.CIFAR100)
cifar10.read = read
cifar100.read = read


def _view(name: str, size: Size, channels: int, resize: str) -> View:
    check_common(name, size=size, channels=channels)
    return View(size, channels, "none", resize)


def _images(
    name: str, published: type[datasets.CIFAR10], root: str, view: View, check: bool, download: bool
) -> api.Examples:
    """Both splits; ``published`` names the files and their sums."""
    place = _place(name, published, root, download)
    lists = {"train": published.train_list, "test": published.test_list}
    sources = [_source(name, split, place, published.base_folder, lists[split], check) for split in lists]
    return pack_splits(*sources, view, workers=1, on_error="error")


def _place(name: str, published: type[datasets.CIFAR10], root: str, download: bool) -> Path:
    """The folder of batches, or the archive of it."""
    folders = homes(name, root)
    names = (published.base_folder, published.filename)
    place = look(folders, names)
    if place is None and download:
        return fetch(name, published.url, folders[0], published.filename, published.tgz_md5)
    if place is None:
        cure = f"put one there ({PAGE}, the python version), or set download to true"
        raise missing(name, folders, names, cure)
    return place


def _source(name: str, split: str, place: Path, folder: str, batches: list[list[str]], check: bool) -> Source:
    """One split: its batches (file, MD5) in the publisher's order."""
    files = [file for file, _ in batches]
    paths = [place / file for file in files] if place.is_dir() else [place]

    def whole() -> Iterator[tuple[str, Batch]]:
        read = partial(_read, name, place) if place.is_dir() else _unpacked(name, place, folder, files).__getitem__
        return ((file, _batch(name, file, read(file), md5 if check else "")) for file, md5 in batches)

    def items(start: int) -> Items:
        rows = ((file, row) for file, batch in whole() for row in batch.pixels)
        for position, (file, row) in islice(enumerate(rows), start, None):
            yield f"{file}[{position}]", row.reshape(3, SIDE, SIDE).transpose(1, 2, 0)

    def labels(_: Sequence[Bad]) -> Tensor:
        every = (label for _, batch in whole() for label in batch.labels)
        return pack_labels(name, split, COUNTS[split], lambda: every, identity)

    identity = [[path.name, *signature(path)] for path in paths] + [check]
    return Source(name, split, COUNTS[split], items, identity, f"images in {place}", {"label": labels})


def _batch(name: str, file: str, content: bytes, md5: str) -> Batch:
    """Pixels uint8 (N, 3072): all red, all green, all blue, each row by row; and a label of each."""
    if md5:
        check_md5(name, file, content, md5)
    try:
        batch = read_batch(content, LABELS[name])
    except ValueError as error:
        raise ValueError(f"{name}: {file} cannot be read: {error}.") from None
    if batch.pixels.ndim != 2 or batch.pixels.shape[1] != 3 * SIDE * SIDE:
        raise ValueError(f"{name}: {file} holds an array {batch.pixels.shape}, not rows of 3 x 32 x 32 bytes.")
    if len(batch.labels) != len(batch.pixels):
        raise ValueError(f"{name}: {file} holds {len(batch.pixels):,} images and {len(batch.labels):,} labels.")
    return batch


def _read(name: str, folder: Path, file: str) -> bytes:
    try:
        return (folder / file).read_bytes()
    except OSError as error:
        raise OSError(f"{name}: {folder / file} cannot be read ({error.strerror}); fetch the archive again.") from None


def _unpacked(name: str, archive: Path, folder: str, files: list[str]) -> dict[str, bytes]:
    """Batches out of the archive, by exact name and into memory: nothing is extracted, so nothing can escape."""
    wanted = {f"{folder}/{file}": file for file in files}
    contents: dict[str, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isreg() and member.name in wanted else None
                if content is not None and member.size <= LARGEST_BATCH:
                    contents[wanted[member.name]] = content.read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{name}: {archive} is damaged or cut short ({error}); fetch it again.") from None
    except OSError as error:  # gzip's own BadGzipFile too
        raise OSError(f"{name}: {archive} cannot be read ({error.strerror or error}); fetch it again.") from None
    if lacking := [member for member, file in wanted.items() if file not in contents]:
        raise ValueError(f"{name}: {archive} holds no file {', '.join(lacking)}; fetch it again.")
    return contents
