"""A directory of images, of any kinds and sizes, good and bad."""

import hashlib
import os
from pathlib import Path
from typing import Literal

from zoo import api
from zoo_data.bad import judge, printable
from zoo_data.cache import Packed
from zoo_data.decode import View
from zoo_data.find import EXTENSIONS, Search
from zoo_data.pack import check_workers, pack
from zoo_data.pixels import check_common
from zoo_data.read import read
from zoo_data.sources import files_source


def folder(
    *,
    path: str = "",
    size: int = 32,
    channels: Literal[1, 3] = 3,
    test: float = 0.1,
    crop: int | Literal["square", "none"] = "square",
    resize: Literal["antialias", "published"] = "antialias",
    on_error: Literal["skip", "error"] = "skip",
    workers: int = 0,
    seed: int = 0,
) -> api.Images:
    """Every image below ``path``, in sorted order: upright, cropped, resized; packed once into the cache.

    Names that begin with a dot are passed over; what is reached twice, through links, counts once.
    Whether an image is for training or test is a hash of its name below ``path`` and of ``seed``, so adding
    one moves no other, except where a split would be empty: the last or first image is moved into it.

    Args:
        path: the directory; ``~`` is the home directory.
        size: image side in pixels.
        channels: 1 (luma) or 3.
        test: share of the images held out, between 0 and 1.
        crop: the largest central ``square``; a number of pixels, for a central square of that side; ``none``
            squeezes the whole image.
        resize: ``antialias`` (bicubic), or ``published`` (bilinear from the four nearest pixels).
        on_error: ``skip`` files that cannot be read and name them in the notes, or stop with an ``error``.
        workers: processes that decode; 0 for one a core, at most 8; 1 for none but this one.
        seed: another seed, another split.

    Raises:
        ValueError: for a value outside its range, fewer than two good images, or (``error``) a bad one.
        OSError: when ``path`` is missing, no directory, or unreadable; when the cache cannot be written.
    """
    check_common("folder", size=size, channels=channels, seed=seed, crop=crop)
    check_workers("folder", workers)
    if not 0 < test < 1:
        raise ValueError(f"folder: option 'test' is {test}; choose a share between 0 and 1, such as 0.1.")
    root = _directory(path)
    search = _search(root)
    held_out = {name for name in search.names if _fraction(name, seed) < test}
    # Stable: those for training, then those for test, each in sorted order.
    names = sorted(search.names, key=held_out.__contains__)
    packed = pack(files_source("folder", "all", root, names), View(size, channels, crop, resize), workers)
    good = len(packed.pixels)
    bad = sorted([*search.bad, *packed.bad])
    notes = judge("folder", bad, good, f"files in {printable(str(root))}", on_error, packed.page)
    if good == 1:
        besides = f", besides {len(bad):,} bad ones, first {bad[0]}" if bad else ""
        raise ValueError(
            f"folder: {root} holds one good image{besides}; add another, for train and test need one each."
        )
    border = min(max(_for_training(names, held_out, packed), 1), good - 1)
    return api.Images(packed.pixels[:border], packed.pixels[border:], (*packed.notes, *notes))


def _for_training(names: list[str], held_out: set[str], packed: Packed) -> int:
    bad = {name for name, _ in packed.bad}
    return sum(name not in held_out and name not in bad for name in names)


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


def _ready(*, path: str) -> None:
    """Refuses a directory that cannot be listed."""
    _directory(path)


folder.ready = _ready
folder.read = read


def _search(root: Path) -> Search:
    """Lists ``root``, if it holds anything."""
    search = Search(root)
    if not search.names and not search.bad:
        extensions = " ".join(EXTENSIONS)
        raise ValueError(f"folder: {root} holds no image ({extensions}, in any case, at any depth).")
    return search


def _fraction(name: str, seed: int) -> float:
    """A number in [0, 1) that is a function of the name and the seed alone."""
    digest = hashlib.blake2b(b"%d\0" % seed + os.fsencode(name), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
