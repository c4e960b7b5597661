"""The files that publishers ship: where they lie, whether they are whole, and fetching them."""

import hashlib
import os
from collections.abc import Sequence
from http.client import HTTPException
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO


def user_path(path: str) -> Path:
    """Gives the path that a person means: ``~`` is the home directory, ``$NAME`` what the environment has.

    Raises:
        RuntimeError: for a home directory that is not there.
    """
    return Path(os.path.expandvars(path)).expanduser()


def homes(source: str, root: str) -> tuple[Path, Path]:
    """Where a data set's files may lie: in ``root``, or in its folder named as the data set.

    Raises:
        ValueError: for a home directory that is not there.
    """
    try:
        folder = user_path(root).absolute()
    except RuntimeError as error:
        raise ValueError(f"{source}: option 'root' is {root!r} ({error}); give a directory.") from None
    return folder, folder / source


def installed(package: str, inside: str) -> Path | None:
    """A file that an installed package carries, by its place in it; the package is not imported."""
    spec = find_spec(package)
    folders = spec.submodule_search_locations or () if spec else ()
    return next((path for folder in folders if (path := Path(folder, inside)).is_file()), None)


def look(folders: Sequence[Path], names: Sequence[str]) -> Path | None:
    """The first of ``names`` that is in one of ``folders``."""
    return next((folder / name for folder in folders for name in names if (folder / name).exists()), None)


def missing(source: str, folders: Sequence[Path], names: Sequence[str], cure: str) -> FileNotFoundError:
    """The sentence for files that are nowhere."""
    what = f"{names[0]} is" if len(names) == 1 else f"neither {' nor '.join(names)} is"
    negation = "not " if len(names) == 1 else ""
    return FileNotFoundError(f"{source}: {what} {negation}in {' or '.join(map(str, folders))}; {cure}.")


def check_md5(source: str, name: str, content: BinaryIO | bytes, published: str) -> None:
    """Refuses a file that is not the publisher's.

    Raises:
        ValueError: in a sentence.
    """
    if isinstance(content, bytes):
        digest = hashlib.md5(content, usedforsecurity=False)
    else:
        digest = hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False))
    if digest.hexdigest() != published:
        raise ValueError(
            f"{source}: {name} is not the publisher's file (MD5 {digest.hexdigest()}, not {published}): damaged, "
            "cut short or another version; fetch it again, or set check to false to take it as it is."
        )


def fetch(source: str, url: str, folder: Path, name: str, md5: str) -> Path:
    """Downloads a file by torchvision's downloader, and keeps it if its MD5 is the published one.

    Raises:
        OSError: in a sentence, with what to do by hand.
    """
    from torchvision.datasets.utils import download_url

    unfinished, finished = folder / f"{name}.download", folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        download_url(url, folder, unfinished.name, md5)
        unfinished.replace(finished)
    except (OSError, HTTPException, RuntimeError, ValueError) as error:
        unfinished.unlink(missing_ok=True)
        raise OSError(
            f"{source}: {url} could not be fetched ({error}); fetch it by other means and put it into {folder}."
        ) from None
    return finished
