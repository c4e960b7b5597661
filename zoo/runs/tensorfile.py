"""Tensors in safetensors files: written in pieces without a copy, read without trusting who wrote them.

The format (github.com/huggingface/safetensors): the header's length in eight bytes, little-endian; the header, which
is JSON, ``name -> {dtype, shape, data_offsets}`` and ``__metadata__``; then the tensors, without a gap. The library
reads what is written here; what is read here is checked further than by the library, before a tensor is made.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.machine.disk import Bytes

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3": torch.float8_e4m3fn,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U64": torch.uint64,
    "U32": torch.uint32,
    "U16": torch.uint16,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
"""The format's names of types."""
NAMES = {dtype: name for name, dtype in DTYPES.items()}
BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Bytes of a number -> a type that numpy knows too."""

LARGEST_HEADER = 16 * 2**20
"""Bytes; a thousand tensors take some 0.1 MB."""
MOST_DIMENSIONS = 64
METADATA = "__metadata__"
BLANK = "0" * 64
SEAL = b'{"__metadata__":{"sha256":"'
"""How the header of a sealed file begins: what follows is the SHA-256 of the file with ``BLANK`` in its place."""


@dataclass(frozen=True)
class Entry:
    """Where a tensor lies in a file: its type, its shape, and its bytes counted from the file's begin."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    begin: int
    end: int


# -- writing -----------------------------------------------------------------------------------------------


def pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[Bytes]:
    """A safetensors file, as its header and the memory of each tensor.

    Args:
        tensors: contiguous, on the CPU; no two of them one piece of memory.
        metadata: text by name.

    Raises:
        ValueError: if a type cannot be written, or two names stand for one tensor.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))  # so each is aligned
    owners: dict[int, str] = {}
    header: dict[str, Any] = {METADATA: dict(metadata)}
    end = 0
    for name in names:
        tensor = tensors[name]
        if tensor.dtype not in NAMES:
            raise ValueError(f"tensor '{name}' is {tensor.dtype}, which safetensors files do not hold")
        if tensor.nbytes and owners.setdefault(tensor.data_ptr(), name) != name:
            raise ValueError(f"'{owners[tensor.data_ptr()]}' and '{name}' are one tensor")
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    filled = [tensors[name] for name in names if tensors[name].nbytes]
    return [len(text).to_bytes(8, "little") + text, *(t.reshape(-1).view(torch.uint8).numpy().data for t in filled)]


def contiguous(tensor: Tensor) -> Tensor:
    """A tensor of the CPU in the order of its indices, made so by numpy where it is not.

    Torch would start a team of threads for the thread that asks; with more threads than processors those of a training
    beside it go to sleep after every operation, and it takes twice as long.
    """
    if tensor.is_contiguous() or tensor.dtype not in NAMES:
        return tensor
    bits = tensor.view(BITS[tensor.element_size()])  # numpy has no bfloat16
    return torch.from_numpy(bits.numpy().copy()).view(tensor.dtype)


def sealed(parts: Sequence[Bytes]) -> bytes:
    """The file of some pieces, whose metadata begin with ``sha256: BLANK``, with its digest in that place."""
    content = b"".join(parts)
    place = 8 + len(SEAL)
    return content[:place] + hashlib.sha256(content).hexdigest().encode() + content[place + len(BLANK) :]


# -- reading -----------------------------------------------------------------------------------------------


def parsed(content: Bytes) -> tuple[dict[str, Entry], dict[str, str]]:
    """The header of a safetensors file: its tensors, and its metadata.

    Raises:
        ValueError: saying what is wrong with it.
    """
    view = memoryview(content)
    length = int.from_bytes(view[:8], "little")
    if len(view) < 8 or length > min(len(view) - 8, LARGEST_HEADER):
        raise ValueError("it is torn, or no safetensors file")
    try:
        header = json.loads(bytes(view[8 : 8 + length]), object_pairs_hook=_once, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("its header is nested without end") from None
    if not isinstance(header, dict):
        raise ValueError("its header is no mapping")
    metadata = header.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError("its metadata are not text by name")
    entries = {name: _entry(name, entry, 8 + length) for name, entry in header.items()}
    end = 8 + length
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != end:
            raise ValueError(f"tensor '{name}' does not begin where the one before it ends")
        end = entry.end
    if end != len(view):
        raise ValueError(f"its tensors end at byte {end:,} and the file at byte {len(view):,}")
    return entries, metadata


def _entry(name: str, entry: Any, start: int) -> Entry:
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"tensor '{name}' is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = DTYPES.get(str(entry["dtype"])), entry["shape"], entry["data_offsets"]
    if dtype is None:
        raise ValueError(f"tensor '{name}' has the unknown type {str(entry['dtype'])[:40]!r}")
    if not _counts(shape) or len(shape) > MOST_DIMENSIONS:
        raise ValueError(f"tensor '{name}' has no shape")
    if not _counts(offsets) or len(offsets) != 2:
        raise ValueError(f"tensor '{name}' has no place in the file")
    begin, end = offsets
    if math.prod(shape) * dtype.itemsize != end - begin:
        raise ValueError(f"tensor '{name}' has a shape that its {end - begin:,} bytes do not fill")
    if (start + begin) % dtype.itemsize:
        raise ValueError(f"tensor '{name}' does not begin at a multiple of its type's size")
    return Entry(dtype, tuple(shape), start + begin, start + end)


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int and number >= 0 for number in value)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is twice in its header")
    return found


def _no_constant(text: str) -> None:
    raise ValueError(f"{text} is in its header")


def tensors_in(content: bytearray, entries: Mapping[str, Entry]) -> dict[str, Tensor]:
    """The tensors of a file, which live in its memory."""
    return {name: _tensor(content, name, entry) for name, entry in entries.items()}


def _tensor(content: bytearray, name: str, entry: Entry) -> Tensor:
    count = math.prod(entry.shape)
    if not count:
        return torch.empty(entry.shape, dtype=entry.dtype)
    if entry.dtype == torch.bool and max(memoryview(content)[entry.begin : entry.end]) > 1:
        raise ValueError(f"tensor '{name}' has truth values that are neither true nor false")
    return torch.frombuffer(content, dtype=entry.dtype, count=count, offset=entry.begin).reshape(entry.shape)


def check_seal(content: Bytes) -> None:
    """Checks that every byte of a sealed file is the one that was written.

    Raises:
        ValueError: if one is not.
    """
    view, place = memoryview(content), 8 + len(SEAL)
    if view[8:place] != SEAL:
        raise ValueError("it has no SHA-256 of itself where one is expected")
    digest = hashlib.sha256(view[:place])
    digest.update(BLANK.encode())
    digest.update(view[place + len(BLANK) :])
    if view[place : place + len(BLANK)] != digest.hexdigest().encode():
        raise ValueError("its content is not what was written")


def check_fit(entries: Mapping[str, Entry], wanted: Mapping[str, Tensor]) -> None:
    """Checks that a file has the tensors that are wanted, in their types and shapes, and no others.

    Raises:
        ValueError: naming the first that differs.
    """
    for name in sorted(wanted.keys() | entries.keys()):
        if name not in entries:
            raise ValueError(f"tensor '{name}' is not in it")
        if name not in wanted:
            raise ValueError(f"it has a tensor '{name[:200]}', which the model has not")
        there, here = entries[name], wanted[name]
        if there.shape != here.shape or there.dtype != here.dtype:
            raise ValueError(
                f"tensor '{name}' is {NAMES[there.dtype]} {list(there.shape)} there "
                f"and {NAMES.get(here.dtype, here.dtype)} {list(here.shape)} in the model"
            )
