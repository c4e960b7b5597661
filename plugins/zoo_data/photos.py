"""Crops of the colour photographs that scikit-image and scikit-learn carry inside their wheels."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from itertools import islice, pairwise
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from zoo import api
from zoo_data.decode import Square, View
from zoo_data.files import installed
from zoo_data.pack import pack_splits
from zoo_data.pixels import Size, check_common, resized, sides_of
from zoo_data.read import read_plain
from zoo_data.sources import Items, Source

# Left out although they are in colour: hubble_deep_field, retina, ihc (instruments, not cameras), color,
# phantom, logo, horse (drawings), and motorcycle_right, which shows what motorcycle_left shows: the two
# would carry one place into both splits.
PHOTOGRAPHS = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
"""(package, path inside it). All lie in the wheels themselves; none is fetched by pooch."""

VERSION = 1
"""Of how crops are drawn; another one is another entry of the cache."""

MOST_DRAWS = 50
"""Crops drawn for each that is contrasted enough, before giving up."""


class Photograph:
    """A picture file, its pixels not decoded yet.

    Args:
        path: of it.

    Raises:
        OSError: in a sentence, if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._content = path.read_bytes()
            with Image.open(BytesIO(self._content)) as image:
                self.width, self.height = image.size
        except (OSError, SyntaxError, ValueError) as error:
            raise self._unreadable(error) from error

    @property
    def digest(self) -> str:
        """A hash of the file."""
        return hashlib.blake2b(self._content).hexdigest()

    @property
    def borders(self) -> tuple[int, int, int, int]:
        """Left and right of its three strips: 60 % of its width, the test's 20 %, and 20 %."""
        return 0, self.width * 3 // 5, self.width * 4 // 5, self.width

    def strips(self, channels: int) -> list[Image.Image]:
        """The three, grey or in colour. Cut apart before any resizing, whose filter reads a little beyond its box."""
        try:
            with Image.open(BytesIO(self._content)) as image:
                upright = image.convert("L" if channels == 1 else "RGB")
        except (OSError, SyntaxError, ValueError) as error:
            raise self._unreadable(error) from error
        return [upright.crop((a, 0, b, self.height)) for a, b in pairwise(self.borders)]

    def _unreadable(self, error: Exception) -> OSError:
        return OSError(f"photos: {self.path} cannot be read ({error}); reinstall the package it is in.")


@dataclass(frozen=True)
class Crops:
    """The crops of a split; every field changes some.

    Args:
        split: ``train`` or ``test``.
        count: how many.
        size: side in pixels of what they are resized to.
        channels: 1 (luma) or 3.
        crop: smallest and largest shorter side in pixels of the photograph.
        contrast: least standard deviation of the luminance, in [-1, 1].
        flip: whether a random half is mirrored.
        seed: which ones.
    """

    split: Literal["train", "test"]
    count: int
    size: Size
    channels: int
    crop: tuple[int, int]
    contrast: float
    flip: bool
    seed: int

    def drawn(self, photographs: Sequence[Photograph]) -> Iterator[np.ndarray]:
        """Each crop, uint8 (C, H, W).

        Raises:
            ValueError: if too few are contrasted enough.
            OSError: if a photograph cannot be read.
        """
        every = slice(0, None, 2) if self.split == "train" else slice(1, 2)
        regions = [strip for photograph in photographs for strip in photograph.strips(self.channels)[every]]
        # Two streams: the test crops must not depend on how many training crops were drawn before them.
        rng = np.random.default_rng((self.seed, 0 if self.split == "train" else 1))
        filled, draws = 0, 0
        while filled < self.count:
            wanted = self.count - filled
            for one in self._draw(regions, wanted, rng):
                if not self.contrast or _contrast(one) >= self.contrast:
                    yield one
                    filled += 1
            draws += wanted
            if draws > MOST_DRAWS * max(filled, 1):
                raise ValueError(
                    f"photos: option 'contrast' is {self.contrast}, and {draws - filled} of {draws} crops were "
                    "flatter; choose a smaller one, such as 0.2."
                )

    def _draw(self, regions: Sequence[Image.Image], count: int, rng: np.random.Generator) -> Iterator[np.ndarray]:
        """``count`` random crops, flat ones too."""
        sizes = np.array([region.size for region in regions])  # (regions, 2): width, height
        areas = sizes.prod(1)
        which = rng.choice(len(regions), count, p=areas / areas.sum())
        most = (sizes / proportions(self.size)).min(1).astype(int)
        sides = rng.integers(self.crop[0], np.minimum(self.crop[1], most[which]), endpoint=True)
        extents = np.rint(sides[:, None] * proportions(self.size)).astype(int)  # (N, 2): width, height
        corners = rng.integers(0, sizes[which] - extents, endpoint=True)  # (N, 2): x, y
        # Drawn even when unused, and last: `flip` mirrors crops, it never moves them.
        mirrored = (rng.random(count) < 0.5) & self.flip
        boxes = np.concatenate([corners, corners + extents], axis=1).tolist()
        for i, (left, top, right, bottom), turned in zip(which.tolist(), boxes, mirrored, strict=True):
            one = resized(regions[i], self.size, (left, top, right, bottom))
            yield one[:, :, ::-1] if turned else one


