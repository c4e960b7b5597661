"""One image to 8-bit pixels of one size, or the reason why it cannot be. No torch: worker processes import this."""

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import BinaryIO, NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from zoo_data.bad import Bad, printable
from zoo_data.listed import CHANGED, NOT_THE_IMAGES, File
from zoo_data.pixels import Size, nearest_four, resized, sides_of

FORMATS = ("PNG", "JPEG", "BMP", "DIB", "WEBP", "GIF", "TIFF", "PPM", "AVIF", "JPEG2000", "TGA")
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

TURNED = [turn for number, turn in TURNS.items() if number >= 5]
"""Those that make height of width."""

ROWS = 256
"""Rows of a transparent image that are laid on white at a time."""

EIGHT_BITS = np.rint(np.arange(65536) / 257).astype(np.uint8)
"""16-bit grey -> 8-bit grey."""


class Square(NamedTuple):
    """An image as it is to be packed: uint8 (C, H, W)."""

    pixels: np.ndarray


Content = File | bytes | np.ndarray | Image.Image | Square | Bad
"""An image file, its bytes, its pixels (uint8 (H, W) or (H, W, C), or Pillow's), a finished one, or what is bad."""


@dataclass(frozen=True)
class View:
    """How an image becomes pixels of one size.

    Args:
        size: side of a square in pixels, or height and width.
        channels: 1 (luma, ITU-R 601) or 3.
        crop: what of the upright image is taken, always around its centre: the largest ``square``, or part of
            the proportions of ``size``; ``none`` for the whole, squeezed; a number of pixels for such a part of that
            shorter side; ``paper`` for 0.6 of each side, as ``tf.image.central_crop`` rounds it, squeezed.
        resize: ``antialias`` (Pillow's bicubic) or ``published`` (``pixels.nearest_four``); or ``classes``, where a
            pixel is the number of a class: the nearest; or ``sides``, for no pixels: ``SIDES``.
    """

    size: Size
    channels: int
    crop: int | str = "square"
    resize: str = "antialias"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: C, H, W."""
        return self.channels, *sides_of(self.size)

    @property
    def bytes(self) -> int:
        """Of one image."""
        return prod(self.shape)

    def square(self, image: Image.Image) -> np.ndarray:
        """uint8 (C, H, W) of an upright image.

        Raises:
            ValueError: if it is too small for the crop, or its white is unknown.
        """
        if min(image.size) < 2:
            raise ValueError(f"only {image.width} x {image.height} pixels")
        box = self.box(*image.size)
        if self.resize == "classes":
            return classes_of(image.crop(box), self.size)
        # A copy of the largest image allowed is 340 MiB.
        cropped = eight_bits(image if box == (0, 0, *image.size) else image.crop(box), self.channels)
        return nearest_four(cropped, self.size) if self.resize == "published" else resized(cropped, self.size)

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The part of an image that is taken: left, top, right, bottom."""
        if self.crop == "none":
            return 0, 0, width, height
        if self.crop == "paper":
            left, top = int((width - 0.6 * width) / 2), int((height - 0.6 * height) / 2)
            return left, top, width - left, height - top
        high, wide = sides_of(self.size)
        short = min(high, wide)
        side = min(width * short / wide, height * short / high) if self.crop == "square" else int(self.crop)
        across, down = round(side * wide / short), round(side * high / short)
        if across > width or down > height:
            part = side if across == down else f"{across} x {down}"
            raise ValueError(f"{width} x {height} pixels, too small for a crop of {part}")
        left, top = (width - across) // 2, (height - down) // 2
        return left, top, left + across, top + down

    def draft(self, image: Image.Image) -> None:
        """Lets JPEG decode at 1/2, 1/4 or 1/8 for a fraction of the cost; 2 x leaves the resize its filter."""
        if self.resize == "antialias" and self.crop in {"square", "none"}:
            height, width = sides_of(self.size)
            image.draft(None, (2 * width, 2 * height))


SIDES = View((1, 8), 1, "none", "sides")
"""Of an image its width and its height alone, upright: two whole numbers of 32 bits, the lowest byte first."""


class Chunk(NamedTuple):
    """Some images, decoded: those read, uint8 (N, C, H, W), and those that were bad, in their order."""

    pixels: np.ndarray
    bad: list[Bad]
    seen: int


class MachineError(Exception):
    """Decoding ended at an image, and not through its fault; a sentence with its name and a cure."""


def decode_chunk(items: Sequence[tuple[str, Content]], view: View) -> Chunk:
    """Every image of ``items`` (name, content) that can be read, and why the others cannot.

    Raises:
        MachineError: where not an image is at fault but the machine.
    """
    pixels = np.empty((len(items), *view.shape), np.uint8)
    good, bad = 0, []
    with strict_pillow():
        for name, content in items:
            try:
                square = read_square(content, view)
            except MemoryError:
                raise MachineError(
                    f"{printable(name)} needs more memory than there is; set workers to 1, or remove it"
                ) from None
            except OSError as error:
                why = f"cannot be read ({error.strerror}), and not through a fault of its own"
                raise MachineError(f"{printable(name)} {why}; run again when it can") from None
            if isinstance(square, str):
                bad.append(Bad(name, square))
            else:
                pixels[good] = square
                good += 1
    return Chunk(pixels[:good], bad, len(items))


