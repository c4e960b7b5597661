"""Street View House Numbers (Netzer et al. 2011), cropped digits, from the publisher's MATLAB files."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor
from torchvision.datasets import SVHN

from zoo import api
from zoo_data.bad import Bad
from zoo_data.decode import View
from zoo_data.files import check_md5, fetch, homes, look, missing
from zoo_data.listed import signature
from zoo_data.mat import OtherArrayError, read_array
from zoo_data.pack import first_images, pack_labels, pack_splits
from zoo_data.pixels import Size, check_common
from zoo_data.read import read
from zoo_data.sources import Items, Source

SIDE = 32
COUNTS = {"train": 73257, "extra": 531131, "test": 26032}
FILES = {"train": ("train",), "extra": ("extra",), "both": ("train", "extra")}
"""Option ``train_on`` -> the publisher's parts."""
PAGE = "http://ufldl.stanford.edu/housenumbers"


def svhn(
    *,
    root: str = "data",
    size: Size = 32,
    channels: Literal[1, 3] = 3,
    train_on: Literal["train", "extra", "both"] = "train",
    train: int = 0,
    test: int = 0,
    resize: Literal["antialias", "published"] = "antialias",
    check: bool = True,
    download: bool = False,
) -> api.Examples:
    """Colour photographs of house numbers, 32 x 32, of the digit in the centre, in the publisher's order and split.

    Args:
        root: the directory that holds ``train_32x32.mat``, ``extra_32x32.mat`` and ``test_32x32.mat``.
        size: image side in pixels, or [height, width].
        channels: 3, or 1 (luma).
        train_on: ``train`` (73,257 images), the easier ``extra`` (531,131; the AVAE paper's), or ``both``.
        train: how many training images, the first ones; 0 for all.
        test: how many test images, the first ones; 0 for all 26,032.
        resize: where ``size`` is not 32: ``antialias`` (bicubic), or ``published`` (bilinear from the four
            nearest pixels).
        check: compare the files with the published MD5 sums when packing.
        download: fetch files that are not there into ``root`` (174 MiB, extra 1.2 GiB, test 61 MiB).

    Raises:
        ValueError: for a value outside its range, or a file that is not what it should be.
        OSError: when a file is missing or cannot be read; when the cache cannot be written.
    """
    check_common("svhn", size=size, channels=channels)
    splits = {train_on: FILES[train_on], "test": ("test",)}
    places = {part: _place(part, root, download) for parts in splits.values() for part in parts}
    sources = [_source(split, {part: places[part] for part in parts}, check) for split, parts in splits.items()]
    images = pack_splits(*sources, View(size, channels, "none", resize), workers=1, on_error="error")
    return first_images(images, "svhn", train=train, test=test)


def _ready(*, root: str, train_on: str, download: bool) -> None:
    """Refuses where a file lacks that would not be fetched."""
    for part in (*FILES[train_on], "test"):
        if not download:
            _place(part, root, download)


svhn.ready = _ready
svhn.read = read


def _place(part: str, root: str, download: bool) -> Path:
    url, name, md5 = SVHN.split_list[part]
    folders = homes("svhn", root)
    if place := look(folders, [name]):
        return place
    if download:
        return fetch("svhn", url, folders[0], name, md5)
    raise missing("svhn", folders, [name], f"put it there ({PAGE}, Format 2), or set download to true")


def _source(split: str, places: dict[str, Path], check: bool) -> Source:
    """One split, of one file or of two, one after the other."""

    def items(start: int) -> Items:
        position = 0
        for part, path in places.items():
            pixels = read_mat(path, SVHN.split_list[part][2] if check else "", COUNTS[part])
            for index in range(pixels.shape[3]):
                if position >= start:
                    yield f"{path.name}[{index}]", pixels[..., index]
                position += 1

    def classes() -> Iterator[int]:
        for part, path in places.items():
            md5 = SVHN.split_list[part][2] if check else ""
            # 10 is the digit 0
            yield from (int(label) % 10 for label in read_mat(path, md5, COUNTS[part], "y", (), (1,))[:, 0])

    def labels(_: Sequence[Bad]) -> Tensor:
        return pack_labels("svhn", split, count, classes, identity)

    count = sum(COUNTS[part] for part in places)
    identity = [[path.name, *signature(path)] for path in places.values()] + [check]
    where = f"images in {' and '.join(map(str, places.values()))}"
    return Source("svhn", split, count, items, identity, where, {"label": labels})


def read_mat(
    path: Path,
    md5: str,
    most: int,
    name: str = "X",
    before: tuple[int, ...] = (SIDE, SIDE, 3),
    behind: tuple[int, ...] = (),
) -> np.ndarray:
    """An array in one of SVHN's files, uint8 (*before, N, *behind), N at most ``most``: its pixels ``X``, or ``y``.

    Raises:
        ValueError: if the file is damaged or not one of these; where ``md5`` is given and not the file's.
        OSError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            if md5:
                check_md5("svhn", str(path), file, md5)
    except OSError as error:
        raise OSError(f"svhn: {path} cannot be read: {error.strerror}.") from None
    try:
        found = read_array(path, name, most, before, behind)
    except OtherArrayError:
        what = f"{' x '.join(map(str, (*before, 'N', *behind)))} bytes, of {most:,} images at most"
        raise ValueError(f"svhn: {path} holds an '{name}' that is no array of {what}; fetch it again.") from None
    except ValueError as error:
        raise ValueError(f"svhn: {path} is damaged or cut short ({error}); fetch it again.") from None
    if found is None:
        raise ValueError(f"svhn: {path} holds no array '{name}': it is not the file of that name; fetch it again.")
    return found