def photos(
    *,
    size: Size = 32,
    channels: Literal[1, 3] = 3,
    train: int = 20000,
    test: int = 1000,
    crop: tuple[int, int] = (40, 90),
    contrast: float = 0.0,
    flip: bool = True,
    seed: int = 0,
) -> api.Images:
    """Random crops of the proportions of ``size``. Test crops come from a strip of each photograph, 60 to 80 % of its
    width from the left; training crops from what is left of the strip and what is right of it. No pixel is in both.

    A region is chosen with a probability proportional to its area, so every place counts alike.

    Args:
        size: image side in pixels, or [height, width].
        channels: 1 (luma) or 3.
        train: number of training crops.
        test: number of test crops; they are the same whatever ``train`` is.
        crop: smallest and largest shorter side of a crop, in pixels of the photograph; uniform, both included.
        contrast: standard deviation of the luminance, in [-1, 1], that a crop must have: flatter ones (sky,
            shadow) are drawn again. 0 takes all; 0.2 leaves out about half.
        flip: mirror a random half of the training crops.
        seed: which crops.

    Raises:
        ValueError: for a value outside its range, or crops that fit into no region.
        OSError: when no photograph is installed, or one cannot be read; when the cache cannot be written.
    """
    check_common("photos", size=size, channels=channels, seed=seed)
    whole, notes = installed_photographs()
    images = cut(
        whole, size=size, channels=channels, train=train, test=test, crop=crop, contrast=contrast, flip=flip, seed=seed
    )
    return api.Images(images.train, images.test, notes + images.notes)


photos.read = read_plain


def installed_photographs() -> tuple[list[Photograph], tuple[str, ...]]:
    """The photographs that are on this machine, and a note on any that are not."""
    paths = {f"{package}/{inside}": installed(package, inside) for package, inside in PHOTOGRAPHS}
    photographs = [Photograph(path) for path in paths.values() if path]
    missing = ", ".join(name for name, path in paths.items() if not path)
    cure = "reinstall scikit-image and scikit-learn from their wheels"
    if not photographs:
        raise FileNotFoundError(f"photos: none of {missing} is installed; {cure}.")
    if missing:
        return photographs, (f"photos: {missing} not installed, so crops differ from others'; {cure}.",)
    return photographs, ()


def cut(
    photographs: Sequence[Photograph],
    *,
    size: Size,
    channels: int,
    train: int,
    test: int,
    crop: tuple[int, int],
    contrast: float,
    flip: bool,
    seed: int,
) -> api.Images:
    """``photos`` over any photographs: uint8 (train, C, H, W) and (test, C, H, W), cut once and kept in the cache."""
    for option, count in (("train", train), ("test", test)):
        if count < 1:
            raise ValueError(f"photos: option '{option}' is {count}; choose at least 1 crop.")
    notes = check_crop(photographs, crop, size)
    training = Crops("train", train, size, channels, crop, contrast, flip, seed)
    held_out = Crops("test", test, size, channels, crop, contrast, False, seed)
    splits = (_source(photographs, crops) for crops in (training, held_out))
    images = pack_splits(*splits, View(size, channels, "none"), workers=1, on_error="error")
    return api.Images(images.train, images.test, notes + images.notes)


def _source(photographs: Sequence[Photograph], crops: Crops) -> Source:
    def items(start: int) -> Items:
        drawn = enumerate(crops.drawn(photographs))
        return ((f"crop {index}", Square(one)) for index, one in islice(drawn, start, None))

    identity = [VERSION, asdict(crops), [photograph.digest for photograph in photographs]]
    return Source("photos", crops.split, crops.count, items, identity, "crops of photographs")


def check_crop(photographs: Sequence[Photograph], crop: tuple[int, int], size: Size) -> tuple[str, ...]:
    """Notes on crops that will be shrunk or enlarged; a ValueError for a range that cannot be cut."""
    low, high = crop
    if not 1 <= low <= high:
        raise ValueError(
            f"photos: option 'crop' is [{low}, {high}]; choose [smallest, largest] side in pixels, "
            "1 or more and in this order."
        )
    regions = [(b - a, one.height, one.path.name) for one in photographs for a, b in pairwise(one.borders)]
    across, down = proportions(size)
    width, height, name = min(regions, key=lambda region: min(region[0] / across, region[1] / down))
    room = int(min(width / across, height / down))
    if low > room:
        raise ValueError(
            f"photos: option 'crop' is [{low}, {high}], and a region of {name} is only "
            f"{width} x {height} pixels; choose a smallest side of at most {room}."
        )
    notes = []
    if high > room:
        notes.append(f"photos: crops up to {high} pixels are limited to their region, {room} in {name}.")
    short, whole = min(sides_of(size)), " x ".join(map(str, [size] if isinstance(size, int) else size))
    if low < short:
        notes.append(f"photos: crops of {low} to {min(high, short - 1)} pixels are enlarged to size {whole}.")
    return tuple(notes)


def proportions(size: Size) -> np.ndarray:
    """Width and height in units of the shorter side, (2,)."""
    height, width = sides_of(size)
    return np.array([width, height]) / min(height, width)


def _contrast(pixels: np.ndarray) -> float:
    """Standard deviation of the luminance (BT.601) of uint8 (C, H, W), in [-1, 1]."""
    weights = np.array([0.299, 0.587, 0.114] if len(pixels) == 3 else [1.0])
    return float(np.tensordot(weights, pixels, 1).std() / 127.5)
