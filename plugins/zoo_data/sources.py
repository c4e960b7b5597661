"""Sources to pack: the images of a split in a fixed order, and an identity that another version of them has not."""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

from torch import Tensor

from zoo_data.bad import Bad, printable
from zoo_data.decode import Content
from zoo_data.listed import File, content, signature

LARGEST_FILE = 64 << 20
"""Bytes of an image in an archive."""

Items = Iterator[tuple[str, Content]]


@dataclass(frozen=True)
class Source:
    """One split of a data set, not yet read.

    Args:
        name: of the data set.
        split: of it.
        count: how many images to expect; for the progress bar and the room on the disk.
        items: images from a position on, as (name, content), always in the same order.
        identity: plain data that changes when an image does: names, sizes and times of files.
        where: what the images are, and where: ``files in DIRECTORY``.
        fields: what else there is of each image, by name: a function of the bad ones that gives it for the others,
            (N, ...).
    """

    name: str
    split: str
    count: int
    items: Callable[[int], Items]
    identity: Any
    where: str
    fields: Mapping[str, Callable[[Sequence[Bad]], Tensor]] = field(default_factory=dict)


def files_source(name: str, split: str, root: Path, names: list[str]) -> Source:
    """Image files by their names below ``root``."""

    listed = [[inside, *signature(root / inside)] for inside in names]
    identity = [os.path.realpath(root), content([root / inside for inside in names]), listed]

    def items(start: int) -> Items:
        return ((inside, File(root / inside, known)) for inside, *known in listed[start:])

    return Source(name, split, len(names), items, identity, f"files in {printable(str(root))}")


def of_good(values: Tensor, names: Iterable[str], bad: Sequence[Bad]) -> Tensor:
    """Values of images by name, (N, ...), without those of the bad ones."""
    lost = {one.name for one in bad}
    return values[[number for number, name in enumerate(names) if name not in lost]] if lost else values


def zipped(archive: ZipFile, inside: str, name: str) -> Content:
    """Reads an image of an archive by its exact name into memory: nothing is extracted, so nothing can escape."""
    try:
        member = archive.getinfo(inside)
        if member.file_size > LARGEST_FILE:
            return Bad(name, f"more than {LARGEST_FILE >> 20} MiB")
        return archive.read(member)
    except KeyError:
        return Bad(name, "missing from the archive")
    except (BadZipFile, zlib.error, EOFError, ValueError, RuntimeError, NotImplementedError) as error:
        return Bad(name, f"damaged in the archive: {error}")


def how_many(name: str, option: str, wanted: int, there: int) -> int:
    """How many images an option asks for, of those there are; 0 means all.

    Raises:
        ValueError: where there are not so many.
    """
    if not 0 <= wanted <= there:
        raise ValueError(f"{name}: option '{option}' is {wanted}; choose from 1 to {there:,}, or 0 for all of them.")
    return wanted or there
