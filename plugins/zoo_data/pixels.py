"""What the three sources share: options checked in one place, and one way from Pillow to packed pixels.

One letter, one meaning: N images, C channels, S side in pixels.
"""

import os

import numpy as np
from PIL import Image


def check_common(source: str, *, size: int, channels: int, seed: int) -> None:
    """Refuses the values that no source can serve.

    Raises:
        ValueError: one sentence with the source, the option, its value and the choices.
    """
    if size < 1:
        raise ValueError(f"{source}: option 'size' is {size}; choose an image side of at least 1 pixel.")
    if channels not in (1, 3):
        raise ValueError(f"{source}: option 'channels' is {channels}; choose 1 (grey) or 3 (colour).")
    if seed < 0:
        raise ValueError(f"{source}: option 'seed' is {seed}; choose 0 or a positive whole number.")


def allocate(source: str, count: int, channels: int, size: int) -> np.ndarray:
    """Unwritten memory for ``count`` images, uint8 (N, C, S, S).

    Raises:
        ValueError: when it would not fit into this machine's memory; Linux would grant it and kill us later.
    """
    need, memory = count * channels * size * size, _physical_memory_bytes()
    if need > memory:
        raise ValueError(
            f"{source}: {count:,} images of {channels} x {size} x {size} need {need / 2**30:,.1f} GiB, and "
            f"this machine has {memory / 2**30:,.1f} GiB; choose a smaller 'size' or fewer images."
        )
    return np.empty((count, channels, size, size), np.uint8)


def _physical_memory_bytes() -> float:
    if "SC_PHYS_PAGES" not in getattr(os, "sysconf_names", {}):  # Windows
        return float("inf")
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def resized(image: Image.Image, size: int, box: tuple[int, int, int, int] | None = None) -> np.ndarray:
    """``box`` (left, top, right, bottom) of an 8-bit ``L`` or ``RGB`` image, resized by Pillow's bicubic.

    Pillow widens its filter when it reduces, so this is antialiased. Near the border of ``box`` the filter
    also reads pixels of ``image`` outside it.

    Returns:
        uint8 (C, S, S) with C = 1 for ``L`` and 3 for ``RGB``.
    """
    side = np.asarray(image.resize((size, size), Image.Resampling.BICUBIC, box))
    return side[None] if side.ndim == 2 else side.transpose(2, 0, 1)
