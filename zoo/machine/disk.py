"""Files of a run, at the level of the operating system: read only from where they belong, written whole or not at all.

Every call that the system may refuse is made here; what it says becomes a sentence with a cure. No torch.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.errors import Damaged, RunError

if TYPE_CHECKING:
    from filelock import BaseFileLock

Bytes = bytes | bytearray | memoryview

LARGEST_TEXT = 64 * 2**20
"""Bytes of the largest text file of a run that is read."""
_TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}\.tmp")
AT_ONCE = 2**20
"""Bytes that are written at once, or more."""
UNSYNCED = (errno.EINVAL, errno.ENOTSUP, errno.EACCES)
"""What file systems say that keep no directory apart, and systems, as Windows, that let nobody open one."""
BINARY = getattr(os, "O_BINARY", 0)
"""Windows would write two characters for the end of a line."""
UNWAITING = getattr(os, "O_NONBLOCK", 0)
"""Elsewhere, who opens a pipe waits until somebody writes to it."""

# -- reading what somebody else may have put there ---------------------------------------------------------


def inside(folder: Path, name: str) -> Path:
    """A file of a run, where no link leads out of the run, else it is Damaged; the run may be a link itself."""
    path = folder / name
    try:
        real = path.resolve()
        within = real.is_relative_to(folder.resolve())
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror}{cure(error)}") from None
    except (RuntimeError, ValueError) as error:  # a loop of links, a name no system takes
        raise Damaged(f"{path}: cannot be read: {error}") from None
    if not within:
        raise Damaged(f"{path}: leads out of the run, to {real}; put the file itself there")
    return real


@contextmanager
def opened(folder: Path, name: str, limit: int = sys.maxsize) -> Iterator[BufferedReader]:
    """Opens an ordinary file of a run for reading.

    Raises:
        FileNotFoundError: if there is none.
        Damaged: if it lies elsewhere, is no ordinary file, or has more than ``limit`` bytes.
        RunError: if the system refuses to read it.
    """
    path = inside(folder, name)
    try:
        number = os.open(path, os.O_RDONLY | BINARY | UNWAITING)
        try:
            status = os.fstat(number)
            if not stat.S_ISREG(status.st_mode):
                raise Damaged(f"{folder / name}: cannot be read: it is no ordinary file")
            if status.st_size > limit:
                raise Damaged(f"{folder / name}: has {status.st_size:,} bytes; expected at most {limit:,}")
            with os.fdopen(number, "rb", closefd=False) as file:
                yield file
        finally:
            os.close(number)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileNotFoundError(*error.args) from None
    except OSError as error:
        raise RunError(f"{folder / name}: cannot be read: {error.strerror}{cure(error)}") from None


def names_in(folder: Path) -> list[str]:
    """Names in a directory of a run; none where there is no such directory; a RunError if it cannot be read."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise RunError(f"{folder}: cannot be read: {error.strerror}{cure(error)}") from None


def read_bytes(folder: Path, name: str, limit: int = LARGEST_TEXT) -> bytes:
    """Reads a file of a run; raises as ``opened``."""
    with opened(folder, name, limit) as file:
        return file.read()


def read_text(folder: Path, name: str) -> str | None:
    """Reads a text file of a run; None if it is not there; raises as ``opened``, and Damaged where it is no text."""
    try:
        return read_bytes(folder, name).decode()
    except FileNotFoundError:
        return None
    except UnicodeDecodeError as error:
        raise Damaged(f"{folder / name}: is damaged ({error})") from None


# -- writing -----------------------------------------------------------------------------------------------


def write_atomically(path: Path, content: Bytes | Iterable[Bytes]) -> None:
    """Writes a file whole or not at all: temporary file, fsync, rename, fsync of the directory.

    If the disk is full or refuses, a RunError names the file.
    """
    beside = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _write(beside, (content,) if isinstance(content, bytes | bytearray | memoryview) else content)
            os.replace(beside, path)
        except OSError:
            with suppress(OSError):  # the first error is the one to tell
                os.unlink(beside)
            raise
        _sync_folder(path.parent)
    except OSError as error:
        raise RunError(f"{path}: cannot be written: {error.strerror}{cure(error)}") from None


