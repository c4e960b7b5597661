"""Packed images on disk: one file of raw pixels and a JSON page about it, written once and then memory-mapped.

An entry NAME of the cache folder is, when finished, ``NAME.u8`` (uint8, N C H W) and ``NAME.json``; while it is
being packed, ``NAME.part`` and ``NAME.part.jsonl``, a line for each chunk with its checksum. Whoever packs holds
``NAME.lock``, and the system lets go of it when that process ends, however it ends; where the file system knows no
locks, ``NAME.lock.pid`` names the process, and is taken over once that one is dead. Any file may be deleted at any time
when nothing is running; it is then packed again.
"""

import errno
import hashlib
import json
import mmap
import os
import stat
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from itertools import accumulate
from pathlib import Path
from random import SystemRandom
from typing import Any

import numpy as np
import torch

from zoo import api
from zoo_data.bad import Bad, printable

FORMAT = 2
"""Version of these files; another one is another entry."""

SAMPLE_BYTES = 16 << 20
"""Pixels whose checksums are compared whenever an entry is opened: some 15 ms. All of a small one."""

CHECKS = ("sample", "full")
"""Choices of ``$ZOO_CACHE_CHECK``."""

NORESERVE = getattr(mmap, "MAP_NORESERVE", 0x4000 if sys.platform == "linux" else 0)
"""Linux refuses to map more than memory and swap otherwise; this Python may not know its name."""

