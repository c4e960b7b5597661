"""MNIST (LeCun, Cortes & Burges 1998) and Fashion-MNIST (Xiao, Rasul & Vollgraf 2017), from IDX files."""

import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Literal, cast

import numpy as np
import torch
from PIL import Image
from torchvision.datasets import FashionMNIST

from zoo import api
from zoo_data.files import fetch, user_path
from zoo_data.pixels import Size, allocate, check_common, resized, sides_of
from zoo_data.read import read

DEBIAN = "/usr/share/datasets/fashion-mnist"
"""Where Debian's and Ubuntu's package dataset-fashion-mnist puts the files."""

FETCHED = "data/fashion-mnist"
"""Where they are downloaded to."""

MNIST = ("/usr/share/datasets/mnist", "data/MNIST/raw", "data/mnist")
"""Where a distribution's package and torchvision put the files of MNIST."""

SPLITS = {"train": "train", "test": "t10k"}
SIDE = 28
IMAGES, LABELS = 0x0803, 0x0801
"""Magic numbers of IDX files (LeCun, "The MNIST database"): 08 unsigned bytes, 03 or 01 dimensions."""
CHUNK = 1 << 20


def fashion_mnist(
    *,
    path: str = "",
    size: Size = 32,
    channels: Literal[1, 3] = 1,
    train: int = 60000,
    test: int = 10000,
    fit: Literal["pad", "resize"] = "pad",
    download: bool = False,
) -> api.Examples:
    """Clothes in grey, light on black, 28 x 28, and their kinds, in the publisher's order and split.

    Args:
        path: the directory of the four IDX files (``train-images-idx3-ubyte`` and so on, plain or ``.gz``);
            empty for where Debian's package ``dataset-fashion-mnist`` puts them, else ``data/fashion-mnist``.
        size: image side in pixels, or [height, width].
        channels: 1, or 3 equal ones.
        train: how many training images, the first ones of the file.
        test: how many test images, the first ones of the file.
        fit: ``pad`` centres the 28 x 28 pixels, untouched, on black; ``resize`` makes them fill the image
            (bicubic). Sizes below 28 are resized (antialiased) either way.
        download: fetch files that are not there into ``path``, or ``data/fashion-mnist`` (29 MiB).

    Raises:
        ValueError: for a value outside its range, or a file that is not what it should be.
        OSError: when a file is missing or cannot be read.
    """
    check_common("fashion-mnist", size=size, channels=channels, seed=0)
    return _both("fashion-mnist", _folder(path, download), {"train": train, "test": test}, size, channels, fit)


def mnist(
    *,
    path: str = "",
    size: Size = 32,
    channels: Literal[1, 3] = 1,
    train: int = 60000,
    test: int = 10000,
    fit: Literal["pad", "resize"] = "pad",
) -> api.Examples:
    """Handwritten digits in grey, light on black, 28 x 28, labelled, in the publisher's order and split, from files.

    Args:
        path: the directory of the four IDX files (``train-images-idx3-ubyte`` and so on, plain or ``.gz``), or one that
            torchvision downloaded to; empty for ``/usr/share/datasets/mnist``, ``data/MNIST/raw`` or ``data/mnist``.
        size: image side in pixels, or [height, width].
        channels: 1, or 3 equal ones.
        train: how many training images, the first ones of the file.
        test: how many test images, the first ones of the file.
        fit: ``pad`` centres the 28 x 28 pixels, untouched, on black; ``resize`` makes them fill the image
            (bicubic). Sizes below 28 are resized (antialiased) either way.

    Raises:
        ValueError: for a value outside its range, or a file that is not what it should be.
        OSError: when a file is missing or cannot be read.
    """
    check_common("mnist", size=size, channels=channels, seed=0)
    return _both("mnist", _mnist_folder(path), {"train": train, "test": test}, size, channels, fit)


def _both(name: str, folder: Path, first: dict[str, int], size: Size, channels: int, fit: str) -> api.Examples:
    read = {split: _read_split(name, folder, split, first[split]) for split in SPLITS}
    train, test = (_packed(name, images, size, channels, fit) for images, _ in read.values())
    labels = [torch.from_numpy(labels) for _, labels in read.values()]
    return api.Examples(train, test, fields={"label": (labels[0], labels[1])})


def _ready(*, path: str, download: bool) -> None:
    """Refuses where a file lacks that would not be fetched."""
    for name, _ in () if download else FashionMNIST.resources:
        _file("fashion-mnist", _folder(path, download), name.removesuffix(".gz"))


def _mnist_ready(*, path: str) -> None:
    """Refuses where a file lacks."""
    for name, _ in FashionMNIST.resources:
        _file("mnist", _mnist_folder(path), name.removesuffix(".gz"))


fashion_mnist.ready, mnist.ready = _ready, _mnist_ready


def _mnist_folder(path: str) -> Path:
    """Where the files are, or are to be."""
    places = [user_path(path), user_path(path) / "MNIST/raw"] if path else [*map(Path, MNIST)]
    name = f"{SPLITS['train']}-images-idx3-ubyte"
    return next(
        (place for place in places if any((place / f"{name}{end}").is_file() for end in ("", ".gz"))), places[0]
    )


