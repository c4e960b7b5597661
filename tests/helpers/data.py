"""Miniatures of published data sets in their publishers' formats, and the cache they are packed into."""

from __future__ import annotations

import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
from PIL import Image


def random_pixels(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), np.uint8)


def smooth(seed: int, size: tuple[int, int]) -> Image.Image:
    """A picture that lossy formats keep well."""
    small = Image.fromarray(random_pixels(4, 4, 3, seed=seed))
    return small.resize(size, Image.Resampling.BICUBIC)


def encoded(image: Image.Image, kind: str = "jpeg") -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **({"quality": 95} if kind == "jpeg" else {}))
    return stream.getvalue()


# -- CIFAR: pickled by Python 2 --------------------------------------------------------------------------------


def python2_pickle(value: object) -> bytes:
    """``value`` as Python 2.7 with NumPy 1 pickles it, protocol 2 (opcodes of ``pickletools``)."""
    return b"\x80\x02" + _written(value) + b"."


def _written(value: object) -> bytes:
    match value:
        case str() | bytes():
            raw = value.encode() if isinstance(value, str) else value
            return (b"U" + bytes([len(raw)]) if len(raw) < 256 else b"T" + struct.pack("<i", len(raw))) + raw
        case int():
            return b"J" + struct.pack("<i", value)
        case list():
            return b"](" + b"".join(map(_written, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_written(k) + _written(v) for k, v in value.items()) + b"u"
        case np.ndarray():
            return _array(value)
    raise TypeError(type(value).__name__)


def _array(value: np.ndarray) -> bytes:
    new = b"cnumpy.core.multiarray\n_reconstruct\n" + b"cnumpy\nndarray\n" + _written(0) + b"\x85" + _written("b")
    kind = b"cnumpy\ndtype\n" + _written(value.dtype.str[1:]) + _written(0) + _written(1) + b"\x87R"
    kind += b"(" + _written(3) + _written("|") + b"NNN" + _written(-1) * 2 + _written(0) + b"tb"
    shape = b"(" + b"".join(map(_written, value.shape)) + b"t"
    return new + b"\x87R" + b"(" + _written(1) + shape + kind + b"\x89" + _written(value.tobytes()) + b"tb"


CIFAR = {
    "cifar10": ("cifar-10-batches-py", [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"], "cifar-10-python"),
    "cifar100": ("cifar-100-python", ["train", "test"], "cifar-100-python"),
}
"""Name -> folder, batches, archive."""


def cifar_batches(name: str, count: int) -> dict[str, np.ndarray]:
    """Batch -> uint8 (count, 3072)."""
    return {batch: random_pixels(count, 3072, seed=i) for i, batch in enumerate(CIFAR[name][1])}


def cifar_labels(name: str, count: int) -> dict[str, list[int]]:
    """Batch -> a class for each image."""
    classes = {"cifar10": 10, "cifar100": 100}[name]
    return {batch: [(i * 7 + k * 13) % classes for k in range(count)] for i, batch in enumerate(CIFAR[name][1])}


def cifar_folder(root: Path, name: str, count: int = 20) -> Path:
    """The folder the archive unpacks to."""
    folder = root / CIFAR[name][0]
    folder.mkdir()
    key, labels = {"cifar10": "labels", "cifar100": "fine_labels"}[name], cifar_labels(name, count)
    for batch, rows in cifar_batches(name, count).items():
        content = {"batch_label": "a batch", key: labels[batch], "coarse_labels": [19] * count, "data": rows}
        (folder / batch).write_bytes(python2_pickle(content))
    (folder / "batches.meta").write_bytes(pickle.dumps({"label_names": []}))
    return folder


def cifar_archive(root: Path, name: str, count: int = 20) -> Path:
    """The archive, and not its folder."""
    folder = cifar_folder(root, name, count)
    archive = root / f"{CIFAR[name][2]}.tar.gz"
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder, folder.name)
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()
    return archive


# -- downloads -------------------------------------------------------------------------------------------------


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which this machine serves a folder to itself."""
    handler: Callable[..., SimpleHTTPRequestHandler] = partial(_Quiet, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
