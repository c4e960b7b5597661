"""Sets of images in files, as users have them."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import numpy as np
from PIL import Image


def pixels(n: int, seed: int = 0, size: int = 32, *, gray: bool = False, tint: float = 0.0) -> np.ndarray:
    """Smooth images, uint8 (N, H, W, 3), or (N, H, W) in grey: networks find something to tell apart."""
    generator = np.random.default_rng(seed)
    coarse = (generator.random((n, 5, 5, 3)) * 200 + 50 * generator.random((n, 1, 1, 3))) * (1 - tint)
    images = [
        Image.fromarray(image.astype(np.uint8)).resize((size, size), Image.Resampling.BICUBIC) for image in coarse
    ]
    return np.stack([np.asarray(image.convert("L") if gray else image) for image in images])


def folder(path: Path, images: np.ndarray, suffix: str = ".png", first: int = 0) -> Path:
    """One file an image, by number."""
    path.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(images, first):
        Image.fromarray(image).save(path / f"{number:05d}{suffix}")
    return path


def zipped(path: Path, source: Path) -> Path:
    """A zip of a folder's files."""
    with ZipFile(path, "w") as archive:
        for file in sorted(source.iterdir()):
            archive.write(file, f"images/{file.name}")
    return path
