"""An entry of the cache while it is being packed: chunks are added, and what is whole outlives whoever adds them."""

import errno
import json
import os
import shutil
import zlib
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zoo_data.bad import Bad
from zoo_data.cache import Entry, opened, with_checksum
from zoo_data.decode import Chunk
from zoo_data.listed import CHANGED

SLACK_BYTES = 1 << 20
"""Left free for the pages about the pixels."""


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
        with entry.refusals(), ExitStack() as files:
            # Unbuffered: what a full disk refused would be tried again on closing.
            self._pixels = files.enter_context(opened(entry.file(".part"), "a"))
            self._lines = files.enter_context(opened(entry.file(".part.jsonl"), "a"))
            self._chunks = self._resumed()
            self._files = files.pop_all()

    @property
    def seen(self) -> int:
        """Images that were dealt with, good or bad."""
        return sum(chunk["seen"] for chunk in self._chunks)

    def require_room(self, images: int) -> None:
        """Refuses to begin what the disk has no room for.

        Raises:
            CacheError: in a sentence.
        """
        with self._entry.refusals():
            need, free = images * self._image + SLACK_BYTES, shutil.disk_usage(self._entry.folder).free
            if need > free:
                raise OSError(errno.ENOSPC, f"{need / 2**30:,.1f} GiB are needed, {free / 2**30:,.1f} GiB are free")

    def append(self, chunk: Chunk) -> None:
        """Adds a chunk, pixels before the line that says so."""
        content = chunk.pixels.tobytes()
        line = {"images": len(chunk.pixels), "crc32": zlib.crc32(content), "seen": chunk.seen, "bad": chunk.bad}
        with self._entry.refusals():
            _append(self._pixels, content)
            _append(self._lines, json.dumps(line).encode() + b"\n")
        self._chunks.append(line)

    def finish(self) -> None:
        """Makes it a finished entry. The page comes first: with no pixels beside it, it says nothing."""
        with self._entry.refusals():
            os.fsync(self._pixels.fileno())
            page = self._about | {
                "shape": [sum(chunk["images"] for chunk in self._chunks), *self._entry.shape],
                "mtime_ns": os.fstat(self._pixels.fileno()).st_mtime_ns,
                "chunks": [[chunk["images"], chunk["crc32"]] for chunk in self._chunks],
                "bad": [bad for chunk in self._chunks for bad in chunk["bad"]],
            }
            _write_whole(self._entry.file(".json"), with_checksum(page))
            os.replace(self._entry.file(".part"), self._entry.file(".u8"))
            self._entry.file(".part.jsonl").unlink()

    def close(self) -> None:
        """Closes its files."""
        with self._entry.refusals():
            self._files.close()

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
            settled = all(bad.reason != CHANGED for bad in chunk["bad"])
            return chunk if whole and settled and chunk["seen"] == chunk["images"] + len(chunk["bad"]) else None
        except (ValueError, KeyError, TypeError):
            return None


def _append(file: FileIO, content: bytes) -> None:
    """All of it: one call may write less than it was given."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]


def _write_whole(path: Path, content: bytes) -> None:
    """Written whole or not at all."""
    temporary = path.with_name(f"{path.name}.tmp")
    with opened(temporary, "w") as file:
        _append(file, content)
        os.fsync(file.fileno())
    os.replace(temporary, path)
