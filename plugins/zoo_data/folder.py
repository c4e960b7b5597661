"""A directory of images, of any kinds and sizes, good and bad."""

import hashlib
import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Literal
from zipfile import ZipFile, is_zipfile

from zoo import api
from zoo_data.bad import judge, printable
from zoo_data.cache import Packed
from zoo_data.decode import View
from zoo_data.files import user_path
from zoo_data.find import Search
from zoo_data.listed import content, signature
from zoo_data.pack import check_workers, pack
from zoo_data.pixels import Size, check_common
from zoo_data.read import read
from zoo_data.sources import Items, Source, files_source, zipped

TRAIN = ("train", "training")
TEST = ("test", "testing", "val", "valid", "validation")
"""Names of directories that say which split is in them, in any case; of several the first."""


def folder(
    *,
    path: str = "",
    size: Size = 32,
    channels: Literal[1, 3] = 3,
    test: float | str = 0.1,
    crop: int | Literal["square", "none"] = "square",
    resize: Literal["antialias", "published"] = "antialias",
    on_error: Literal["skip", "error"] = "skip",
    workers: int = 0,
    seed: int = 0,
) -> api.Images:
    """Every image below ``path``, in sorted order: upright, cropped, resized; packed once into the cache.

    Names that begin with a dot and runs of the zoo are passed over, and files that Pillow cannot read, which are
    counted in the notes; what is reached twice, through links, counts once.
    Whether an image is for training or test is a hash of its name below ``path`` and of ``seed``, so adding
    one moves no other, except where a split would be empty: the last or first image is moved into it.

    Args:
        path: the directory, or a zip of images; ``~`` is the home directory, ``$NAME`` what the environment has.
        size: image side in pixels, or [height, width].
        channels: 1 (luma) or 3.
        test: share of the images held out, between 0 and 1; or the directory of the test images, its name below
            ``path`` or absolute. Where ``path`` has directories ``train`` and ``test`` (or ``val``), those are the
            splits.
        crop: the largest central ``square``, or part of the proportions of ``size``; a number of pixels, for a
            central part of that shorter side; ``none`` squeezes the whole image.
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
    if not isinstance(test, str) and not 0 < test < 1:
        raise ValueError(f"folder: option 'test' is {test}; choose a share between 0 and 1, such as 0.1.")
    root = _place(path)
    search = _search(root)
    chosen, held_out, notes = _splits(root, search.names, test, seed)
    if search.passed_over:
        where = printable(str(root))
        notes.append(f"folder: found {len(search.names):,} images in {where}, passed over {search.passed_over}.")
    # Stable: those for training, then those for test, each in sorted order.
    names = sorted(chosen, key=held_out.__contains__)
    source = _zip_source(root, names) if root.is_file() else files_source("folder", "all", root, names)
    packed = pack(source, View(size, channels, crop, resize), workers)
    good = len(packed.pixels)
    bad = sorted([*search.bad, *packed.bad])
    notes += judge("folder", bad, good, f"files in {printable(str(root))}", on_error, packed.page)
    if good == 1:
        besides = f", besides {len(bad):,} bad ones, first {bad[0]}" if bad else ""
        raise ValueError(
            f"folder: {root} holds one good image{besides}; add another, for train and test need one each."
        )
    border = min(max(_for_training(names, held_out, packed), 1), good - 1)
    return api.Images(packed.pixels[:border], packed.pixels[border:], (*packed.notes, *notes))


def _splits(root: Path, names: list[str], test: float | str, seed: int) -> tuple[list[str], set[str], list[str]]:
    """Says which names are used, which of them are for test, and what is to be told of that."""
    if isinstance(test, str):
        place = Path(os.path.normpath(root / user_path(test)))
        below = f"{place.relative_to(root).as_posix()}/" if place.is_relative_to(root) else ""
        held_out = {name for name in names if below and name.startswith(below)}
        if not below:
            held_out = {str(place / name) for name in _search(_directory(str(place))).names}
        if not held_out or held_out >= set(names):
            raise ValueError(f"folder: option 'test' is {test!r}; {place} holds no image, or there is none besides.")
        return sorted({*names, *held_out}), held_out, []
    tops = Counter(name.partition("/")[0] for name in names if "/" in name)
    train = next((top for top in sorted(tops) if top.lower() in TRAIN), None)
    held = next((top for known in TEST for top in sorted(tops) if top.lower() == known), None)
    if not train or not held:
        return names, {name for name in names if _fraction(name, seed) < test}, []
    chosen = [name for name in names if name.partition("/")[0] in {train, held}]
    splits = f"{train}/ with {tops[train]:,} images for training and {held}/ with {tops[held]:,} for test"
    note = f"folder: {printable(str(root))} has {splits}"
    if others := len(names) - len(chosen):
        note += f"; {others:,} images besides these are not used"
    return chosen, {name for name in chosen if name.startswith(f"{held}/")}, [f"{note}."]


def _for_training(names: list[str], held_out: set[str], packed: Packed) -> int:
    bad = {name for name, _ in packed.bad}
    return sum(name not in held_out and name not in bad for name in names)


def _place(path: str) -> Path:
    """Gives the absolute path of a directory or of a zip."""
    with suppress(OSError, ValueError, RuntimeError):
        if path and (place := user_path(path).absolute()).is_file() and is_zipfile(place):
            return place
    return _directory(path)


def _directory(path: str) -> Path:
    """The absolute path of a directory that can be listed."""
    if not path:
        raise ValueError("folder: option 'path' is empty; give the directory of your images.")
    try:
        root = user_path(path).absolute()
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
    _place(path)


folder.ready = _ready
folder.read = read


def _search(root: Path) -> Search:
    """Lists ``root``, if it holds anything."""
    search = Search(root)
    if not search.names and not search.bad:
        besides = f"; passed over {search.passed_over}" if search.passed_over else ""
        kinds = ".png .jpg .webp and what else Pillow reads, in any case, at any depth"
        raise ValueError(f"folder: {root} holds no image ({kinds}){besides}.")
    return search


def _zip_source(path: Path, names: list[str]) -> Source:
    def items(start: int) -> Items:
        with ZipFile(path) as archive:
            for name in names[start:]:
                yield name, zipped(archive, name, name)

    identity = [str(path), *signature(path), content([path]), names]
    return Source("folder", "all", len(names), items, identity, f"images in {printable(str(path))}")


def _fraction(name: str, seed: int) -> float:
    """A number in [0, 1) that is a function of the name and the seed alone."""
    digest = hashlib.blake2b(b"%d\0" % seed + os.fsencode(name), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64
