"""Arrays in files: images as ADM writes them, statistics as ADM, clean-fid and StyleGAN do. No file's code is run."""

from __future__ import annotations

import hashlib
import pickle
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import torch
from numpy.lib import format as npy
from torch import Tensor

from zoo.errors import RequestError, reason

AT_ONCE = 128
"""Images that are read together."""
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
ADMITTED = {
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("_codecs", "encode"),
}
"""All that a pickle of statistics may name: what makes arrays and numbers of bytes."""


class Arrays:
    """The arrays of an ``.npz`` or a ``.pkl``, by name; read when they are asked for.

    Raises:
        RequestError: it is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pickled: dict[str, Any] = {}
        with path.open("rb") as file:
            self.key = hashlib.file_digest(file, "sha256").hexdigest()
        self.names = self._guarded(self._listed)

    def array(self, name: str) -> np.ndarray:
        """One of them, whole."""
        if self._pickled:
            return np.asarray(self._pickled[name])
        return self._guarded(lambda: np.load(self.path, allow_pickle=False)[name])  # type: ignore[no-any-return]

    def streamed(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any], Callable[[int, int], Iterator[np.ndarray]]]:
        """Shape and type of one of an ``.npz``, and what reads its items from one to another without the rest."""
        shape, dtype = self._guarded(lambda: self._header(name))

        def read(begin: int, end: int) -> Iterator[np.ndarray]:
            size = dtype.itemsize * int(np.prod(shape[1:]))
            with ZipFile(self.path) as archive, archive.open(f"{name}.npy") as file:
                HEADERS[npy.read_magic(file)](file)
                self._guarded(partial(file.seek, begin * size, 1))
                for start in range(begin, end, AT_ONCE):
                    wanted = (min(start + AT_ONCE, end) - start) * size
                    yield from self._guarded(partial(_exactly, file, wanted, dtype, shape[1:]))

        return shape, dtype, read

    def _listed(self) -> tuple[str, ...]:
        if self.path.suffix.lower() == ".pkl":
            with self.path.open("rb") as file:
                found = _Reader(file).load()
            if not isinstance(found, dict):
                raise ValueError(f"it holds a {type(found).__name__}, not numbers by name")
            self._pickled = found
            return tuple(map(str, found))
        with ZipFile(self.path) as archive:
            return tuple(name.removesuffix(".npy") for name in archive.namelist())

    def _header(self, name: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
        with ZipFile(self.path) as archive, archive.open(f"{name}.npy") as file:
            shape, columns_first, dtype = HEADERS[npy.read_magic(file)](file)
        if columns_first or dtype.hasobject:
            raise ValueError(f"{name} is laid out as no array of images is")
        return shape, dtype

    def _guarded(self, work: Callable[[], Any]) -> Any:
        try:
            return work()
        except Exception as error:  # noqa: BLE001 - damaged files raise nearly anything
            raise RequestError(f"{self.path}: cannot be read: {reason(error)}; write or fetch it again") from None


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ADMITTED:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no statistics need and which is never given")


def _exactly(file: Any, size: int, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    content = file.read(size)
    if len(content) != size:
        raise ValueError("it ends before its images do")
    return np.frombuffer(content, dtype).reshape(-1, *shape)


@dataclass(frozen=True)
class Stored:
    """Images in an ``.npz``: how many, and what reads them, uint8 (H, W, 3)."""

    count: int
    read: Callable[[int, int], Iterator[np.ndarray]]


def images_in(arrays: Arrays) -> Stored | None:
    """The images of a file, in ``arr_0`` as ADM has it, or else in its only array; None where there are none.

    Raises:
        RequestError: what is there are no images of 8 bits.
    """
    if arrays.path.suffix.lower() != ".npz":
        return None
    name = "arr_0" if "arr_0" in arrays.names else arrays.names[0] if len(arrays.names) == 1 else ""
    if not name:
        return None
    shape, dtype, read = arrays.streamed(name)
    if len(shape) == 4 and shape[1] in (1, 3) and shape[3] not in (1, 3):
        raise RequestError(f"{arrays.path}: {name} is {shape}, channels first; expected N x H x W x 3")
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)):
        raise RequestError(f"{arrays.path}: {name} is {shape}; expected images, N x H x W x 3")
    if dtype != np.uint8:
        raise RequestError(f"{arrays.path}: {name} is {dtype}; expected uint8, 0 to 255")

    def rgb(begin: int, end: int) -> Iterator[np.ndarray]:
        for image in read(begin, end):
            yield np.broadcast_to(image if image.ndim == 3 else image[..., None], (*image.shape[:2], 3))

    return Stored(shape[0], rgb)


def statistics_in(arrays: Arrays) -> dict[str, Tensor]:
    """Published statistics by ADM's and clean-fid's names: ``mu`` and ``sigma``, ``mu_s`` and ``sigma_s``.

    StyleGAN's are sums, of which these are made. There may be none.
    """
    if {"raw_mean", "raw_cov", "num_items"} <= set(arrays.names):
        n = float(arrays.array("num_items"))
        found: dict[str, np.ndarray]
        mean, squares = (arrays.array(name).astype(np.float64) / n for name in ("raw_mean", "raw_cov"))
        found = {"mu": mean, "sigma": squares - np.outer(mean, mean), "n": np.asarray(n)}
    else:
        found = {name: arrays.array(name) for name in arrays.names if name in ("mu", "sigma", "mu_s", "sigma_s", "n")}
    bad = next((name for name, array in found.items() if not np.isfinite(array).all()), "")
    if bad:
        raise RequestError(f"{arrays.path}: {bad} holds numbers that are not finite")
    return {name: torch.from_numpy(np.asarray(array, dtype=np.float64)) for name, array in found.items()}
