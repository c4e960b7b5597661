"""CIFAR's pickles, read without trusting them: no name that a file calls for is ever imported.

The published files are dictionaries of bytes, integers, lists and one array, pickled by Python 2 (protocol 2).
They name three of NumPy's globals; stand-ins serve for them, which hold what the file says and do nothing.
"""

import io
import pickle
import pickletools
from typing import Any, NamedTuple

import numpy as np


class _Array:
    """Stands in for ``numpy.ndarray``: keeps the pixels it is given."""

    pixels: np.ndarray | None = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], object, bool, bytes]) -> None:
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Kind) or kind.code not in (b"u1", "u1", b"B", "B") or fortran:
            raise pickle.UnpicklingError("its array is not one of unsigned bytes")
        self.pixels = np.frombuffer(content, np.uint8).reshape(shape)


class _Kind:
    """Stands in for ``numpy.dtype``: keeps its code."""

    def __init__(self, code: object = "", *_: object) -> None:
        self.code = code

    def __setstate__(self, state: object) -> None:
        """Byte order and the like: of no consequence to bytes."""


def _empty(*_: object) -> _Array:
    """Stands in for ``numpy.core.multiarray._reconstruct``; the content follows as its state."""
    return _Array()


ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _empty,
    ("numpy._core.multiarray", "_reconstruct"): _empty,  # where NumPy 2 writes the same
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
}
"""Every global a file may name, and what it gets."""


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        try:
            return ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no image file needs and which is never given"
            ) from None


def _check_memo(content: bytes) -> None:
    """Refuses a place in the memo that no pickle this long could need: memory is set aside up to it."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name.endswith("PUT") and argument > len(content):
            raise pickle.UnpicklingError(f"it stores something at place {argument:,} of its memo")


class Batch(NamedTuple):
    """A batch of CIFAR: its pixels, uint8 of the shape they have, and a class from 0 to 255 of each image."""

    pixels: np.ndarray
    labels: list[int]


def read_batch(content: bytes, name: str) -> Batch:
    """The array under ``data`` and the labels under a name, in a pickled batch of CIFAR.

    Raises:
        ValueError: if the pickle is damaged, names any other global, or holds no such array or labels.
    """
    try:
        _check_memo(content)
        batch = _Reader(io.BytesIO(content), encoding="bytes").load()
    except Exception as error:  # noqa: BLE001 - damaged pickles raise nearly anything
        raise ValueError(str(error).rstrip(".") or type(error).__name__) from None
    array, labels = (
        (batch.get(key.encode()) or batch.get(key)) if isinstance(batch, dict) else None for key in ("data", name)
    )
    if not isinstance(array, _Array) or array.pixels is None:
        raise ValueError("it holds no array 'data'")
    if not isinstance(labels, list) or not all(isinstance(label, int) and 0 <= label < 256 for label in labels):
        raise ValueError(f"it holds no classes '{name}'")
    return Batch(array.pixels, labels)
