"""Checks of what gives images and what changes them: data and augmentations."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from zoo.api import IMAGE
from zoo.data.batches import lent
from zoo.data.fields import check_field
from zoo.draws import TicketDraw
from zoo.recipe.data_fields import Sizes
from zoo.recipe.resolve import Reader
from zoo.recipe.schema import Part
from zoo.recipe.sets import fields_of
from zoo.recipe.yaml.read import read, write
from zoo.registry import check_options
from zoo.testing.arrays import CPU, GivesTensors, close, equal, images, sides
from zoo.testing.core import Component, require
from zoo.types import Images

SIDES, LARGER = (16, 8), (16, 32)
"""Of the images that data are asked for, and of those that are augmented."""
BATCHES = (1, 4)


class Data(Component):
    """A source of images, asked for some of a size."""

    def load(self, side: int = SIDES[0]) -> Any:
        """Its images of a side, or of the side that the example of options says."""

        def had() -> Any:
            part = self._sized(side)
            return part.load()(**part.arguments_for(), **lent(part))

        return self.refused(had, "had here")

    def _sized(self, side: int) -> Part:
        """It, with images of a side, where it has such an option; both sides, where that has two."""
        sizes = [option.default for option in self.entry.signature.options if option.name == "size"]
        size = {"size": [side, side] if isinstance(sizes[0], tuple | list) else side} if sizes else {}
        options, _ = check_options(self.entry.signature, {**size, **self.given})
        if not self.entry.signature.needs:
            return Part(self.name, self.entry, options, self.part.position)
        reader = Reader(read(write({"data": {"use": self.entry.id, **options}}), "contract"), self.bench.registry)
        found = reader.sets()
        if not found:
            raise ValueError("; ".join(problem.message for problem in reader.problems))
        return found[""]

    def use(self) -> None:
        """Loads its images."""
        self.load()

    def _plain(self) -> bool:
        """Whether its first field is what data brings that says nothing: images of a size that a recipe sets."""
        fields = self.entry.part.fields
        said = isinstance(fields, str) or next(iter(fields.values())) == IMAGE
        return said and not self.entry.signature.needs

    def check_sizes(self) -> None:
        """If it has images of a size that recipes set, it has the options 'size' and 'channels'."""
        if not self._plain():
            return
        options = [option.name for option in self.entry.signature.options]
        missing = " and ".join(repr(name) for name in ("size", "channels") if name not in options)
        cure = "add 'size: int = 32' and 'channels: Literal[1, 3] = 3'"
        self.require(not missing, f"has no option {missing}, which every data needs: {cure}")

    def check_shapes(self) -> None:
        """Images have the sizes asked for, at two sizes; there are some for training and for test."""
        for side in SIDES if self._plain() else ():
            given = self.load(side)
            self.require(isinstance(given, Images), f"gives {sides(given)}; return api.Images(train, test)")
            size = self.given.get("size", side)
            sizes = tuple(size) if isinstance(size, list | tuple) else (size, size)
            for split, pixels in (("training", given.train), ("test", given.test)):
                self.require(pixels.ndim == 4 and len(pixels), f"gives {sides(pixels)} as {split} images")
                asked = (self.options.get("channels", pixels.shape[1]), *sizes)
                told = f"gives {split} images of {sides(pixels[0])}, asked for {' x '.join(map(str, asked))}"
                self.require(tuple(pixels.shape[1:]) == asked, told)

    def check_dtype(self) -> None:
        """Images are packed, uint8 of 0 to 255, where nothing else is said of them."""
        given = self.load()
        if not self._plain():
            return
        kinds = {str(pixels.dtype) for pixels in (given.train, given.test)} - {str(torch.uint8)}
        told = f"gives {' and '.join(kinds)}; uint8 of 0 to 255 is promised (api.to_pixels makes it)"
        self.require(not kinds, told)

    def check_fields(self) -> None:
        """Every field it says it has is there, one for each item, of its shape, with classes that it has."""
        given = self.load()
        plain = self._plain() and self.entry.part.fields == {"x": IMAGE}
        fields = {} if plain else fields_of({"": self._sized(SIDES[0])})[0]
        for name, field in fields.items():
            self.require(name == "x" or name in given.fields, f"gives no field '{name}', which it says it has")
            splits = (given.train, given.test) if name == "x" else given.fields[name]
            for split, tensor, items in zip(("train", "test"), splits, (given.train, given.test), strict=True):
                told = f"has {len(items):,} {split} items of x and {len(tensor):,} of {name}; each item has one of both"
                self.require(len(tensor) == len(items), told)
                try:
                    check_field(tensor, field, f"{split} items")
                except ValueError as error:
                    self.require(False, f"gives what it does not say: {error}")

    def check_splits(self) -> None:
        """Test images are not training images."""
        given = self.load()
        seen = {row.contiguous().numpy().tobytes() for row in given.train}
        twice = sum(row.contiguous().numpy().tobytes() in seen for row in given.test)
        told = f"{twice} of the {len(given.test)} test images of {self} are training images too"
        require(2 * twice <= len(given.test), f"{told}; hold the test images out before anything else is done")

    def check_determinism(self) -> None:
        """Loaded again with the same options, it has the same images."""
        first, second = self.load(), self.load()
        same = equal([first.train, first.test], [second.train, second.test])
        cure = "sort what the disk lists, and seed what is drawn"
        self.require(same, f"gives other images the second time; {cure}")


class Augmentation(GivesTensors):
    """An augmentation, made anew for every batch."""

    def __call__(self, x: Tensor, tickets: Tensor | None = None) -> Any:
        """Augments images; row i of the random numbers is a function of ticket i."""
        tickets = torch.arange(len(x), device=x.device) if tickets is None else tickets
        given = {"images": x, "draw": TicketDraw(tickets, "contract", dtype=x.dtype)}
        asked = {name: given[name] for name in self.entry.signature.needs}
        if not inspect.isclass(self.target):
            return self.target(**asked, **self.part.arguments_for())
        arguments = self.part.arguments_for(Sizes.square(x.shape[1], x.shape[2], 8, 4))
        made: Any = self.refused(lambda: self.target(**arguments))
        return made.forward(**asked)

    def compute(self, device: torch.device = CPU, dtype: torch.dtype = torch.float32) -> Any:
        """Augments a batch."""
        return self(batch(dtype=dtype).to(device))

    def check_shapes(self) -> None:
        """Images keep their shape, at two image sizes and two batch sizes."""
        for x in [batch(count, side) for side in LARGER for count in BATCHES]:
            given = self(x)
            fits = isinstance(given, Tensor) and given.shape == x.shape
            self.require(fits, f"makes {sides(given)} of {sides(x)}; the shape is kept")

    def check_range_kept(self) -> None:
        """Images in [-1, 1] stay in [-1, 1]."""
        given = self(batch(8))
        low, high = float(given.min()), float(given.max())
        inside = -1.001 <= low <= high <= 1.001
        self.require(inside, f"makes images in [{low:.3g}, {high:.3g}] of some in [-1, 1]; clamp them")

    def check_batch_independence(self) -> None:
        """The change of an image depends neither on the images beside it nor on how many they are."""
        x, tickets = batch(), torch.tensor([5, 6, 7, 8])
        whole = self(x.clone(), tickets)
        cure = "row i of draw.uniform(B) is for image i; use no statistics of the batch and no other image"
        beside = self(torch.cat([x[:1], batch(3, seed=1)]), tickets)
        self.require(close(whole[:1], beside[:1], 1e-5), f"makes an image depend on those beside it; {cure}")
        alone = self(x[:1].clone(), tickets[:1])
        self.require(close(whole[:1], alone, 1e-5), f"makes an image depend on the size of the batch; {cure}")

    def check_inputs_untouched(self) -> None:
        """The images that go in are not changed in place."""
        x = batch()
        self(x)
        self.require(equal(x, batch()), "changes the images in place; work on a copy")


def batch(count: int = 4, side: int = SIDES[0], seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Images."""
    return images(count, 3, side, side, seed=seed, dtype=dtype)
