"""An array of bytes from a file of MATLAB 5, of at most so many: what the file says otherwise costs nothing.

Readers of everything trust a file's sizes: one that was changed fills the memory. (MAT-File Format, MathWorks, ch. 1.)
"""

import os
import struct
import zlib
from math import prod
from pathlib import Path
from typing import BinaryIO

import numpy as np

HEADER = 128
"""Bytes of text, the version, and two that tell the order of bytes."""
ORDERS = {b"IM": "<", b"MI": ">"}
BYTES, MATRIX, COMPRESSED = 2, 14, 15
"""Kinds of elements."""
CLASS = 9
"""Of arrays of unsigned bytes."""
SMALL = 256
"""Bytes of the largest element of a matrix but for its numbers."""
CHUNK = 1 << 20


class OtherArrayError(ValueError):
    """The array is not of bytes, of another shape, or larger than it may be."""


def read_array(
    path: Path, name: str, most: int, before: tuple[int, ...], behind: tuple[int, ...] = ()
) -> np.ndarray | None:
    """The array of a name, uint8 (*before, N, *behind), N at most ``most``; None if there is none of that name.

    Raises:
        OtherArrayError: if it is another.
        ValueError: if the file is damaged.
        OSError: if it cannot be read.
    """
    with path.open("rb") as file:
        order = ORDERS.get(file.read(HEADER)[-2:])
        if order is None:
            raise ValueError("it is no file of MATLAB 5")
        found, at, size = None, HEADER, os.fstat(file.fileno()).st_size
        while at < size:
            file.seek(at)
            kind, length = struct.unpack(f"{order}II", _Stream(file, 8).read(8))
            at += 8 + length
            if at > size:
                raise ValueError("it is cut short")
            if found is None and kind in (MATRIX, COMPRESSED):
                stream = _Stream(file, length, zlib.decompressobj() if kind == COMPRESSED else None)
                found = _matrix(stream, order, name, most, before, behind)
        return found


class _Stream:
    """The bytes of an element, as many as are asked for at a time."""

    def __init__(self, file: BinaryIO, size: int, inflating: "zlib._Decompress | None" = None) -> None:
        self._file, self._left, self.inflating = file, size, inflating

    def read(self, size: int) -> bytearray:
        """So many; a ValueError if there are fewer."""
        found = bytearray()
        while len(found) < size:
            piece = self._piece(size - len(found))
            if not piece:
                raise ValueError("it is cut short")
            found += piece
        return found

    def end(self) -> None:
        """Compares the checksum behind what was compressed, a few bytes of padding on."""
        if self.inflating:
            self._piece(8)
            if not self.inflating.eof:
                raise ValueError("it does not end where it should")

    def _piece(self, most: int) -> bytes:
        if self.inflating is None:
            return self._raw(most)
        raw, piece = b" ", b""
        while raw and not piece and not self.inflating.eof:
            raw = self.inflating.unconsumed_tail or self._raw(CHUNK)
            try:
                piece = self.inflating.decompress(raw, most)
            except zlib.error as error:
                raise ValueError(str(error)) from None
        return piece

    def _raw(self, most: int) -> bytes:
        piece = self._file.read(min(most, self._left, CHUNK))
        self._left -= len(piece)
        return piece


def _matrix(
    stream: _Stream, order: str, name: str, most: int, before: tuple[int, ...], behind: tuple[int, ...]
) -> np.ndarray | None:
    if stream.inflating and struct.unpack(f"{order}II", stream.read(8))[0] != MATRIX:
        return None
    flags = _part(stream, order)
    sizes = _part(stream, order)
    if _part(stream, order) != name.encode():
        return None
    if len(flags) < 4 or len(sizes) != 4 * len((*before, most, *behind)):
        raise OtherArrayError(name)
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    n = shape[len(before)]
    kind, length = struct.unpack(f"{order}II", stream.read(8))
    right = (
        struct.unpack(f"{order}I", flags[:4])[0] & 0xFF == CLASS and shape == (*before, n, *behind) and 0 <= n <= most
    )
    if not right or (kind, length) != (BYTES, prod(shape)):
        raise OtherArrayError(name)
    numbers = np.frombuffer(stream.read(length), np.uint8).reshape(shape, order="F")
    stream.end()
    return numbers


def _part(stream: _Stream, order: str) -> bytes:
    """A small element: flags, sizes, a name."""
    tag = stream.read(8)
    kind, length = struct.unpack(f"{order}II", tag)
    if kind >> 16:  # so small that it stands in the tag itself
        return bytes(tag[4 : 4 + (kind >> 16)])
    if length > SMALL:
        raise ValueError("a part of it is too long")
    return bytes(stream.read(length + -length % 8)[:length])
