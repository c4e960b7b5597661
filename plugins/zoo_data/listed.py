"""Image files as they were listed: opened without waiting, and known again, or not, when they have been read."""

import errno
import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

CHANGED = "changed or gone since it was listed"
"""Why an image is bad that another run may find good: it is not remembered."""

NOT_THE_IMAGES = {
    *(errno.EIO, errno.ESTALE, errno.ENODEV, errno.ENOTCONN, errno.EHOSTDOWN, errno.ETIMEDOUT),
    *(errno.EMFILE, errno.ENFILE, errno.ENOMEM),
}
"""Failures of the machine. They end the work: an image must not be left out because a disk was away."""


SAMPLES, SAMPLE_BYTES = 16, 1 << 20
"""Files of a set whose content is compared whenever it is asked for, and how much of each."""


class File(NamedTuple):
    """An image file.

    Args:
        path: of it.
        signature: what ``signature`` said of it when it was listed; None: whatever is there now is taken.
    """

    path: Path
    signature: list[Any] | None = None

    @property
    def changed(self) -> bool:
        """True if it is another file by now, or none."""
        return self.signature is not None and signature(self.path) != self.signature

    def open(self) -> BinaryIO:
        """Opened for reading, or refused at once: a named pipe would wait for somebody to write into it.

        Raises:
            ValueError: with the reason, if it is no regular file.
            OSError: if it cannot be opened.
        """
        try:
            regular = stat.S_ISREG(self.path.stat().st_mode)
        except OSError as error:
            if error.errno not in {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}:
                raise
            raise ValueError("a broken link" if self.path.is_symlink() else "missing") from None
        if not regular:
            raise ValueError("not a regular file")
        # Between the two calls it may have become a pipe.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # Windows has the second alone
        file = os.fdopen(os.open(self.path, flags), "rb")
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            file.close()
            raise ValueError("not a regular file")
        return file


def signature(path: Path) -> list[Any]:
    """Tells one version of a file from another: by size, inode and times, or by size alone if it cannot be read."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return []
    if not os.access(path, os.R_OK):
        return [status.st_size]
    return [status.st_size, status.st_ino, status.st_mtime_ns, status.st_ctime_ns]


def content(paths: Sequence[Path]) -> str:
    """Hashes the first bytes of some files, evenly spread: two disks may agree in all that ``signature`` looks at."""
    known = hashlib.blake2b(digest_size=16)
    for path in paths[:: -(-len(paths) // SAMPLES) or 1]:
        with suppress(OSError, ValueError), File(path).open() as file:
            known.update(file.read(SAMPLE_BYTES))
    return known.hexdigest()
