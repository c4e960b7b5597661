"""CelebA (Liu et al. 2015), the aligned and cropped faces, 178 x 218, from the publisher's archive or its folder."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile, ZipFile

import torch
from torch import Tensor
from torchvision.datasets import CelebA

from zoo import api
from zoo_data.bad import Bad
from zoo_data.decode import View
from zoo_data.fields import SEEN
from zoo_data.files import check_md5, homes, look, missing
from zoo_data.listed import signature
from zoo_data.pack import pack_splits
from zoo_data.pixels import Size, check_common
from zoo_data.read import read
from zoo_data.sources import Items, Source, files_source, how_many, of_good, zipped

ARCHIVE, FOLDER, PARTITION = "img_align_celeba.zip", "img_align_celeba", "list_eval_partition.txt"
TABLE = "list_eval_partition.csv"
"""The partition file as Kaggle has it, whose folder of images lies in another of its name."""
ATTRIBUTES, ATTRIBUTE_TABLE = "list_attr_celeba.txt", "list_attr_celeba.csv"
"""What can be seen in each face, as the publisher and as Kaggle have it."""
MD5 = {name: md5 for _, md5, name in CelebA.file_list}
PAGE = "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
LINE = re.compile(r"([\w-]+\.(?:jpg|jpeg|png))(?: +|,)([012])")
"""A line of the partition file: a name, and 0 for training, 1 for validation, 2 for test."""


def celeba(
    *,
    root: str = "data",
    size: Size = 64,
    channels: Literal[1, 3] = 3,
    crop: int | Literal["none", "paper"] = 178,
    split: Literal["official", "paper"] = "official",
    train: int = 0,
    test: int = 0,
    resize: Literal["antialias", "published"] = "antialias",
    check: bool = True,
    on_error: Literal["error", "skip"] = "error",
    workers: int = 0,
) -> api.Examples:
    """202,599 faces, aligned on the eyes, 178 pixels wide and 218 high, in the publisher's order; and of each, where
    anything asks for ``attributes``, which of 40 can be seen, from ``list_attr_celeba.txt`` or Kaggle's ``.csv``.

    Its publisher allows no direct download: fetch the two files by hand, they are named where they are missing.

    Args:
        root: the directory that holds ``list_eval_partition.txt`` and ``img_align_celeba.zip``, or the folder
            ``img_align_celeba``; a folder ``celeba`` in it will do. Kaggle's ``list_eval_partition.csv`` and
            ``img_align_celeba/img_align_celeba`` will, too.
        size: image side in pixels, or [height, width].
        channels: 3, or 1 (luma).
        crop: the shorter side of a central part, in pixels: 178 is the whole width, 148 and 108 are in use too;
            ``paper`` takes the central 0.6 of each side (108 x 132) and squeezes it, as the AVAE paper does;
            ``none`` squeezes the whole image.
        split: ``official``: the publisher's training and test images (162,770 and 19,962), those for validation
            are not used; ``paper``: the first nine tenths for training, the last for test.
        train: how many training images, the first ones; 0 for all.
        test: how many test images, the first ones; 0 for all.
        resize: ``antialias`` (bicubic), or ``published`` (bilinear from the four nearest pixels).
        check: compare the archive and the partition file with the published MD5 sums when packing.
        on_error: stop with an ``error`` where an image cannot be read, or ``skip`` it and name it in the notes.
        workers: processes that decode; 0 for one a core, at most 8; 1 for none but this one.

    Raises:
        ValueError: for a value outside its range, a damaged file, or (``error``) a bad image.
        OSError: when a file is missing or cannot be read; when the cache cannot be written.
    """
    check_common("celeba", size=size, channels=channels, crop=crop)
    place, partition = _places(root=root)
    names = split_names(partition, split, check)
    wanted = {"train": train, "test": test}
    first = {part: names[part][: how_many("celeba", part, wanted[part], len(names[part]))] for part in names}
    sources = [
        replace(_source(f"{split}-{part}", place, own, check), fields={"attributes": partial(_seen, root, own, check)})
        for part, own in first.items()
    ]
    view = View(size, channels, crop, resize)
    return pack_splits(*sources, view, workers=workers, on_error=on_error)


def _places(*, root: str) -> tuple[Path, Path]:
    """The images and the partition file; refuses where one lacks."""
    folders = homes("celeba", root)
    cure = (
        f"fetch {ARCHIVE} and {PARTITION} by hand from {PAGE} (Align&Cropped Images; Train/Val/Test Partitions) "
        f"and put both into {folders[0]}"
    )
    place = look(folders, [FOLDER, ARCHIVE])
    partition = look(folders, [PARTITION, TABLE])
    if place is not None and (place / FOLDER).is_dir():
        place = place / FOLDER
    if place is None:
        raise missing("celeba", folders, [ARCHIVE, FOLDER], cure)
    if partition is None:
        raise missing("celeba", folders, [PARTITION], cure)
    return place, partition


celeba.ready = _places
celeba.read = read


def _lines(place: Path, check: bool) -> Iterable[tuple[int, str]]:
    """The lines of a text of the publisher's, counted from 1; its own file's checksum is looked at, if asked."""
    try:
        content = place.read_bytes()
    except OSError as error:
        raise OSError(f"celeba: {place} cannot be read: {error.strerror}.") from None
    if check and place.name in (PARTITION, ATTRIBUTES):
        check_md5("celeba", str(place), content, MD5[place.name])
    return enumerate(content.decode("ascii", "replace").splitlines(), 1)


def split_names(partition: Path, split: str, check: bool) -> dict[str, list[str]]:
    """Image names for ``train`` and for ``test``, in the publisher's order.

    Raises:
        ValueError: if the partition file is damaged.
        OSError: if it cannot be read.
    """
    parts: dict[str, list[str]] = {"0": [], "1": [], "2": []}
    everything = []
    for number, line in _lines(partition, check):
        if number == 1 and line == "image_id,partition":
            continue
        if not (match := LINE.fullmatch(line.strip())):
            raise ValueError(f"celeba: {partition}:{number}: {line[:60]!r} is not 'NAME.jpg' and 0, 1 or 2.")
        parts[match[2]].append(match[1])
        everything.append(match[1])
    if split == "official":
        return {"train": parts["0"], "test": parts["2"]}
    border = len(everything) * 9 // 10
    return {"train": everything[:border], "test": everything[border:]}


def _seen(root: str, names: Sequence[str], check: bool, bad: Sequence[Bad]) -> Tensor:
    """Which attributes can be seen in each good image of these, uint8 (N, 40)."""
    folders = homes("celeba", root)
    place = look(folders, [ATTRIBUTES, ATTRIBUTE_TABLE])
    if place is None:
        cure = f"fetch it by hand from {PAGE} (Attributes Annotations) and put it there"
        raise missing("celeba", folders, [ATTRIBUTES, ATTRIBUTE_TABLE], cure)
    return of_good(read_attributes(place, names, check), names, bad)


def read_attributes(place: Path, names: Sequence[str], check: bool) -> Tensor:
    """A file's attributes of some images, uint8 (N, 40), 1 for what can be seen.

    Raises:
        ValueError: if it is damaged, or an image is not in it.
        OSError: if it cannot be read.
    """
    wanted, rows = {*names}, dict[str, list[bool]]()
    for number, line in _lines(place, check):
        name, *values = line.replace(",", " ").split() or [""]
        if not name.endswith((".jpg", ".jpeg", ".png")):
            continue  # how many there are, and the attributes' names
        if len(values) != SEEN or not {*values} <= {"1", "-1", "0"}:
            raise ValueError(f"celeba: {place}:{number}: {line[:60]!r} is not 'NAME.jpg' and {SEEN} times 1 or -1.")
        if name in wanted:
            rows[name] = [value == "1" for value in values]
    if lacking := next((name for name in names if name not in rows), None):
        raise ValueError(f"celeba: {place} says nothing of {lacking}; fetch it again.")
    return torch.tensor([rows[name] for name in names], dtype=torch.uint8)


def _source(split: str, place: Path, names: list[str], check: bool) -> Source:
    if place.is_dir():
        return files_source("celeba", split, place, names)

    def items(start: int) -> Items:
        with _archive(place, check) as archive:
            for name in names[start:]:
                yield name, zipped(archive, f"{FOLDER}/{name}", name)

    identity = [place.name, *signature(place), check, names]
    return Source("celeba", split, len(names), items, identity, f"images in {place}")


def _archive(path: Path, check: bool) -> ZipFile:
    try:
        if check:
            with path.open("rb") as file:
                check_md5("celeba", str(path), file, MD5[ARCHIVE])
        return ZipFile(path)
    except BadZipFile as error:
        raise ValueError(f"celeba: {path} is damaged or cut short ({error}); fetch it again.") from None
    except OSError as error:
        raise OSError(f"celeba: {path} cannot be read: {error.strerror or error}.") from None
