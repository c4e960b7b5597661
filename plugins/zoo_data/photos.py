"""Crops of the colour photographs that scikit-image and scikit-learn carry inside their wheels."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from PIL import Image

from zoo import api
from zoo_data.pixels import allocate, check_common, resized

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

MOST_DRAWS = 50
"""Crops drawn for each that is contrasted enough, before giving up."""


class Photograph(NamedTuple):
    """A named ``RGB`` or ``L`` picture."""

    name: str
    image: Image.Image


def photos(
    *,
    size: int = 32,
    channels: Literal[1, 3] = 3,
    train: int = 20000,
    test: int = 1000,
    crop: tuple[int, int] = (40, 90),
    contrast: float = 0.0,
    flip: bool = True,
    seed: int = 0,
) -> api.Images:
    """Random square crops. Test crops come from a strip of each photograph, 60 to 80 % of its width from the
    left; training crops from what is left of the strip and what is right of it. No pixel is in both.

    A region is chosen with a probability proportional to its area, so every place counts alike.

    Args:
        size: image side in pixels.
        channels: 1 (luma) or 3.
        train: number of training crops.
        test: number of test crops; they are the same whatever ``train`` is.
        crop: smallest and largest side of a crop, in pixels of the photograph; uniform, both included.
        contrast: standard deviation of the luminance, in [-1, 1], that a crop must have: flatter ones (sky,
            shadow) are drawn again. 0 takes all; 0.2 leaves out about half.
        flip: mirror a random half of the training crops.
        seed: which crops.

    Raises:
        ValueError: for a value outside its range, or crops that fit into no region.
        OSError: when no photograph is installed, or one cannot be read.
    """
    check_common("photos", size=size, channels=channels, seed=seed)
    found, notes = installed_photographs("L" if channels == 1 else "RGB")
    images = cut(found, size=size, train=train, test=test, crop=crop, contrast=contrast, flip=flip, seed=seed)
    return api.Images(images.train, images.test, notes + images.notes)


def installed_photographs(mode: str) -> tuple[list[Photograph], tuple[str, ...]]:
    """The photographs that are on this machine, in the given Pillow mode, and a note on any that are not."""
    found, missing = [], []
    for package, inside in PHOTOGRAPHS:
        spec = find_spec(package)
        folders = spec.submodule_search_locations or () if spec else ()
        path = next((p for folder in folders if (p := Path(folder, inside)).is_file()), None)
        if path is None:
            missing.append(f"{package}/{inside}")
        else:
            found.append(Photograph(path.name, _read(path, mode)))
    cure = "reinstall scikit-image and scikit-learn from their wheels"
    if not found:
        raise FileNotFoundError(f"photos: none of {', '.join(missing)} is installed; {cure}.")
    if missing:
        return found, (f"photos: {', '.join(missing)} not installed, so crops differ from others'; {cure}.",)
    return found, ()


def _read(path: Path, mode: str) -> Image.Image:
    try:
        with Image.open(path) as image:
            return image.convert(mode)
    except (OSError, SyntaxError, ValueError) as error:
        raise OSError(f"photos: {path} cannot be read ({error}); reinstall the package it is in.") from error


def cut(
    photographs: Sequence[Photograph],
    *,
    size: int,
    train: int,
    test: int,
    crop: tuple[int, int],
    flip: bool,
    seed: int,
    contrast: float = 0.0,
) -> api.Images:
    """``photos`` over any photographs (all of one mode): uint8 (train, C, S, S) and (test, C, S, S)."""
    for option, count in (("train", train), ("test", test)):
        if count < 1:
            raise ValueError(f"photos: option '{option}' is {count}; choose at least 1 crop.")
    strips = [_strips(photograph) for photograph in photographs]
    training = [region for left, _, right in strips for region in (left, right)]
    held_out = [strip for _, strip, _ in strips]
    notes = check_crop(training + held_out, crop, size)
    # Two streams: the test crops must not depend on how many training crops were drawn before them.
    return api.Images(
        _crops(training, train, size, crop, contrast, flip, np.random.default_rng((seed, 0))),
        _crops(held_out, test, size, crop, contrast, False, np.random.default_rng((seed, 1))),
        notes,
    )


def _strips(photograph: Photograph) -> list[Photograph]:
    """Left 60 %, the test's 20 %, right 20 %. Cut apart first: the resize filter reads a little beyond its box."""
    name, image = photograph
    borders = [0, image.width * 3 // 5, image.width * 4 // 5, image.width]
    return [Photograph(name, image.crop((a, 0, b, image.height))) for a, b in pairwise(borders)]


def check_crop(regions: Sequence[Photograph], crop: tuple[int, int], size: int) -> tuple[str, ...]:
    """Notes on crops that will be shrunk or enlarged; a ValueError for a range that cannot be cut."""
    low, high = crop
    if not 1 <= low <= high:
        raise ValueError(
            f"photos: option 'crop' is [{low}, {high}]; choose [smallest, largest] side in pixels, "
            "1 or more and in this order."
        )
    name, image = min(regions, key=lambda region: min(region.image.size))
    room = min(image.size)
    if low > room:
        raise ValueError(
            f"photos: option 'crop' is [{low}, {high}], and a region of {name} is only "
            f"{image.width} x {image.height} pixels; choose a smallest side of at most {room}."
        )
    notes = []
    if high > room:
        notes.append(f"photos: crops up to {high} pixels are limited to their region, {room} in {name}.")
    if low < size:
        notes.append(f"photos: crops of {low} to {min(high, size - 1)} pixels are enlarged to size {size}.")
    return tuple(notes)


def _crops(
    regions: Sequence[Photograph],
    count: int,
    size: int,
    crop: tuple[int, int],
    contrast: float,
    flip: bool,
    rng: np.random.Generator,
) -> torch.Tensor:
    """``count`` random crops of ``regions``, uint8 (N, C, S, S)."""
    pixels = allocate("photos", count, len(regions[0].image.getbands()), size)
    filled, draws = 0, 0
    while filled < count:
        wanted = count - filled
        for one in _draw(regions, wanted, size, crop, flip, rng):
            if not contrast or _contrast(one) >= contrast:
                pixels[filled] = one
                filled += 1
        draws += wanted
        if draws > MOST_DRAWS * max(filled, 1):
            raise ValueError(
                f"photos: option 'contrast' is {contrast}, and {draws - filled} of {draws} crops were flatter; "
                "choose a smaller one, such as 0.2."
            )
    return torch.from_numpy(pixels)


def _draw(
    regions: Sequence[Photograph], count: int, size: int, crop: tuple[int, int], flip: bool, rng: np.random.Generator
) -> Iterator[np.ndarray]:
    """``count`` random crops, each uint8 (C, S, S)."""
    sizes = np.array([region.image.size for region in regions])  # (regions, 2): width, height
    areas = sizes.prod(1)
    which = rng.choice(len(regions), count, p=areas / areas.sum())
    sides = rng.integers(crop[0], np.minimum(crop[1], sizes.min(1)[which]), endpoint=True)
    corners = rng.integers(0, sizes[which] - sides[:, None], endpoint=True)  # (N, 2): x, y
    # Drawn even when unused, and last: `flip` mirrors crops, it never moves them.
    mirrored = (rng.random(count) < 0.5) & flip
    for region, side, (x, y), turned in zip(which.tolist(), sides.tolist(), corners.tolist(), mirrored, strict=True):
        one = resized(regions[region].image, size, (x, y, x + side, y + side))
        yield one[:, :, ::-1] if turned else one


def _contrast(pixels: np.ndarray) -> float:
    """Standard deviation of the luminance (BT.601) of uint8 (C, S, S), in [-1, 1]."""
    weights = np.array([0.299, 0.587, 0.114] if len(pixels) == 3 else [1.0])
    return float(np.tensordot(weights, pixels, 1).std() / 127.5)
