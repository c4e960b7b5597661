"""Images that a user hands in, read as a data set reads its own."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from PIL import Image

from zoo_data.bad import Bad, judge, printable
from zoo_data.decode import Content, MachineError, View, decode_chunk
from zoo_data.find import Search
from zoo_data.listed import File
from zoo_data.pixels import Size, check_common


def read(
    images: Sequence[str | Path | Image.Image],
    *,
    size: Size,
    stored: Size = 0,
    channels: int,
    crop: int | str = "square",
    resize: Literal["antialias", "published"] = "antialias",
    kind: str = "image",
    classes: int = 0,
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Image files, every image below directories, and pictures in memory; a bad one is passed over.

    Args:
        images: paths, or Pillow's images.
        size: image side in pixels, or [height, width].
        stored: side of what is read, of which the zoo takes the central part of ``size``; 0 for ``size``.
        channels: 1 (luma) or 3.
        crop: as ``View`` has it.
        resize: as ``View`` has it.
        kind: ``image``, or ``mask``, whose pixels are numbers of classes.
        classes: of a mask, how many; of two, 255 counts as 1.

    Returns:
        uint8 (N, C, H, W), and a sentence that names the bad ones, if there are any.

    Raises:
        ValueError: where none is good.
        OSError: if the machine fails.
    """
    check_common("images", size=size, stored=stored, channels=channels, crop=crop)
    named: list[tuple[str, Content]] = []
    bad: list[Bad] = []
    for number, image in enumerate(images):
        if isinstance(image, Image.Image):
            named.append((f"image {number}", image))
        elif os.path.isdir(image):
            search = Search(Path(image))
            named += [(os.path.join(image, name), File(Path(image, name))) for name in search.names]
            bad += [Bad(os.path.join(image, name), reason) for name, reason in search.bad]
            if not search.names:
                bad.append(Bad(str(image), "holds no image"))
        else:
            named.append((str(image), File(Path(image))))
    try:
        chunk = decode_chunk(named, View(stored or size, channels, crop, "classes" if kind == "mask" else resize))
    except MachineError as error:
        raise OSError(f"{error}.") from None
    bad += chunk.bad
    if bad and not len(chunk.pixels):
        others = f", nor can {len(bad) - 1:,} more" if len(bad) > 1 else ""
        raise ValueError(f"{printable(bad[0].name)}: cannot be read as an image: {bad[0].reason}{others}")
    pixels = torch.from_numpy(chunk.pixels)
    return of_classes(pixels, classes if kind == "mask" else 0), judge(
        "images", bad, len(chunk.pixels), "given", "skip"
    )


def of_classes(masks: torch.Tensor, classes: int) -> torch.Tensor:
    """Masks, (N, ...); where there are two classes, black and white as 0 and 1."""
    return torch.where(white, 1, masks) if classes == 2 and (white := masks == 255).any() else masks


def read_plain(
    images: Sequence[str | Path | Image.Image], *, size: Size, channels: int, kind: str = "image", classes: int = 0
) -> tuple[torch.Tensor, tuple[str, ...]]:
    """As ``read``, for data whose options say nothing of cropping and resizing."""
    return read(images, size=size, channels=channels, kind=kind, classes=classes)
