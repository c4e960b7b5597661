"""Sources to pack: the images of a split in a fixed order, and an identity that another version of them has not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo_data.bad import printable
from zoo_data.decode import Content
from zoo_data.listed import File, signature

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
    """

    name: str
    split: str
    count: int
    items: Callable[[int], Items]
    identity: Any
    where: str


def files_source(name: str, split: str, root: Path, names: list[str]) -> Source:
    """Image files by their names below ``root``."""

    identity = [[inside, *signature(root / inside)] for inside in names]

    def items(start: int) -> Items:
        return ((inside, File(root / inside, listed)) for inside, *listed in identity[start:])

    return Source(name, split, len(names), items, identity, f"files in {printable(str(root))}")


def how_many(name: str, option: str, wanted: int, there: int) -> int:
    """How many images an option asks for, of those there are; 0 means all.

    Raises:
        ValueError: where there are not so many.
    """
    if not 0 <= wanted <= there:
        raise ValueError(f"{name}: option '{option}' is {wanted}; choose from 1 to {there:,}, or 0 for all of them.")
    return wanted or there
