"""Safetensors files: written in pieces, without a copy, and read by the library once every byte was checked.

The library's ``save_file`` does not do: a kill leaves a file under a name of its choice, nobody else may read what it
writes, and of a disk that refuses it gives a text without a number.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.errors import Damaged, RunError, reason
from zoo.machine.device import VARIABLE, memory
from zoo.machine.disk import Bytes, inside, opened
from zoo.machine.torch_private import out_of_memory
from zoo.model.kept import NAMES

BITS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Bytes of a number -> a type that numpy knows too."""

LARGEST_HEADER = 16 * 2**20
"""Bytes; a thousand tensors take some 0.1 MB."""
BLANK = "0" * 64
SEAL = b'{"__metadata__":{"sha256":"'
"""How the header of a sealed file begins: what follows is the SHA-256 of the file with ``BLANK`` in its place."""
PLACE = 8 + len(SEAL)


def pieces(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[Bytes]:
    """Makes a safetensors file of tensors and text by name: its header, and the memory of each.

    Tensors of a GPU, or in another order, are copied. A type that cannot be written is a ValueError.
    """
    ready = {name: _contiguous(name, tensor.detach().cpu()) for name, tensor in tensors.items()}
    names = sorted(ready, key=lambda name: (-ready[name].element_size(), name))  # so each is aligned
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        tensor = ready[name]
        begin, end = end, end + tensor.nbytes
        header[name] = {"dtype": NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    filled = (ready[name] for name in names if ready[name].nbytes)
    return [len(text).to_bytes(8, "little") + text, *(t.reshape(-1).view(torch.uint8).numpy().data for t in filled)]


def _contiguous(name: str, tensor: Tensor) -> Tensor:
    """Puts a tensor in the order of its indices, by numpy.

    Torch would start a team of threads for the thread that asks; with more threads than processors those of a training
    beside it go to sleep after every operation, and it takes twice as long.
    """
    if tensor.dtype not in NAMES:
        raise ValueError(f"tensor '{name}' is {tensor.dtype}, which safetensors files do not hold")
    bits = tensor.view(BITS[tensor.element_size()])  # numpy has no bfloat16
    return torch.from_numpy(np.asarray(bits.numpy(), order="C")).view(tensor.dtype)


def digest_of(parts: Iterable[Bytes]) -> str:
    """The SHA-256 of a file that is written in pieces."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def sealed(parts: Sequence[Bytes]) -> list[Bytes]:
    """Puts into a file, whose metadata begin with ``sha256: BLANK``, its digest in that place."""
    head = bytes(parts[0])
    return [head[:PLACE] + digest_of(parts).encode() + head[PLACE + len(BLANK) :], *parts[1:]]


WRONG = (LookupError, ValueError, TypeError, AttributeError, RuntimeError, SafetensorError)
"""What making something of bytes may raise that are not those that were written, or that an attacker wrote."""


@contextmanager
def judged() -> Iterator[None]:
    """Inside, something is made of bytes that were read: where they are wrong, that is Damaged.

    Where memory is short, or the system refuses, nothing is known of them: a RunError.
    """
    try:
        yield
    except (*WRONG, MemoryError) as error:
        if out_of_memory(error):
            raise RunError(f"out of memory as it was read ({reason(error)}); free some and run again") from error
        raise Damaged(reason(error)) from error


def refuse_larger(path: Path, size: int) -> None:
    """Refuses to read what memory cannot hold: a RunError."""
    if size > (most := memory()):
        cure = f"set {VARIABLE}={size} to try all the same"
        raise RunError(f"{path}: has {size:,} bytes, more than the {most:,} of memory here; {cure}")


@contextmanager
def checked(folder: Path, name: str, most: int, digest: str = "") -> Iterator[Any]:
    """Opens a file once every byte of it is known to be the one that was written: its header is checked; its tensors
    are read when they are asked for.

    Args:
        most: bytes that it may have.
        digest: its SHA-256; where none is given, the file is a sealed one, which has its own.

    Raises:
        FileNotFoundError: if there is none.
        Damaged: if it lies elsewhere, is too large, or a byte is another.
        RunError: if the system refuses to read it.
        SafetensorError: if it is no safetensors file.
    """
    with opened(folder, name, most) as file:
        head = file.read(PLACE + len(BLANK))
        if int.from_bytes(head[:8], "little") > LARGEST_HEADER:
            raise Damaged("it is torn, or no safetensors file")
        if not digest:
            if head[8:PLACE] != SEAL:
                raise Damaged("it has no SHA-256 of itself where one is expected")
            digest, head = head[PLACE:].decode("latin-1"), head[:PLACE] + BLANK.encode()
        if hashlib.file_digest(file, lambda: hashlib.sha256(head)).hexdigest() != digest:
            raise Damaged("its content is not what was written")
    try:
        reading = safe_open(inside(folder, name), "pt", backend="pread")  # mapped, it would have to stay there
    except OSError as error:  # the library takes any refusal for a file that is not there
        with opened(folder, name):
            raise RunError(f"{folder / name}: cannot be read a second time: {error}") from None
    with reading as tensors:
        yield tensors


def check_fit(file: Any, names: Set[str], wanted: Mapping[str, Tensor]) -> None:
    """Checks that an open file's tensors are those that are wanted, of their types and shapes, and no others.

    A ValueError names the first that differs.
    """
    for name in sorted(wanted.keys() | names):
        if name not in names:
            raise ValueError(f"tensor '{name}' is not in it")
        if name not in wanted:
            raise ValueError(f"it has a tensor '{name[:200]}', which the model has not")
        there, here = file.get_slice(name), wanted[name]
        code = NAMES.get(here.dtype, here.dtype)
        if there.get_dtype() != code or there.get_shape() != list(here.shape):
            raise ValueError(
                f"tensor '{name}' is {there.get_dtype()} {there.get_shape()} there "
                f"and {code} {list(here.shape)} in the model"
            )


def tensors_in(file: Any) -> dict[str, Tensor]:
    """Reads the tensors of an open file; a truth value neither true nor false, which torch would count, is a
    ValueError.
    """
    tensors: dict[str, Tensor] = file.get_tensors()
    for name, tensor in tensors.items():
        if tensor.dtype == torch.bool and (tensor.view(torch.uint8) > 1).any():
            raise ValueError(f"tensor '{name}' has truth values that are neither true nor false")
    return tensors
