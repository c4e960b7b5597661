"""Image files named on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor
from torchvision.transforms.functional import pil_to_tensor

from zoo.errors import RequestError
from zoo.recipe.schema import Sizes
from zoo.types import to_model


def read_images(paths: Sequence[Path], sizes: Sizes) -> Tensor:
    """Image files as a model sees them: upright, centre-cropped to a square, resized with antialiasing.

    Returns:
        (B, C, H, W) in [-1, 1].

    Raises:
        RequestError: naming a file that cannot be read.
    """
    return torch.stack([to_model(_read(path, sizes)) for path in paths])


def _read(path: Path, sizes: Sizes) -> Tensor:
    try:
        with Image.open(path) as file:
            upright = ImageOps.exif_transpose(file).convert("RGB" if sizes.channels == 3 else "L")
    except FileNotFoundError:
        raise RequestError(f"{path}: there is no such file") from None
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise RequestError(f"{path}: cannot be read as an image: {error}") from None
    square = ImageOps.fit(upright, (sizes.size, sizes.size), Image.Resampling.LANCZOS)
    pixels: Tensor = pil_to_tensor(square)
    return pixels
