"""``metrics.jsonl``: the records of a training, one a line, of any number."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import Any

from zoo.api import Record
from zoo.columns import NOT_FINITE, json_text
from zoo.errors import RunError
from zoo.machine.disk import cure, opened, write_atomically

LONGEST = 2**20
"""Bytes of the longest line that is looked at as one."""
MOST = 20_000
"""Records that are kept in memory to be shown, at most."""


class Journal:
    """Writes a record a line; on resuming, drops the lines past the checkpoint."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None

    def start(self, step: int, steps: int, batch: int) -> None:  # noqa: ARG002
        """Keeps the records up to ``step``."""
        kept = (record for record in read_journal(self._path) if record["step"] <= step)
        write_atomically(self._path, (json_text(record).encode() + b"\n" for record in kept))
        self._file = self._path.open("ab", buffering=0)

    def log(self, record: Record) -> None:
        """Writes the record as a line."""
        assert self._file
        line = memoryview(json_text(asdict(record)).encode() + b"\n")
        try:
            while line:
                line = line[os.write(self._file.fileno(), line) :]
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written: {error.strerror}{cure(error)}") from None

    def end(self) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """Reads the records of a ``metrics.jsonl`` one by one; leaves out lines that are none, torn by a crash or damaged.

    A file that cannot be read, or is a link that leads out of the run, is a RunError.
    """
    last = 0
    try:
        with opened(path.parent, path.name) as file:
            while line := file.readline(LONGEST):
                record = _record(line)
                if record and record["step"] > last:
                    last = record["step"]
                    yield record
    except FileNotFoundError:
        return


def few(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """All records, if they are not many; else every 2nd, 4th ... and the last. Never keeps more than ``MOST``."""
    kept, every, number = list[dict[str, Any]](), 1, -1
    for number, last in enumerate(records):
        if number % every == 0:
            kept.append(last)
        if len(kept) == MOST:
            kept, every = kept[::2], 2 * every
    return [*kept, last] if number % every else kept


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.keys() != Record.__dataclass_fields__.keys():
        return None
    losses = record["losses"]
    if type(record["step"]) is not int or not isinstance(losses, dict) or not all("/" in name for name in losses):
        return None
    numbers = {**losses, **record, "losses": 0}.values()
    if not all(type(value) in (int, float) or (type(value) is str and value in NOT_FINITE) for value in numbers):
        return None
    return {**record, "losses": {name: NOT_FINITE.get(value, value) for name, value in losses.items()}}
