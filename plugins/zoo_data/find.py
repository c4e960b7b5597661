"""Which files of a directory are images, through links and around loops."""

import os
from collections import Counter
from pathlib import Path
from zipfile import ZipFile

from PIL import Image

from zoo_data.bad import Bad, printable
from zoo_data.beside import RUN
from zoo_data.decode import FORMATS
from zoo_data.listed import NOT_THE_IMAGES, File

Image.init()
EXTENSIONS = tuple(sorted(end for end, name in Image.registered_extensions().items() if name in (*FORMATS, "MPO")))
STARTS = [accept for name in FORMATS if name != "DIB" and (accept := Image.OPEN.get(name, (None, None))[1])]
"""Says of a file's first bytes whether they are a format's."""
BYTES = 32
UNREAD = (".heic", ".heif", ".jxl", ".svg", ".psd", ".raw", ".cr2", ".nef", ".dng", ".eps", ".exr", ".hdr", ".ico")
"""Images that are not read here."""


class Search:
    """Every image file below ``root``, in ``names``; every directory that could not be listed, in ``bad``.

    Names are relative, with ``/``, sorted. What lies in the folder itself is walked before what links
    lead to, so adding a link never renames a real file. Names that begin with a dot are passed over; so are files
    that are no images, counted by extension in ``others``, and directories that are runs of the zoo, in ``runs``.

    Raises:
        OSError: if the disk fails, in a sentence.
    """

    def __init__(self, root: Path) -> None:
        self.names: list[str] = []
        self.bad: list[Bad] = []
        self.others: Counter[str] = Counter()
        self.runs: list[str] = []
        self._root = root
        self._seen: set[str] = set()  # real paths: ends link loops, and keeps one image out of both splits
        self._links: list[Path] = []
        directories = [] if root.is_file() else [root]
        if not directories:
            self._names_in(root)
        while directories or self._links:
            if directories:
                directories += self._list(directories.pop())
            elif os.path.isdir(link := self._links.pop(0)):
                directories.append(link)
            else:
                self._add(link)
        self.names.sort()

    @property
    def passed_over(self) -> str:
        """Everything below the directory that is not used, in words; empty if there is nothing."""
        kinds = ", ".join(f"{count:,} {end or 'without extension'}" for end, count in sorted(self.others.items()))
        unread = " ".join(end for end in sorted(self.others) if end in UNREAD)
        cure = f"; {unread} cannot be read: save them as PNG or JPEG" if unread else ""
        told = [f"files ({printable(kinds)}{cure})"] if kinds else []
        if self.runs:
            first = ", ".join(map(printable, sorted(self.runs)[:3])) + ", ..." * (len(self.runs) > 3)
            told.append(f"{len(self.runs)} {'run' if len(self.runs) == 1 else 'runs'} of the zoo ({first})")
        return " and ".join(told)

    def _names_in(self, archive: Path) -> None:
        """Keeps the images of a zip; names that begin with a dot, or ``__MACOSX``, are passed over."""
        with ZipFile(archive) as opened:
            for name in opened.namelist():
                parts, end = name.split("/"), Path(name).suffix.lower()
                if end in EXTENSIONS and not any(part.startswith((".", "__MACOSX")) for part in parts):
                    self.names.append(name)
                elif parts[-1] and not parts[-1].startswith("."):
                    self.others[end] += 1

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
        if directory != self._root and {entry.name for entry in entries} >= RUN:
            self.runs.append(self._name(directory))
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
        end = path.suffix.lower()
        if end not in EXTENSIONS and (end or not _begins_as_image(path)):
            if not path.is_symlink():  # which may lead nowhere
                self.others[end] += 1
        elif self._first_time(path):
            self.names.append(self._name(path))

    def _first_time(self, path: Path) -> bool:
        real = os.path.realpath(path)
        new = real not in self._seen
        self._seen.add(real)
        return new

    def _name(self, path: Path) -> str:
        return path.relative_to(self._root).as_posix()


def _begins_as_image(path: Path) -> bool:
    try:
        with File(path).open() as file:
            start = file.read(BYTES).ljust(BYTES, b"\0")
    except (OSError, ValueError):
        return False
    return any(accept(start) for accept in STARTS)
