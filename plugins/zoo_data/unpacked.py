"""Images that are read and decoded when they are used, and packed nowhere: for sets that fit no disk cache."""

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from hashlib import blake2b
from threading import Lock
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo_data.bad import Bad
from zoo_data.decode import Content, View, read_square, strict_pillow
from zoo_data.pack import CHUNK, MOST_WORKERS, _cores

STAND_INS = 1000
"""Images after a bad one that are tried in its place."""

Contents = Callable[[Sequence[int]], Sequence[tuple[str, Content]]]
"""Rows of a set -> their images, each with a name."""

_PILLOWS = Lock()
"""What Pillow warns of is a setting of the whole process: one thread at a time changes it."""


class Reader:
    """Reads and decodes images by their rows, a chunk at a time.

    Args:
        name: of the data set.
        view: how images become pixels of one size.
        contents: gives those of some rows.
        count: how many rows there are.
        identity: a hash that changes when an image does.
        on_error: ``error``, or ``skip`` for the next good image in the place of a bad one.
        workers: threads that decode; 0 for one a core, at most ``MOST_WORKERS``.
        blocks: the first row of each block of rows that lie together, where those are read at a time.
        mixed: how many blocks are mixed at a time; 0 for all.
    """

    def __init__(
        self,
        name: str,
        view: View,
        contents: Contents,
        count: int,
        identity: str,
        *,
        on_error: str = "error",
        workers: int = 0,
        blocks: Sequence[int] = (0,),
        mixed: int = 0,
    ) -> None:
        self.name, self.view, self.count, self.identity = name, view, count, identity
        self.blocks, self.mixed = np.asarray(blocks), mixed
        self._told = set[Bad]()
        self._contents, self._on_error, self._workers = contents, on_error, workers or min(_cores(), MOST_WORKERS)

    def read(self, rows: Sequence[int]) -> Tensor:
        """uint8 (N, C, H, W).

        Raises:
            OSError: for a bad image, unless the next good one is to stand in; if the machine fails.
        """
        pixels = np.empty((len(rows), *self.view.shape), np.uint8)
        for first in range(0, len(rows), CHUNK):
            some = [int(row) for row in rows[first : first + CHUNK]]
            for place, found in enumerate(self._decoded(some), first):
                pixels[place] = self._instead(int(rows[place]), found) if isinstance(found, Bad) else found
        return torch.from_numpy(pixels)

    def _decoded(self, rows: Sequence[int]) -> list[np.ndarray | Bad]:
        named = self._contents(rows)
        with _PILLOWS, strict_pillow():
            if self._workers == 1 or len(named) == 1:
                squares = [read_square(content, self.view) for _, content in named]
            else:
                decode = partial(read_square, view=self.view)
                squares = [*self._threads.map(decode, [content for _, content in named])]
        return [Bad(n, one) if isinstance(one, str) else one for (n, _), one in zip(named, squares, strict=True)]

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(self._workers, thread_name_prefix="zoo-decode")

    def _instead(self, row: int, bad: Bad) -> np.ndarray:
        if self._on_error == "error":
            raise OSError(
                f"{self.name}: {bad} cannot be used; repair or remove it, or set on_error to skip, "
                "for the image after it in its place."
            )
        for step in range(1, min(STAND_INS, self.count)):
            (found,) = self._decoded([(row + step) % self.count])
            if not isinstance(found, Bad):
                if bad not in self._told:
                    print(f"{self.name}: skipped {bad}; an image after it stands in.", file=sys.stderr, flush=True)
                    self._told.add(bad)
                return found
        raise OSError(f"{self.name}: neither {bad} can be used, nor any of those that follow it.")


class Unpacked(Tensor):
    """uint8 (N, C, H, W), of which slices are views and everything else reads what it needs; it takes no memory.

    Attributes:
        identity: what the zoo knows its content by, for to read all of it would take too long.
    """

    reader: Reader
    rows: Any

    @staticmethod
    def of(reader: Reader, rows: Any = None) -> "Unpacked":
        """Some rows of a reader, an array of numbers or a range; all where none are given."""
        rows = range(reader.count) if rows is None else rows
        made = torch.empty(1, dtype=torch.uint8).expand(len(rows), *reader.view.shape).as_subclass(Unpacked)
        made.reader, made.rows = reader, rows
        return made

    @property
    def identity(self) -> str:
        """A hash of what is known of its images without reading them, and which they are."""
        return f"{self.reader.identity}{blake2b(np.asarray(self.rows, np.int64).data, digest_size=8).hexdigest()}"

    def shuffled(self, generator: torch.Generator) -> Tensor:
        """A random order of its items, (N,): blocks in a random order, of so many at a time the items mixed."""
        reader, count = self.reader, len(self.rows)
        if not reader.mixed or reader.mixed >= len(reader.blocks):
            return torch.randperm(count, generator=generator)
        edges = np.searchsorted(np.asarray(self.rows), [*reader.blocks, reader.count])  # rows are in order
        stretches = [torch.arange(*both) for both in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)]
        windows = torch.randperm(len(stretches), generator=generator).split(reader.mixed)
        found = [torch.cat([stretches[block] for block in window.tolist()]) for window in windows]
        return torch.cat([some[torch.randperm(len(some), generator=generator)] for some in found])

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Shapes and types are known, slices and moves to where it is are views, and all else reads."""
        kwargs = kwargs or {}
        if func in KNOWN:
            return super().__torch_function__(func, types, args, kwargs)
        first, *others = args
        if func is Tensor.__getitem__ and isinstance(others[0], slice):
            return cls.of(first.reader, first.rows[others[0]])
        if func is Tensor.__getitem__ and isinstance(others[0], Tensor) and others[0].ndim == 1:
            return first.reader.read(np.asarray(first.rows)[others[0].cpu().numpy()])
        if func is Tensor.__getitem__ and isinstance(others[0], int):
            return first.reader.read([first.rows[others[0]]])[0]
        if func is Tensor.to and not kwargs and others in ([torch.device("cpu")], ["cpu"]):
            return first
        return func(*_read(args), **{name: _read(value) for name, value in kwargs.items()})


KNOWN = {
    *(getattr(Tensor, name).__get__ for name in ("shape", "dtype", "device", "ndim", "nbytes", "itemsize", "layout")),
    *(Tensor.__len__, Tensor.size, Tensor.dim, Tensor.numel, Tensor.is_floating_point, Tensor.is_complex),
    *(torch.is_floating_point, torch.is_complex, torch.numel),
}
"""What is asked of a tensor without a look at its numbers."""


def _read(value: Any) -> Any:
    if isinstance(value, Unpacked):
        return value.reader.read(value.rows)
    return type(value)(map(_read, value)) if type(value) in (tuple, list) else value
