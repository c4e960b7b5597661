"""Shared by the sources: options checked in one place, and the ways from Pillow to packed pixels.

One letter, one meaning: N images, C channels, H height, W width.
"""

import numpy as np
from PIL import Image

from zoo import api

Size = int | tuple[int, int]
"""Of images: the side of a square, or height and width, in pixels."""


def sides_of(size: Size) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def check_common(
    source: str, *, size: Size, channels: int, seed: int = 0, crop: int | str = "square", stored: Size = 0
) -> None:
    """Refuses the values that no source can serve.

    Raises:
        ValueError: one sentence with the source, the option, its value and the choices.
    """
    if min(sides_of(size)) < 1:
        said = size if isinstance(size, int) else [*size]
        raise ValueError(f"{source}: option 'size' is {said}; choose an image side of at least 1 pixel.")
    if stored and any(there < side for there, side in zip(sides_of(stored), sides_of(size), strict=True)):
        said = stored if isinstance(stored, int) else [*stored]
        raise ValueError(f"{source}: option 'stored' is {said}; choose no less than 'size', or 0 for the same.")
    if channels not in (1, 3):
        raise ValueError(f"{source}: option 'channels' is {channels}; choose 1 (grey) or 3 (colour).")
    if seed < 0:
        raise ValueError(f"{source}: option 'seed' is {seed}; choose 0 or a positive whole number.")
    if isinstance(crop, int) and crop < 2:
        raise ValueError(f"{source}: option 'crop' is {crop}; choose a side of at least 2 pixels.")


def allocate(source: str, count: int, channels: int, size: Size) -> np.ndarray:
    """Unwritten memory for ``count`` images, uint8 (N, C, H, W).

    Raises:
        ValueError: when it would not fit into the memory that there is for it; Linux would grant it and kill us later.
    """
    height, width = sides_of(size)
    need, memory = count * channels * height * width, api.memory()
    if need > memory:
        raise ValueError(
            f"{source}: {count:,} images of {channels} x {height} x {width} need {need / 2**30:,.1f} GiB, and "
            f"this machine has {memory / 2**30:,.1f} GiB; choose a smaller 'size' or fewer images."
        )
    return np.empty((count, channels, height, width), np.uint8)


def resized(image: Image.Image, size: Size, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """``box`` (left, top, right, bottom) of an 8-bit ``L`` or ``RGB`` image, resized by Pillow's bicubic.

    Pillow widens its filter when it reduces, so this is antialiased. Near the border of ``box`` the filter
    also reads pixels of ``image`` outside it.

    Returns:
        uint8 (C, H, W) with C = 1 for ``L`` and 3 for ``RGB``.
    """
    height, width = sides_of(size)
    pixels = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC, box))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def nearest_four(image: Image.Image, size: Size) -> np.ndarray:
    """An 8-bit ``L`` or ``RGB`` image resized by plain bilinear interpolation, half-pixel centres, rounded.

    The four nearest pixels only, so reducing aliases: TensorFlow's ``tf.image.resize`` as it is by default,
    and ``torch.nn.functional.interpolate(mode="bilinear", antialias=False)``.

    Returns:
        uint8 (C, H, W) with C = 1 for ``L`` and 3 for ``RGB``.
    """
    values = np.atleast_3d(np.asarray(image))  # (H, W, C)
    (top, bottom, down), (left, right, across) = (
        _neighbours(side, wanted) for side, wanted in zip(values.shape[:2], sides_of(size), strict=True)
    )
    down, across = down[:, None, None], across[None, :, None]
    upper = values[top][:, left] * (1 - across) + values[top][:, right] * across
    lower = values[bottom][:, left] * (1 - across) + values[bottom][:, right] * across
    return np.rint(upper * (1 - down) + lower * down).astype(np.uint8).transpose(2, 0, 1)


def _neighbours(side: int, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For each of ``size`` places along ``side`` pixels: the pixel before, the one after, and the share of that."""
    places = ((np.arange(size) + 0.5) * side / size - 0.5).clip(0, side - 1)
    before = places.astype(np.int64)
    return before, np.minimum(before + 1, side - 1), places - before
