"""A picture with a labelled row for each model, and its rows again. No torch here."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

MARGIN = 10
NOTE = "zoo:rows"
"""The text in a PNG file that says where its rows are."""


def labelled(grid: Image.Image, names: Sequence[str], pitch: int, gap: int) -> bytes:
    """Rows of images as one PNG, each with its name at the left.

    Args:
        grid: the images.
        names: of its rows.
        pitch: pixels from one row to the next, and from one image to the next.
        gap: how many of them lie between two.

    Returns:
        the file's bytes.
    """
    font = _font()
    written = [name.encode("ascii", "replace").decode() for name in names]
    width = int(max(font.getlength(name) for name in written)) + 2 * MARGIN
    picture = Image.new("RGB", (width + grid.width, grid.height), "white")
    picture.paste(grid.convert("RGB"), (width, 0))
    pen = ImageDraw.Draw(picture)
    for row, name in enumerate(written):
        left, top, right, bottom = font.getbbox(name)
        corner = (width - MARGIN - (right - left), row * pitch + (pitch - bottom - top) / 2)
        pen.text(corner, name, fill="black", font=font)
    note = PngInfo()
    note.add_text(NOTE, json.dumps({"names": list(names), "left": width, "pitch": pitch, "gap": gap}))
    return _png(picture, note)


def rows_of(png: bytes) -> list[tuple[str, bytes]]:
    """The rows of such a picture, name and PNG, clear between the images.

    The whole without a name if it does not say where they are.
    """
    with Image.open(io.BytesIO(png)) as picture:
        try:
            note = json.loads(picture.info[NOTE])
            left, pitch, gap = (int(note[key]) for key in ("left", "pitch", "gap"))
            names = [str(name) for name in note["names"]]
        except (KeyError, TypeError, ValueError):
            return [("", png)]
        boxes = [(left, row * pitch, picture.width, (row + 1) * pitch - gap) for row in range(len(names))]
        cut = [picture.crop(box) for box in boxes]
    clear = Image.new("L", cut[0].size, 255)
    for edge in range(pitch, clear.width, pitch):
        clear.paste(0, (edge - gap, 0, edge, clear.height))
    for row in cut:
        row.putalpha(clear)
    return [(name, _png(row)) for name, row in zip(names, cut, strict=True)]


def _png(picture: Image.Image, note: PngInfo | None = None) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=note)
    return buffer.getvalue()


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(15)
    except (ImportError, TypeError):  # Pillow without FreeType, or before 10.1: its small bitmap font
        return ImageFont.load_default()
