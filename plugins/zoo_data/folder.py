"""A directory of images, of any kinds and sizes, good and bad."""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image

from zoo import api
from zoo_data.decode import read_square, strict_pillow
from zoo_data.find import EXTENSIONS, Bad, Search
from zoo_data.pixels import allocate, check_common

NAMED = 10
"""How many bad files a note names."""
CHUNK = 256
"""Files handed to the threads at once: bounds the memory in flight, and what Ctrl-C must wait for."""


def folder(
    *,
    path: str = "",
    size: int = 32,
    channels: Literal[1, 3] = 3,
    test: float = 0.1,
    on_bad: Literal["skip", "error"] = "skip",
    seed: int = 0,
) -> api.Images:
    """Every image below ``path``, in sorted order: upright, centre-cropped to a square, resized.

    Names that begin with a dot are passed over; what is reached twice, through links, counts once.
    Whether an image is for training or test is a hash of its name below ``path`` and of ``seed``, so adding
    one moves no other, except where a split would be empty: the last or first image is moved into it.

    Args:
        path: the directory; ``~`` is the home directory.
        size: image side in pixels.
        channels: 1 (luma) or 3.
        test: share of the images held out, between 0 and 1.
        on_bad: ``skip`` files that cannot be read and name them in the notes, or stop with an ``error``.
        seed: another seed, another split.

    Raises:
        ValueError: for a value outside its range, fewer than two good images, or (``error``) a bad one.
        OSError: when ``path`` is missing, no directory, or unreadable.
    """
    check_common("folder", size=size, channels=channels, seed=seed)
    if not 0 < test < 1:
        raise ValueError(f"folder: option 'test' is {test}; choose a share between 0 and 1, such as 0.1.")
    root = _directory(path)
    search = _search(root)
    held_out = {name for name in search.names if _fraction(name, seed) < test}
    # Stable: those for training, then those for test, each in sorted order.
    names = sorted(search.names, key=held_out.__contains__)
    pixels, good, bad = _pack(root, names, size, channels)
    notes = _judge(root, len(good), sorted(search.bad + bad), on_bad)
    border = min(max(sum(name not in held_out for name in good), 1), len(good) - 1)
    packed = torch.from_numpy(pixels)
    return api.Images(packed[:border], packed[border:], notes)


def _directory(path: str) -> Path:
    """The absolute path of a directory that can be listed."""
    if not path:
        raise ValueError("folder: option 'path' is empty; give the directory of your images.")
    try:
        root = Path(path).expanduser().absolute()
        os.scandir(root).close()
    except FileNotFoundError:
        raise FileNotFoundError(f"folder: {root} does not exist; give a directory of images.") from None
    except NotADirectoryError:
        raise NotADirectoryError(f"folder: {root} is no directory; give one that holds images.") from None
    except (OSError, ValueError, RuntimeError) as error:  # a null byte in the name; no such ~user
        why = getattr(error, "strerror", None) or error
        raise OSError(f"folder: {path!r} cannot be listed ({why}); give a directory you may read.") from None
    return root


def _search(root: Path) -> Search:
    """What ``root`` holds, if it holds anything."""
    search = Search(root)
    if not search.names and not search.bad:
        extensions = " ".join(EXTENSIONS)
        raise ValueError(f"folder: {root} holds no image ({extensions}, in any case, at any depth).")
    return search


def _fraction(name: str, seed: int) -> float:
    """A number in [0, 1) that is a function of the name and the seed alone."""
    digest = hashlib.blake2b(b"%d\0" % seed + os.fsencode(name), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _pack(root: Path, names: Sequence[str], size: int, channels: int) -> tuple[np.ndarray, list[str], list[Bad]]:
    """The good images as uint8 (N, C, S, S), their N names in the order given, and the bad files."""
    pixels = allocate("folder", len(names), channels, size)
    good: list[str] = []
    bad: list[Bad] = []
    Image.init()  # loads the decoders here, once, and not in several threads at a time
    # Pillow decodes without holding the interpreter's lock, so threads pay.
    with strict_pillow(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for start in range(0, len(names), CHUNK):
            chunk = names[start : start + CHUNK]
            images = threads.map(lambda name: read_square(root / name, size, channels), chunk)
            for name, image in zip(chunk, images, strict=True):
                if isinstance(image, str):
                    bad.append(Bad(name, image))
                else:
                    pixels[len(good)] = image
                    good.append(name)
    return pixels[: len(good)], good, bad


def _judge(root: Path, good: int, bad: Sequence[Bad], on_bad: str) -> tuple[str, ...]:
    """Notes on the bad files, or the sentence that ends the matter."""
    total = good + len(bad)
    if bad and on_bad == "error":
        raise ValueError(
            f"folder: {len(bad):,} of {total:,} files in {root} cannot be used, first {bad[0]}; "
            "repair or remove them, or set on_bad to skip."
        )
    if good == 0:
        raise ValueError(f"folder: none of the {total:,} files in {root} can be used, first {bad[0]}.")
    if good == 1:
        besides = f", besides {len(bad):,} bad ones, first {bad[0]}" if bad else ""
        raise ValueError(
            f"folder: {root} holds one good image{besides}; add another, for train and test need one each."
        )
    if not bad:
        return ()
    more = f" and {len(bad) - NAMED:,} more" if len(bad) > NAMED else ""
    listed = ", ".join(map(str, bad[:NAMED]))
    return (f"folder: skipped {len(bad):,} of {total:,} files in {root}: {listed}{more}.",)