@contextmanager
def strict_pillow() -> Iterator[None]:
    """Pillow's size limit raises instead of warning; its remarks about odd metadata are dropped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def read_square(content: Content, view: View) -> np.ndarray | str:
    """The first frame, upright, cropped and resized. Call within ``strict_pillow``.

    Transparency shows white. 16-bit grey is scaled by 255 / 65535. Embedded colour profiles are not applied.

    Returns:
        uint8 (C, H, W), or the reason why the image is bad.

    Raises:
        OSError: where not the image is at fault but the machine.
        MemoryError: where there is not enough of it.
    """
    try:
        square = _read(content, view)
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in NOT_THE_IMAGES):
            raise
        square = _reason(error)
    return CHANGED if isinstance(content, File) and content.changed else square


def _read(content: Content, view: View) -> np.ndarray | str:
    if isinstance(content, Bad):
        return content.reason
    if isinstance(content, Square):
        return content.pixels
    if isinstance(content, np.ndarray):
        return view.square(Image.fromarray(np.ascontiguousarray(content)))
    if isinstance(content, Image.Image):
        content.load()
        return view.square(_upright(content))
    with _opened(content) as file:
        if not file.seek(0, io.SEEK_END):
            return "an empty file"
        file.seek(0)
        with Image.open(file, formats=FORMATS) as image:
            if view.resize == "sides":
                across, down = image.size
                sides = (down, across) if _turn(image) in TURNED else (across, down)
                return np.array(sides, "<u4").view(np.uint8).reshape(view.shape)
            view.draft(image)
            _scale_key(image)
            image.load()
            return view.square(_upright(image))


def _opened(content: File | bytes) -> BinaryIO:
    return content.open() if isinstance(content, File) else io.BytesIO(content)


def _scale_key(image: Image.Image) -> None:
    """Pillow scales a PNG's samples to 8 bits, but not the one that is transparent. Call before they are read."""
    key, samples = image.info.get("transparency"), image.tile[0][3] if image.tile else None
    if isinstance(key, int) and samples in {"L;2", "L;4"}:
        image.info["transparency"] = key * 255 // (2 ** int(samples[-1]) - 1)
    elif isinstance(key, tuple) and samples == "RGB;16B":
        image.info["transparency"] = tuple(sample >> 8 for sample in key)


def _turn(image: Image.Image) -> Image.Transpose | None:
    try:
        return TURNS.get(image.getexif().get(0x0112, 1))
    except Exception:  # noqa: BLE001 - garbled metadata does not spoil the pixels
        return None


def _upright(image: Image.Image) -> Image.Image:
    turn = _turn(image)
    return image if turn is None else image.transpose(turn)


def classes_of(image: Image.Image, size: Size) -> np.ndarray:
    """A mask's classes, uint8 (1, H, W), each that of the nearest pixel: places in a palette, or grey levels.

    Raises:
        ValueError: if it is in colour, or has numbers beyond 255.
    """
    height, width = sides_of(size)
    values = np.asarray(image.resize((width, height), Image.Resampling.NEAREST))
    if values.ndim == 3 and (values[..., 1:3] == values[..., :1]).all():
        values = values[..., 0]
    if values.ndim == 3:
        raise ValueError("a mask in colour; save it grey or with a palette, the value of a pixel being its class")
    if values.max() > 255:
        raise ValueError(f"a mask with class {values.max()}; there are 256 at most")
    return values.astype(np.uint8)[None]


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
        image = _on_white(image)
    if image.mode == {1: "L", 3: "RGB"}[channels]:
        return image
    colour = image.convert("RGB")  # also on the way to grey: CMYK has no direct one
    return colour.convert("L") if channels == 1 else colour


def _on_white(image: Image.Image) -> Image.Image:
    """Any mode with transparency to ``RGB``, a few rows at a time: each copy of the largest image is 340 MiB."""
    flat = Image.new("RGB", image.size)
    for top in range(0, image.height, ROWS):
        clear = image.crop((0, top, image.width, min(top + ROWS, image.height))).convert("RGBA")
        flat.paste(Image.alpha_composite(Image.new("RGBA", clear.size, "white"), clear).convert("RGB"), (0, top))
    return flat


def _from_sixteen_bits(image: Image.Image) -> Image.Image:
    """``I;16*``, and 16-bit files that Pillow opens as ``I``, to ``L``; its own convert clips at 255."""
    values = np.asarray(image)
    if values.min() < 0 or values.max() > 65535:
        raise ValueError("32-bit pixels have no defined white")
    grey = EIGHT_BITS[values]
    if (key := image.info.get("transparency")) is not None:
        grey[values == key] = 255
    return Image.fromarray(grey)


def _reason(error: Exception) -> str:
    if isinstance(error, UnidentifiedImageError):
        return "not an image, or damaged at its start"
    if isinstance(error, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"more than {Image.MAX_IMAGE_PIXELS:,} pixels, Pillow's limit"
    if isinstance(error, OSError) and error.errno is not None:
        return os.strerror(error.errno).lower()
    first_line = (str(error).splitlines() or [""])[0].strip().rstrip(".")
    return first_line or type(error).__name__