def _folder(path: str, download: bool) -> Path:
    """Where the files are, or are to be."""
    places = [user_path(path)] if path else [Path(DEBIAN), Path(FETCHED)]
    folder = next((place for place in places if place.is_dir()), places[0] if not download else places[-1])
    if download:
        for name, md5 in FashionMNIST.resources:
            if not any((folder / there).is_file() for there in (name, name.removesuffix(".gz"))):
                fetch("fashion-mnist", FashionMNIST.mirrors[0] + name, folder, name, md5)
    return folder


def _read_split(name: str, folder: Path, split: str, first: int) -> tuple[np.ndarray, np.ndarray]:
    """The first images of a split, uint8 (N, 28, 28), and their labels, uint8 (N,)."""
    file = _file(name, folder, f"{SPLITS[split]}-images-idx3-ubyte")
    images = read_idx(file, IMAGES, name)
    if images.shape[1:] != (SIDE, SIDE):
        raise ValueError(f"{name}: {file} holds images of {_by(images.shape[1:])}, not 28 x 28.")
    beside = _file(name, folder, f"{SPLITS[split]}-labels-idx1-ubyte")
    labels = read_idx(beside, LABELS, name)
    if len(labels) != len(images):
        raise ValueError(
            f"{name}: {file.name} holds {len(images):,} images and {beside.name} {len(labels):,} labels; "
            f"the files in {folder} are not of one set, fetch them again."
        )
    if not 1 <= first <= len(images):
        raise ValueError(f"{name}: option '{split}' is {first}; {file} holds {len(images):,}, choose from 1 to that.")
    return images[:first], labels[:first]


def _file(name: str, folder: Path, file: str) -> Path:
    """A file of a set, plain or compressed."""
    for path in (folder / file, folder / f"{file}.gz"):
        if path.is_file():
            return path
    cure = "give option 'path', the directory of its files"
    if name == "fashion-mnist":
        cure = f"install it (apt install dataset-fashion-mnist), {cure}, or set download to true"
    raise FileNotFoundError(f"{name}: neither {file} nor {file}.gz is in {folder}; {cure}.")


def read_idx(path: Path, magic: int, name: str = "fashion-mnist") -> np.ndarray:
    """An IDX file of unsigned bytes, its length checked against what it says of itself.

    Args:
        path: the file, gzip-compressed where its name ends in ``.gz``.
        magic: what its first four bytes must be; the last of them is the number of dimensions.
        name: of the set, for a sentence.

    Returns:
        uint8, of the dimensions the file says.

    Raises:
        ValueError: naming the file, if its magic number, length or compression is wrong.
        OSError: if it cannot be read.
    """
    try:
        with cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
            return _read(file, path, magic, name)
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{name}: {path} is damaged ({error}); fetch it again.") from None
    except EOFError:
        raise ValueError(f"{name}: {path} is truncated; fetch it again.") from None
    except OSError as error:
        raise OSError(f"{name}: {path} cannot be read: {error.strerror or error}.") from None


def _read(file: BinaryIO, path: Path, magic: int, name: str) -> np.ndarray:
    rank = magic & 0xFF
    header = file.read(4 + 4 * rank)
    if len(header) >= 4 and (there := int.from_bytes(header[:4], "big")) != magic:
        raise ValueError(
            f"{name}: {path} begins with {there:#010x}, not {magic:#010x}: it is not the IDX file of that name."
        )
    if len(header) < 4 + 4 * rank:
        raise ValueError(f"{name}: {path} is truncated in its header; fetch it again.")
    shape: tuple[int, ...] = struct.unpack(f">{rank}I", header[4:])
    content = _content(file, expected := int(np.prod(shape, dtype=object)))
    if len(content) != expected:
        what = "is truncated" if len(content) < expected else "is longer than it says"
        raise ValueError(f"{name}: {path} {what}: its header promises {_by(shape)} bytes; fetch it again.")
    return np.frombuffer(content, np.uint8).reshape(shape)


def _content(file: BinaryIO, expected: int) -> bytearray:
    """Reads a little more of a file than is expected: what a damaged header promises is never allocated."""
    content = bytearray()
    while len(content) <= expected and (chunk := file.read(CHUNK)):
        content += chunk
    return content


def _padded(size: Size, fit: str) -> bool:
    return fit == "pad" and min(sides_of(size)) >= SIDE


def _packed(name: str, images: np.ndarray, size: Size, channels: int, fit: str) -> torch.Tensor:
    """uint8 (N, 28, 28) to (N, C, H, W)."""
    pixels = allocate(name, len(images), channels, size)
    if _padded(size, fit):
        top, left = ((side - SIDE) // 2 for side in sides_of(size))
        pixels.fill(0)
        pixels[:, :, top : top + SIDE, left : left + SIDE] = images[:, None]
    else:
        for row, image in enumerate(images):
            pixels[row] = resized(Image.fromarray(image), size)  # (1, H, W) fills every channel
    return torch.from_numpy(pixels)


def _read_images(
    images: Sequence[str | Path | Image.Image], *, size: Size, channels: int, fit: str
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Images of a user's in grey, padded where the set is."""
    pad = _padded(size, fit)
    pixels, notes = read(images, size=SIDE if pad else size, channels=1)
    return (
        _packed("images", pixels[:, 0].numpy(), size, channels, fit) if pad else pixels.expand(-1, channels, -1, -1)
    ), notes


fashion_mnist.read = mnist.read = _read_images


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(f"{side:,}" for side in shape)
