"""One image file to one square of 8-bit pixels, or the reason why it cannot be."""

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from zoo_data.pixels import resized

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM")
"""Decoders we let Pillow try, whatever the extension claims: its EPS one would start Ghostscript."""

TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF orientation -> what sets the picture upright (EXIF 2.32, tag 0x0112)."""


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Pillow's size limit raises instead of warning; its remarks about odd metadata are dropped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_square(path: Path, size: int, channels: int) -> np.ndarray | str:
    """The first frame, upright, its central square, resized with antialiasing. Call within ``strict_pillow``.

    Transparency shows white. 16-bit grey is scaled by 255 / 65535. Embedded colour profiles are not applied.

    Returns:
        uint8 (C, S, S), or the reason why the file is bad.
    """
    try:
        if not path.is_file():  # opening a named pipe would wait forever
            return "a broken link" if path.is_symlink() else "not a regular file"
        if path.stat().st_size == 0:
            return "an empty file"
        with path.open("rb") as file, Image.open(file, formats=FORMATS) as image:
            # JPEG decodes at 1/2, 1/4 or 1/8 for a fraction of the cost; 2 x leaves the resize its filter.
            image.draft(None, (2 * size, 2 * size))
            image.load()
            upright = _upright(image)
            if min(upright.size) < 2:
                return f"only {upright.width} x {upright.height} pixels"
            return resized(eight_bits(_central_square(upright), channels), size)
    except Exception as error:  # noqa: BLE001 - fed with garbage, Pillow's decoders raise nearly anything
        return _reason(error)


def _upright(image: Image.Image) -> Image.Image:
    try:
        turn = TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # noqa: BLE001 - garbled metadata does not spoil the pixels
        turn = None
    return image if turn is None else image.transpose(turn)


def _central_square(image: Image.Image) -> Image.Image:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))


def eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """Any Pillow mode to ``L`` (one channel) or ``RGB`` (three).

    Raises:
        ValueError: for pixels whose white is unknown (floats, 32-bit), or a mode Pillow cannot convert.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels have no defined white")
    if image.mode.startswith("I"):
        image = _from_sixteen_bits(image)
    elif image.mode in {"RGBA", "LA", "PA", "RGBa", "La"} or "transparency" in image.info:
        clear = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear)
    if channels == 1 and image.mode == "L":
        return image
    colour = image.convert("RGB")  # also on the way to grey: CMYK has no direct one
    return colour.convert("L") if channels == 1 else colour


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    """``I;16*``, and 16-bit files that Pillow opens as ``I``, to ``L``; its own convert clips at 255."""
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit pixels have no defined white")
    return Image.fromarray(np.rint(values / 257).astype(np.uint8))


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged at its start"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels, Pillow's limit"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    first_line = (str(error).splitlines() or [""])[0].strip().rstrip(".")
    return first_line or type(error).__name__
