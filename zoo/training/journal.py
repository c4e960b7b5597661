"""``metrics.jsonl``: the records of a training, one a line."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import RunError
from zoo.machine.disk import cure, read_bytes, write_atomically

if TYPE_CHECKING:
    pass
from zoo.api import Record


class Journal:
    """``metrics.jsonl``: a record a line; on resuming, lines past the checkpoint are dropped."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: FileIO | None = None

    def start(self, step: int, steps: int, batch: int) -> None:  # noqa: ARG002
        """Keeps the records up to ``step``."""
        kept = [record for record in read_journal(self._path) if record["step"] <= step]
        lines = "".join(json.dumps(record) + "\n" for record in kept)
        write_atomically(self._path, lines.encode())
        self._file = self._path.open("ab", buffering=0)

    def log(self, record: Record) -> None:
        """Writes the record as a line."""
        assert self._file
        line = memoryview(json.dumps(asdict(record)).encode() + b"\n")
        try:
            while line:
                line = line[os.write(self._file.fileno(), line) :]
        except OSError as error:
            raise RunError(f"{self._path}: cannot be written: {error.strerror}{cure(error)}") from None

    def end(self) -> None:
        """Closes the file."""
        if self._file:
            self._file.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The records of a ``metrics.jsonl``; lines that are none, torn by a crash or damaged, are left out.

    Raises:
        RunError: if it cannot be read, or is a link that leads out of the run.
    """
    try:
        content = read_bytes(path.parent, path.name)
    except FileNotFoundError:
        return []
    records: list[dict[str, Any]] = []
    for line in content.split(b"\n"):
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if _is_record(record) and (not records or record["step"] > records[-1]["step"]):
            records.append(record)
    return records


def _is_record(record: Any) -> bool:
    """Whether it is what ``Journal`` writes of a record."""
    if not isinstance(record, dict) or record.keys() != Record.__dataclass_fields__.keys():
        return False
    losses = record["losses"]
    numbers = [value for name, value in record.items() if name != "losses"]
    numbers += losses.values() if isinstance(losses, dict) and all("/" in name for name in losses) else [None]
    return type(record["step"]) is int and all(type(number) in (int, float) for number in numbers)