@contextmanager
def folder_written(folder: Path) -> Iterator[Path]:
    """A folder that becomes another, empty or absent till then, as the block ends; one that fails is removed."""
    beside = folder.with_name(f".{folder.name}.{os.urandom(4).hex()}.tmp")
    try:
        beside.mkdir(parents=True)
        yield beside
        with suppress(OSError):
            folder.rmdir()
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def temporary(path: Path) -> bool:
    """True of a file that ``write_atomically`` did not come to rename."""
    return bool(_TEMPORARY.fullmatch(path.name))


def _write(path: Path, pieces: Iterable[Bytes]) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, 0o644)
    try:
        for piece in _grouped(pieces):
            view = memoryview(piece)
            while view:
                view = view[os.write(file, view) :]
        os.fsync(file)
    finally:
        os.close(file)


def _grouped(pieces: Iterable[Bytes]) -> Iterator[Bytes]:
    """The same bytes in fewer pieces: a call for each of a thousand small tensors would take longer than writing."""
    small = bytearray()
    for piece in pieces:
        if len(small) + len(piece) > AT_ONCE:
            yield small
            small = bytearray()
        if len(piece) > AT_ONCE:
            yield piece
        else:
            small += piece
    yield small


def _sync_folder(folder: Path) -> None:
    """Has the disk keep a directory's entries; a rename is lost with the power otherwise."""
    try:
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        if error.errno not in UNSYNCED:
            raise


def remove(path: Path) -> None:
    """Removes a file if it is there; a RunError names one that cannot be removed."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RunError(f"{path}: cannot be removed: {error.strerror}{cure(error)}") from None


CURES = {
    errno.ENOSPC: "free some space and run again",
    errno.EDQUOT: "your quota is used up; free some space and run again",
    errno.EROFS: "the file system is read-only; mount it writable, or choose another --out",
    errno.EIO: "the disk failed; look at it (dmesg), or copy the run to another and go on there",
    errno.EFBIG: "a limit on the size of files (ulimit -f) is in force; raise it and run again",
    errno.EACCES: "look at who may read and write there, or choose another --out",
    errno.EPERM: "look at who may read and write there, or choose another --out",
    errno.EMFILE: "a limit on open files (ulimit -n) is in force; raise it and run again",
    errno.ENFILE: "too many files are open on this machine; close some and run again",
    errno.ENOMEM: "free some memory and run again",
    errno.ESTALE: "the file system was mounted anew; run again",
}
"""What helps against what an operating system says of a file."""


def cure(error: OSError) -> str:
    """``"; free some space and run again"``, or what else helps; empty where nothing is known to."""
    known = CURES.get(error.errno or 0)
    return f"; {known}" if known else ""


# -- locks -------------------------------------------------------------------------------------------------

LOCKLESS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)
"""What file systems say that know no locks: Lustre by default, NFS without its lock daemon, some of FUSE."""
TRIED = 0.2
"""Seconds in which a free lock is had, also where the file of a dead process must be taken over first."""


def locked(path: Path, waiting: Callable[[], object] | None = None) -> BaseFileLock | None:
    """Locks a file for this process until ``release`` is called, or the process ends, however it ends.

    On a file system that knows no locks, a file ``NAME.pid`` beside it names the process and its machine instead; it
    is taken over once that process is dead, which only the same machine can see.

    Args:
        path: the file; it is made if it is missing, and stays.
        waiting: called where another process holds the lock, which is then waited for.

    Returns:
        the lock; None if another process holds it and there is no ``waiting``.

    Raises:
        OSError: if the file cannot be written, or is a link, which may lead anywhere.
    """
    if path.is_symlink():
        raise OSError(errno.ELOOP, f"{path.name} is a link")
    from filelock import FileLock, SoftFileLock, Timeout  # 40 ms that most commands do without

    def acquired(lock: BaseFileLock) -> BaseFileLock | None:
        try:
            lock.acquire(timeout=TRIED)
        except Timeout:
            if waiting is None:
                return None
            waiting()
            lock.acquire()
        return lock

    try:
        return acquired(FileLock(path, thread_local=False, fallback_to_soft=False))
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise
    return acquired(SoftFileLock(path.with_name(f"{path.name}.pid"), thread_local=False))
