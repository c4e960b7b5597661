"""Packed images on disk: one file of raw pixels and a JSON page about it, written once and then memory-mapped.

An entry NAME of the cache folder is, when finished, ``NAME.u8`` (uint8, N C S S) and ``NAME.json``; while it is
being packed, ``NAME.part`` and ``NAME.part.jsonl``, a line for each chunk with its checksum. Whoever packs holds
``NAME.lock``. Any file may be deleted at any time when nothing is running; it is then packed again.
"""

import errno
import fcntl
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from zoo_data.bad import Bad
from zoo_data.decode import Chunk
from zoo_data.progress import say

FORMAT = 1
"""Version of these files; another one is another entry."""

SLACK_BYTES = 1 << 20
"""Left free for the pages about the pixels."""


def cache_folder() -> Path:
    """``$ZOO_CACHE/data``; else ``zoo/data`` in ``$XDG_CACHE_HOME``, else in ``~/.cache``.

    Raises:
        OSError: if there is no home directory to put it in.
    """
    try:
        if chosen := os.environ.get("ZOO_CACHE"):
            return Path(chosen).expanduser().absolute() / "data"
        return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "zoo" / "data"
    except RuntimeError as error:
        raise OSError(f"the cache has no folder ({error}); set ZOO_CACHE to one") from None


class DamagedError(Exception):
    """A finished entry is not what it was; the message says how."""


@dataclass(frozen=True)
class Packed:
    """What an entry holds.

    Args:
        pixels: uint8 (N, C, S, S), memory-mapped; writing into it changes this process's copy alone.
        bad: the images that are not among them.
        page: the file that says so.
        notes: what happened to the entry on the way.
    """

    pixels: torch.Tensor
    bad: tuple[Bad, ...]
    page: Path
    notes: tuple[str, ...] = ()


class Entry:
    """One entry of the cache.

    Args:
        name: of its files, without an extension.
        shape: of one image: C, S, S.
    """

    def __init__(self, name: str, shape: tuple[int, int, int]) -> None:
        self.folder = cache_folder()
        self.name = name
        self.shape = shape

    def file(self, extension: str) -> Path:
        """One of its files."""
        return self.folder / f"{self.name}{extension}"

    def open(self) -> Packed | None:
        """What is packed, or None if it is not finished.

        The page's own checksum and the size of the pixels are always checked, the pixels' checksums when the
        file was touched since.

        Raises:
            DamagedError: if a finished entry is not what it was.
        """
        try:
            page = _checked(self.file(".json").read_bytes())
            status = self.file(".u8").stat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        shape = (sum(images for images, _ in page["chunks"]), *self.shape)
        if status.st_size != (size := int(np.prod(shape))):
            raise DamagedError(f"it has {status.st_size:,} bytes, not {size:,}")
        if status.st_mtime_ns != page["mtime_ns"]:
            self._compare(page)
        pixels = np.memmap(self.file(".u8"), np.uint8, "c", shape=shape) if size else np.empty(shape, np.uint8)
        return Packed(torch.from_numpy(pixels), tuple(Bad(*one) for one in page["bad"]), self.file(".json"))

    def _compare(self, page: dict[str, Any]) -> None:
        image = int(np.prod(self.shape))
        with self.file(".u8").open("rb") as file:
            for images, checksum in page["chunks"]:
                if zlib.crc32(file.read(images * image)) != checksum:
                    raise DamagedError("its pixels are not those that were packed")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other processes from packing this entry; waits for one that does."""
        with self.writing():
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = self.file(".lock").open("a")
        with lock:
            with self.writing():
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    say(f"another process is packing {self.name}; waiting for it")
                    fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Failures to write become a sentence that says where, and how to choose another place."""
        try:
            yield
        except OSError as error:
            full = error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
            cure = "make room there, or" if full else "make it writable, or"
            raise OSError(
                f"packed images cannot be written to {self.folder} ({error.strerror or error}); "
                f"{cure} set ZOO_CACHE to a folder that has room and can be written"
            ) from None

    def remove(self) -> None:
        """Forgets what was packed."""
        with self.writing():
            for extension in (".json", ".u8", ".part", ".part.jsonl"):
                self.file(extension).unlink(missing_ok=True)


