"""LSUN bedroom (Yu et al. 2015), from the publisher's LMDB databases or from folders of the images exported."""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from zoo import api
from zoo_data.bad import judge
from zoo_data.decode import View
from zoo_data.files import homes, look, missing
from zoo_data.find import Search
from zoo_data.listed import signature
from zoo_data.pack import pack_splits
from zoo_data.pixels import Size, check_common
from zoo_data.read import read
from zoo_data.sources import Items, Source, files_source, how_many

URL = "http://dl.yf.io/lsun/scenes/bedroom_{}_lmdb.zip"


def lsun_bedroom(
    *,
    root: str = "data",
    size: Size = 64,
    stored: Size = 0,
    channels: Literal[1, 3] = 3,
    crop: int | Literal["square", "none"] = "square",
    train: int = 0,
    test: int = 0,
    resize: Literal["antialias", "published"] = "antialias",
    on_error: Literal["error", "skip"] = "error",
    workers: int = 0,
) -> api.Images:
    """Colour photographs of bedrooms, 3,033,042 for training and the 300 for validation as test, in key order.

    Args:
        root: the directory that holds the LMDB directories ``bedroom_train_lmdb`` and ``bedroom_val_lmdb``, or
            folders ``bedroom_train`` and ``bedroom_val`` of the images exported; a folder ``lsun-bedroom`` in it
            will do.
        size: image side in pixels, or [height, width].
        stored: image side that is packed, or [height, width], larger than ``size``: models see the central part, or
            what an augmentation such as ``resized-crop`` cuts out; 0 for ``size``.
        channels: 3, or 1 (luma).
        crop: the largest central ``square``, or part of the proportions of ``size``; a number of pixels, for a
            central part of that shorter side; ``none`` squeezes the whole image, as the AVAE paper does.
        train: how many training images, the first ones; 0 for all.
        test: how many test images, the first ones; 0 for all.
        resize: ``antialias`` (bicubic), or ``published`` (bilinear from the four nearest pixels).
        on_error: stop with an ``error`` where an image cannot be read, or ``skip`` it and name it in the notes.
        workers: processes that decode; 0 for one a core, at most 8; 1 for none but this one.

    Raises:
        ValueError: for a value outside its range, a damaged database, or (``error``) a bad image.
        OSError: when a file is missing or cannot be read; when the cache cannot be written.
    """
    check_common("lsun-bedroom", size=size, stored=stored, channels=channels, crop=crop)
    wanted = {"train": train, "val": test}
    sources = [_source(part, _place(part, root), wanted[part], on_error) for part in wanted]
    view = View(stored or size, channels, crop, resize)
    return pack_splits(*sources, view, workers=workers, on_error=on_error)


def _ready(*, root: str) -> None:
    """Refuses where a database lacks, is cut short, or cannot be read for want of lmdb."""
    for part in ("train", "val"):
        place = _place(part, root)
        if place.name.endswith("_lmdb"):
            open_database(place).close()


lsun_bedroom.ready = _ready
lsun_bedroom.read = read


def _place(part: str, root: str) -> Path:
    folders = homes("lsun-bedroom", root)
    names = [f"bedroom_{part}_lmdb", f"bedroom_{part}"]
    if place := look(folders, names):
        return place
    url = URL.format(part)
    cure = f"fetch {url} into {folders[0]} (curl -O {url}) and unpack it there (unzip {url.rpartition('/')[2]})"
    raise missing("lsun-bedroom", folders, names, cure)


def _source(part: str, place: Path, wanted: int, on_error: str) -> Source:
    option = {"train": "train", "val": "test"}[part]
    if place.name.endswith("_lmdb"):
        return _database(part, place, option, wanted)
    search = Search(place)
    judge("lsun-bedroom", search.bad, len(search.names), f"files in {place}", on_error)
    names = search.names[: how_many("lsun-bedroom", option, wanted, len(search.names))]
    return files_source("lsun-bedroom", part, place, names)


def _database(part: str, place: Path, option: str, wanted: int) -> Source:
    with open_database(place) as database:
        count = how_many("lsun-bedroom", option, wanted, database.stat()["entries"])

    def items(start: int) -> Items:
        with open_database(place) as database, database.begin() as transaction:
            for key, value in islice(_entries(place, transaction.cursor()), start, count):
                yield key.decode("ascii", "backslashreplace"), value

    identity = [place.name, *signature(place / "data.mdb"), count]
    return Source("lsun-bedroom", part, count, items, identity, f"images in {place}")


def _entries(place: Path, cursor: Any) -> Iterator[tuple[bytes, bytes]]:
    """Every key and value in key order; damage met on the way is a sentence."""
    import lmdb

    try:
        yield from cursor
    except lmdb.Error as error:
        raise ValueError(f"lsun-bedroom: {place} is damaged ({error}); unpack it again.") from None


def open_database(place: Path) -> Any:
    """An LMDB environment that is only read and takes no lock, so any number of processes may have it open.

    Raises:
        ValueError: if it is no database, is damaged at its start, or cut short.
        OSError: if it cannot be read, or lmdb is not installed.
    """
    try:
        import lmdb
    except ImportError:
        raise OSError(
            "lsun-bedroom: its databases are read by lmdb, which is not installed; "
            "pip install 'generative-zoo[lsun]', or export the images to folders."
        ) from None
    try:
        database = lmdb.open(str(place), readonly=True, lock=False, create=False, readahead=False, max_readers=1)
    except lmdb.Error as error:
        raise ValueError(f"lsun-bedroom: {place} cannot be opened ({error}); fetch and unpack it again.") from None
    # Beyond the end of a file that was cut short, memory that lmdb maps has nothing behind it: reading it kills.
    promised = (database.info()["last_pgno"] + 1) * database.stat()["psize"]
    if (there := (place / "data.mdb").stat().st_size) < promised:
        database.close()
        raise ValueError(
            f"lsun-bedroom: {place / 'data.mdb'} is cut short: {there:,} bytes of {promised:,}; unpack it again."
        )
    return database
