"""Checks of data."""

from __future__ import annotations

from typing import Any

import torch

from zoo.recipe.schema import Part
from zoo.registry import check_options
from zoo.testing.arrays import equal, sides
from zoo.testing.common import refused, settled, untouched
from zoo.testing.core import Body, Case, require
from zoo.types import Images

SIDES = (16, 8)


class Data:
    """A source of images, asked for some of a size."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __str__(self) -> str:
        return str(self.case)

    def load(self, side: int = SIDES[0]) -> Any:
        """Its images of a side, or of the side that the example of options says."""
        names = [option.name for option in self.case.entry.signature.options]
        size = {"size": side} if "size" in names and "size" not in self.case.given else {}
        options, _ = check_options(self.case.entry.signature, {**self.case.given, **size})
        part = Part(self.case.entry.name, self.case.entry, options, self.case.part.position)
        return refused(self.case, lambda: part.load()(**part.arguments_for()), "had here")


def sizes(data: Data) -> None:
    """It has the options 'size' and 'channels', which recipes set."""
    names = [option.name for option in data.case.entry.signature.options]
    missing = [name for name in ("size", "channels") if name not in names]
    told = f"{data} has no option {' and '.join(map(repr, missing))}"
    require(not missing, f"{told}, which every data needs: add 'size: int = 32' and 'channels: Literal[1, 3] = 3'")


def shapes(data: Data) -> None:
    """It gives uint8 (N, C, H, W) of the sizes asked for, at two sizes, with images for training and for test."""
    for side in SIDES:
        given = data.load(side)
        require(isinstance(given, Images), f"{data} gives {type(given).__name__}; return api.Images(train, test)")
        asked = data.case.given.get("size", side)
        for split, pixels in (("training", given.train), ("test", given.test)):
            require(pixels.ndim == 4 and len(pixels), f"{data} gives {sides(pixels.shape)} as {split} images")
            told = f"{data} gives {split} images of {sides(pixels.shape[1:])}"
            channels = data.case.options.get("channels", pixels.shape[1])
            require(pixels.shape[1:] == (channels, asked, asked), f"{told}, asked for {channels} x {asked} x {asked}")


def dtype(data: Data) -> None:
    """Pixels are packed: uint8, 0 to 255."""
    given = data.load()
    kinds = {str(pixels.dtype) for pixels in (given.train, given.test)} - {str(torch.uint8)}
    require(not kinds, f"{data} gives {' and '.join(kinds)}; uint8 of 0 to 255 is promised (api.to_pixels makes it)")


def splits(data: Data) -> None:
    """Test images are not training images."""
    given = data.load()
    seen = {row.contiguous().numpy().tobytes() for row in given.train}
    twice = sum(row.contiguous().numpy().tobytes() in seen for row in given.test)
    told = f"{twice} of the {len(given.test)} test images of {data} are training images too"
    require(2 * twice <= len(given.test), f"{told}; hold the test images out before anything else is done")


def determinism(data: Data) -> None:
    """The same options give the same images again."""
    first, second = data.load(), data.load()
    same = equal([first.train, first.test], [second.train, second.test])
    require(same, f"{data} gives other images the second time; sort what the disk lists, and seed what is drawn")


def no_global_side_effect(data: Data) -> None:
    """Loading changes nothing that belongs to the whole process, random numbers included."""
    load = settled(data.load)
    with untouched(data.case, "it loads"):
        load()


BATTERY: tuple[Body, ...] = (sizes, shapes, dtype, splits, determinism, no_global_side_effect)


def battery(_: Case) -> tuple[Body, ...]:
    """The checks of data."""
    return BATTERY