ABSENT = (FileNotFoundError, NotADirectoryError)
UNLED = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""What others put into the cache may be a link to anywhere, or a pipe; Windows knows no such ways to open a file."""


class CacheError(OSError):
    """The cache cannot be used, in a sentence that says where, why, and how to choose another place."""


def opened(path: Path, mode: str) -> FileIO:
    """Opens a file of the cache, unbuffered; a link is an OSError."""
    return FileIO(path, mode, opener=lambda name, flags: os.open(name, flags | UNLED, 0o666))


def exposed() -> tuple[str, ...]:
    """Says so where others may change what is packed, and with it what is trained on."""
    folder = cache_folder()
    try:
        status = folder.stat()
    except OSError:
        return ()
    own_group = hasattr(os, "getgid") and status.st_gid == os.getgid()
    if os.name == "nt" or not status.st_mode & (stat.S_IWOTH | (0 if own_group else stat.S_IWGRP)):
        return ()
    return (f"others may write to {folder}, where packed images are kept, and change them; chmod go-w {folder}",)


def cache_folder() -> Path:
    """The folder of packed images.

    Raises:
        CacheError: if there is no home directory to put it in.
    """
    try:
        return api.cache_folder("data")
    except RuntimeError as error:
        raise CacheError(f"packed images have no folder ({error}); set ZOO_CACHE to one") from None


class DamagedError(Exception):
    """A finished entry is not what it was; the message says how."""


@dataclass(frozen=True)
class Packed:
    """An entry's content.

    Args:
        pixels: uint8 (N, C, H, W), memory-mapped; writing into it changes this process's copy alone.
        bad: the images that are not among them.
        page: the file that says so, if there is one.
        notes: what happened to the entry on the way.
    """

    pixels: torch.Tensor
    bad: tuple[Bad, ...]
    page: Path | None
    notes: tuple[str, ...] = ()


class Entry:
    """One entry of the cache.

    Args:
        name: of its files, without an extension.
        shape: of one image: C, H, W.
    """

    def __init__(self, name: str, shape: tuple[int, int, int]) -> None:
        self.folder = cache_folder()
        self.name = name
        self.shape = shape

    def file(self, extension: str) -> Path:
        """One of its files."""
        return self.folder / f"{self.name}{extension}"

    def open(self, full: bool = False) -> Packed | None:
        """Opens what is packed; None if it is not finished.

        The page's own checksum, the size of the pixels and a sample of their checksums are always compared, all of
        them when the file was touched since, ``$ZOO_CACHE_CHECK`` is ``full``, or ``full`` is true.

        Raises:
            DamagedError: if a finished entry is not what it was.
            CacheError: if it cannot be read.
            ValueError: if ``$ZOO_CACHE_CHECK`` is something else.
        """
        check = os.environ.get("ZOO_CACHE_CHECK") or CHECKS[0]
        if check not in CHECKS:
            raise ValueError(f"ZOO_CACHE_CHECK is {check!r}; choices: {', '.join(CHECKS)}.")
        try:
            with self.refusals(absence=False):
                return self._opened(full or check == "full")
        except ABSENT:
            return None

    def written(self) -> Packed:
        """Opens what has just been finished.

        Raises:
            CacheError: if it is not there, or not as it was written.
        """
        with self.refusals():
            try:
                if packed := self.open():
                    return packed
                raise OSError("what was written is gone")
            except DamagedError as error:
                raise OSError(f"of what was just written, {error}") from None

    def _opened(self, full: bool) -> Packed:
        with opened(self.file(".json"), "r") as file:
            page = _checked(file.read())
        status = self.file(".u8").lstat()
        shape = (sum(images for images, _ in page["chunks"]), *self.shape)
        if status.st_size != (size := int(np.prod(shape))):
            raise DamagedError(f"it has {status.st_size:,} bytes, not {size:,}")
        self._compare(page["chunks"], full or status.st_mtime_ns != page["mtime_ns"])
        pixels = np.frombuffer(self._mapped(size) if size else bytearray(), np.uint8).reshape(shape)
        return Packed(torch.from_numpy(pixels), tuple(Bad(*one) for one in page["bad"]), self.file(".json"))

    def _mapped(self, size: int) -> mmap.mmap:
        """Its pixels, as private memory for which none is set aside: they may be more than there is."""
        with opened(self.file(".u8"), "r") as file:
            protection = mmap.PROT_READ | mmap.PROT_WRITE
            return mmap.mmap(file.fileno(), size, mmap.MAP_PRIVATE | NORESERVE, protection)

    def _compare(self, chunks: list[tuple[int, int]], full: bool) -> None:
        sizes = [images * int(np.prod(self.shape)) for images, _ in chunks]
        places = list(zip(accumulate(sizes, initial=0), sizes, (checksum for _, checksum in chunks), strict=False))
        if not full and sum(sizes) > SAMPLE_BYTES:
            # Both ends, and the next ones at each opening, so that so many openings have read it whole.
            within = places[1:-1]
            count = min(max(SAMPLE_BYTES // max(sizes) - 2, 1), len(within))
            first = self._turn(count, len(within))
            places = [*places[:1], *places[1:][-1:], *(within[(first + i) % len(within)] for i in range(count))]
        with opened(self.file(".u8"), "r") as file:
            for start, size, checksum in sorted(places):
                file.seek(start)
                if zlib.crc32(file.read(size)) != checksum:
                    raise DamagedError("its pixels are not those that were packed")

    def _turn(self, count: int, among: int) -> int:
        """Gives the chunk to go on comparing with, and notes the one after; at random where that cannot be noted."""
        file = self.file(".turn")
        try:
            with opened(file, "a+") as turn:
                turn.seek(0)
                first = int(turn.read(20) or 0)
                turn.truncate(0)
                turn.write(str((first + count) % max(among, 1)).encode())
        except (OSError, ValueError):
            with suppress(OSError):
                file.unlink(missing_ok=True)
            return SystemRandom().randrange(max(among, 1))
        return first

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from packing this entry; waits for one that does."""
        with self.refusals():
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = api.locked(self.file(".lock"), self._waits)
        try:
            yield
        finally:
            with suppress(OSError):  # nothing was written to it
                lock.release()

    def _waits(self) -> None:
        print(f"another process is packing {self.name}; waiting for it", file=sys.stderr, flush=True)

    @contextmanager
    def refusals(self, absence: bool = True) -> Iterator[None]:
        """Failures of the cache's files become a ``CacheError``; also where one is absent, if it should not be."""
        try:
            yield
        except OSError as error:
            if isinstance(error, CacheError) or (not absence and isinstance(error, ABSENT)):
                raise
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            cure = "make room there, or" if full else "make it writable, or"
            cure = "a file there is a link; remove it, or" if error.errno == errno.ELOOP else cure
            raise CacheError(
                f"packed images cannot be kept in {printable(str(self.folder))} ({error.strerror or error}); "
                f"{cure} set ZOO_CACHE to a folder that has room and can be written"
            ) from None

    def remove(self) -> None:
        """Forgets what was packed."""
        with self.refusals():
            for extension in (".json", ".u8", ".turn", ".part", ".part.jsonl"):
                self.file(extension).unlink(missing_ok=True)


def digest(plain: Any) -> str:
    """A hash of plain data: 24 hexadecimal digits."""
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=12).hexdigest()


def with_checksum(page: dict[str, Any]) -> bytes:
    """A page as it is written."""
    return json.dumps({"checksum": digest(page), **page}, indent=1).encode() + b"\n"


def _checked(text: bytes) -> dict[str, Any]:
    try:
        page: dict[str, Any] = json.loads(text)
        said = page.pop("checksum")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise DamagedError("its page cannot be read") from None
    if digest(page) != said:
        raise DamagedError("its page is not as it was written")
    return page
