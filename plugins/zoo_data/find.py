"""Which files of a directory are images, through links and around loops."""

import os
from pathlib import Path

from zoo_data.bad import Bad, printable
from zoo_data.listed import NOT_THE_IMAGES

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")


class Search:
    """Every image file below ``root``, in ``names``; every directory that could not be listed, in ``bad``.

    Names are relative, with ``/``, sorted. What lies in the folder itself is walked before what links
    lead to, so adding a link never renames a real file. Names that begin with a dot are passed over.

    Raises:
        OSError: if the disk fails, in a sentence.
    """

    def __init__(self, root: Path) -> None:
        self.names: list[str] = []
        self.bad: list[Bad] = []
        self._root = root
        self._seen: set[str] = set()  # real paths: ends link loops, and keeps one image out of both splits
        self._links: list[Path] = []
        directories = [root]
        while directories or self._links:
            if directories:
                directories += self._list(directories.pop())
            elif os.path.isdir(link := self._links.pop(0)):
                directories.append(link)
            else:
                self._add(link)
        self.names.sort()

    def _list(self, directory: Path) -> list[Path]:
        """Keeps the files and links of one directory; returns the directories in it."""
        if not self._first_time(directory):
            return []
        try:
            with os.scandir(directory) as scan:
                entries = sorted(scan, key=lambda entry: entry.name)
        except OSError as error:
            if error.errno in NOT_THE_IMAGES:
                why = f"{printable(str(directory))} cannot be listed ({error.strerror})"
                raise OSError(f"{why}; run again when its disk can be read.") from None
            self.bad.append(Bad(self._name(directory), str(error.strerror).lower()))
            return []
        inside = []
        for entry in entries:
            path = directory / entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_symlink():
                self._links.append(path)
            elif entry.is_dir():
                inside.append(path)
            else:
                self._add(path)
        return inside

    def _add(self, path: Path) -> None:
        if path.suffix.lower() in EXTENSIONS and self._first_time(path):
            self.names.append(self._name(path))

    def _first_time(self, path: Path) -> bool:
        real = os.path.realpath(path)
        new = real not in self._seen
        self._seen.add(real)
        return new

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()
