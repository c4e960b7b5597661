"""Run directories: what a build leaves behind. Every file is written whole or not at all. No torch here."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from zoo.errors import Busy, RequestError, RunError


class Run:
    """A run directory, held by this process alone until it is closed.

    Args:
        folder: the directory; made if it is missing.

    Raises:
        RequestError: if it is not a run of this program's, or cannot be written.
        Busy: if another process is at work in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        check_own(folder)
        try:
            (folder / "state").mkdir(parents=True, exist_ok=True)
            self._lock = (folder / "state" / "lock").open("a")
        except OSError as error:
            raise RequestError(f"{folder}: cannot be written: {error.strerror}; choose another --out") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            raise Busy(f"{folder}: another process is building here; wait for it, or choose another --out") from None

    def close(self) -> None:
        """Lets other processes in."""
        self._lock.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- files -------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """A file of the run."""
        return self.folder / name

    def read_text(self, name: str) -> str | None:
        """A file's text; None if it is not there."""
        try:
            return self.path(name).read_text()
        except FileNotFoundError:
            return None

    def read_json(self, name: str) -> Any:
        """A file's JSON; None if it is not there.

        Raises:
            RunError: if it is not JSON.
        """
        text = self.read_text(name)
        try:
            return None if text is None else json.loads(text)
        except json.JSONDecodeError as error:
            raise RunError(f"{self.path(name)}: is damaged ({error}); remove it to have it made again") from None

    def write(self, name: str, content: str | bytes) -> None:
        """Writes a file whole or not at all."""
        write_atomically(self.path(name), content.encode() if isinstance(content, str) else content)

    def write_json(self, name: str, content: Any) -> None:
        """Writes a file as JSON."""
        self.write(name, json.dumps(content, indent=2) + "\n")


def check_own(folder: Path) -> None:
    """Refuses a directory that holds something else than a run.

    Raises:
        RequestError: naming what stands in the way.
    """
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder}: is a file, not a directory; choose another --out")
    if not folder.exists() or (folder / "recipe.yaml").is_file():
        return
    foreign = sorted(p.name for p in folder.iterdir() if p.name != "state")
    if foreign:
        raise RequestError(
            f"{folder}: is not a run (it has no recipe.yaml but holds {', '.join(foreign[:3])}"
            f"{' ...' if len(foreign) > 3 else ''}); choose another --out"
        )


def write_atomically(path: Path, content: bytes) -> None:
    """Writes a file whole or not at all: temporary file, fsync, rename.

    Raises:
        RunError: naming the file, if the disk is full or refuses.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            temporary = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        if temporary:
            temporary.unlink(missing_ok=True)
        raise RunError(f"{path}: cannot be written: {error.strerror}{_cure(error)}") from None


def _cure(error: OSError) -> str:
    return "; free some space and run again" if error.errno in (errno.ENOSPC, errno.EDQUOT) else ""
