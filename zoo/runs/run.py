"""Run directories: what a build leaves behind. Every file is written whole or not at all. No torch."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from zoo.columns import json_text
from zoo.errors import Busy, Damaged, RequestError
from zoo.machine.disk import cure, inside, locked, names_in, read_text, remove, temporary, write_atomically
from zoo.recipe.weights import RUN_RECIPE
from zoo.recipe.yaml.read import read

DONE = "state/done.json"
"""Where a finished run keeps the digest of its recipe, and those of its files."""


class Run(AbstractContextManager["Run"]):
    """A run directory, held by this process alone until it is closed; made if it is missing.

    What an interrupted process was writing is removed.

    Raises:
        RequestError: if it is not a run, or cannot be written.
        RunError: if a link in it leads out of it.
        Busy: if another process is at work in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        check_own(folder)
        try:
            (folder / "state").mkdir(parents=True, exist_ok=True)
            for name in names_in(folder):  # what is written below it, by plugins too, stays there
                inside(folder, name)
            lock = locked(folder / "state" / "lock")
        except OSError as error:
            why = f"{error.strerror}{cure(error) or '; choose another --out'}"
            raise RequestError(f"{folder}: cannot be written: {why}") from None
        if lock is None:
            raise Busy(f"{folder}: another process is building here; wait for it, or choose another --out")
        self._lock = lock
        for part in (folder, folder / "state", folder / "samples"):
            for left in filter(temporary, part.glob(".*")):
                remove(left)

    def close(self) -> None:
        """Lets other processes in."""
        self._lock.release()

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- files -------------------------------------------------------------------------------------------

    def path(self, name: str) -> Path:
        """A file of the run."""
        return self.folder / name

    def read_json(self, name: str) -> Any:
        """Reads a file's JSON; None if it is not there; what cannot be read, or leads out of the run, is a RunError."""
        try:
            text = read_text(self.folder, name)
            return None if text is None else json.loads(text)
        except Damaged as error:
            raise Damaged(f"{error}; remove it to have it made again") from None
        except (ValueError, RecursionError) as error:
            raise Damaged(f"{self.path(name)}: is damaged ({error}); remove it to have it made again") from None

    def write(self, name: str, content: str | bytes) -> None:
        """Writes a file whole or not at all."""
        write_atomically(self.path(name), content.encode() if isinstance(content, str) else content)

    def write_json(self, name: str, content: Any) -> None:
        """Writes a file as JSON."""
        self.write(name, json_text(content, indent=2) + "\n")


def check_own(folder: Path) -> None:
    """Refuses a directory that holds something else than a run; the RequestError names what stands in the way."""
    if folder.exists() and not folder.is_dir():
        raise RequestError(f"{folder}: is a file, not a directory; choose another --out")
    if not folder.exists() or any((folder / name).is_file() for name in ("recipe.yaml", DONE)):
        return
    if steps_of(folder, "json"):  # it lost its recipe
        return
    names = (p.name for p in folder.iterdir() if p.name != "state" and not temporary(p))  # a kill at the first file
    if foreign := sorted(names):
        raise RequestError(
            f"{folder}: is not a run (it has no recipe.yaml but holds {', '.join(foreign[:3])}"
            f"{' ...' if len(foreign) > 3 else ''}); choose another --out"
        )


def recipe_in(folder: Path) -> dict[str, Any]:
    """A run's recipe as its file says it, whatever is installed here; empty where there is none."""
    plain: dict[str, Any] = read(read_text(folder, RUN_RECIPE) or "", str(folder / RUN_RECIPE)).plain()
    return plain


def steps_of(folder: Path, ending: str) -> set[int]:
    """Steps of the files in ``state`` that end so: ``json``, ``safetensors``, ``*``.

    A RunError if it cannot be listed: a run without checkpoints begins anew.
    """
    parts = (name.partition(".") for name in names_in(folder / "state"))
    stems = (stem for stem, _, kind in parts if kind and ending in ("*", kind) and stem.startswith("step-"))
    names = (stem.removeprefix("step-") for stem in stems)
    return {int(name) for name in names if name.isascii() and name.isdecimal() and f"{int(name):08d}" == name}
