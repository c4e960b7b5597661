"""Pictures on a page: rows of images with their labels, and the film of a training."""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from zoo.report.markup import escaped

HEAVY, HEAVY_LONG = 300_000, 50_000
"""Bytes beyond which a picture, or a long one, is embedded as WebP; the run has it as it is."""
QUALITY = 90
LONG = 560
"""Pixels beyond which a picture has a line of the page to itself."""


@dataclass(frozen=True)
class Gallery:
    """A picture of a run, in blocks of rows, each a label, which may be empty, and the bytes of a PNG file."""

    title: str
    caption: str
    blocks: Sequence[Sequence[tuple[str, bytes]]]


def gallery(shown: Gallery) -> str:
    """A card with a picture's rows, each beside its label."""
    rows = [row for block in shown.blocks for row in block]
    labelled = any(label for label, _ in rows)
    long = any(png_size(png)[0] > LONG for _, png in rows)
    blocks = "".join(f'<div class="block">{"".join(_row(shown.title, *row) for row in b)}</div>' for b in shown.blocks)
    style = " ".join(["card gallery", *["labelled"] * labelled, *["long"] * long])
    return (
        f'<figure class="{style}"><figcaption><h3>{escaped(shown.title)}</h3><p>{escaped(shown.caption)}</p>'
        f"</figcaption>{blocks}</figure>"
    )


def _row(title: str, label: str, png: bytes) -> str:
    return f"<span>{escaped(label)}</span>{image(png, f'{title}: {label}')}" if label else image(png, title)


def film(frames: Mapping[int, bytes]) -> str:
    """A card with the frames of a training, step -> the bytes of a PNG file, side by side."""
    shown = "".join(
        f"<li>{image(png, f'Samples at step {step:,}')}<span>step <b>{step:,}</b></span></li>"
        for step, png in frames.items()
    )
    caption = "The same codes all along: what the model made of them at these steps."
    return f'<figure class="card"><figcaption><p>{caption}</p></figcaption><ol class="film">{shown}</ol></figure>'


def image(png: bytes, alt: str) -> str:
    """An ``img`` with its content inside; a sentence where that is no PNG file."""
    width, height = png_size(png)
    if not width or not height:
        return '<p class="none">This is no PNG file.</p>'
    long = width > LONG
    style = ' class="fine"' if long else ""
    kind, content = ("webp", _webp(png)) if len(png) > (HEAVY_LONG if long else HEAVY) else ("png", png)
    return (
        f'<img{style} width="{width}" height="{height}" alt="{escaped(alt)}" '
        f'src="data:image/{kind};base64,{b64encode(content).decode()}">'
    )


def png_size(png: bytes) -> tuple[int, int]:
    """Width and height in pixels as a PNG file's header says; zeros if it is no PNG."""
    if not png.startswith(b"\x89PNG\r\n\x1a\n") or len(png) < 24:
        return 0, 0
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def _webp(png: bytes) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.open(io.BytesIO(png)).save(buffer, "WEBP", quality=QUALITY)
    return buffer.getvalue()