class Part:
    """An entry being packed, a chunk at a time; what an earlier process finished of it is kept if it is whole.

    Args:
        entry: which; it must be held.
        about: what the page says besides, plain data.
    """

    def __init__(self, entry: Entry, about: dict[str, Any]) -> None:
        self._entry = entry
        self._about = about
        self._image = int(np.prod(entry.shape))
        with entry.writing():
            # Unbuffered: what a full disk refused would be tried again on closing.
            self._pixels = entry.file(".part").open("ab", buffering=0)
            self._lines = entry.file(".part.jsonl").open("ab", buffering=0)
            self._chunks = self._resumed()

    @property
    def seen(self) -> int:
        """Images that were dealt with, good or bad."""
        return sum(chunk["seen"] for chunk in self._chunks)

    def require_room(self, images: int) -> None:
        """Refuses to begin what the disk has no room for.

        Raises:
            OSError: in a sentence.
        """
        need, free = images * self._image + SLACK_BYTES, shutil.disk_usage(self._entry.folder).free
        if need > free:
            with self._entry.writing():
                raise OSError(errno.ENOSPC, f"{need / 2**30:,.1f} GiB are needed, {free / 2**30:,.1f} GiB are free")

    def append(self, chunk: Chunk) -> None:
        """Adds a chunk, pixels before the line that says so."""
        content = chunk.pixels.tobytes()
        line = {"images": len(chunk.pixels), "crc32": zlib.crc32(content), "seen": chunk.seen, "bad": chunk.bad}
        with self._entry.writing():
            _append(self._pixels, content)
            _append(self._lines, json.dumps(line).encode() + b"\n")
        self._chunks.append(line)

    def finish(self) -> None:
        """Makes it a finished entry. The page comes first: with no pixels beside it, it says nothing."""
        with self._entry.writing():
            os.fsync(self._pixels.fileno())
            page = self._about | {
                "shape": [sum(chunk["images"] for chunk in self._chunks), *self._entry.shape],
                "mtime_ns": os.fstat(self._pixels.fileno()).st_mtime_ns,
                "chunks": [[chunk["images"], chunk["crc32"]] for chunk in self._chunks],
                "bad": [bad for chunk in self._chunks for bad in chunk["bad"]],
            }
            _write_whole(self._entry.file(".json"), _with_checksum(page))
            os.replace(self._entry.file(".part"), self._entry.file(".u8"))
            self._entry.file(".part.jsonl").unlink()

    def close(self) -> None:
        """Closes its files."""
        self._pixels.close()
        self._lines.close()

    def _resumed(self) -> list[dict[str, Any]]:
        """The chunks up to the first that is not whole; what follows is cut off."""
        chunks, lines, pixels = [], 0, 0
        with self._entry.file(".part").open("rb") as there:
            for line in self._entry.file(".part.jsonl").read_bytes().splitlines(keepends=True):
                chunk = self._whole(line, there)
                if chunk is None:
                    break
                chunks.append(chunk)
                lines += len(line)
                pixels += chunk["images"] * self._image
        self._pixels.truncate(pixels)
        self._lines.truncate(lines)
        return chunks

    def _whole(self, line: bytes, pixels: BinaryIO) -> dict[str, Any] | None:
        if not line.endswith(b"\n"):
            return None
        try:
            chunk: dict[str, Any] = json.loads(line)
            content = pixels.read(chunk["images"] * self._image)
            whole = len(content) == chunk["images"] * self._image and zlib.crc32(content) == chunk["crc32"]
            chunk["bad"] = [Bad(*bad) for bad in chunk["bad"]]
            return chunk if whole and chunk["seen"] == chunk["images"] + len(chunk["bad"]) else None
        except (ValueError, KeyError, TypeError):
            return None


def _append(file: FileIO, content: bytes) -> None:
    """All of it: one call may write less than it was given."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def digest(plain: Any) -> str:
    """A hash of plain data: 24 hexadecimal digits."""
    return hashlib.blake2b(json.dumps(plain, sort_keys=True).encode(), digest_size=12).hexdigest()


def _with_checksum(page: dict[str, Any]) -> bytes:
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


def _write_whole(path: Path, content: bytes) -> None:
    """Written whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)
