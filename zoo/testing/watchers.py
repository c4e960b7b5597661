"""Checks of watchers: they see records, and leave the training and the terminal alone."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Any

from zoo.api import Record
from zoo.registry import FIRST_PARTY
from zoo.testing.common import refused, settled, untouched
from zoo.testing.core import Body, Case, require

TERMS = ("encoder + decoder/reconstruction", "critic/hinge")


def records(first: int = 1, terms: tuple[str, ...] = TERMS) -> list[Record]:
    """Three records from a step on."""
    steps = range(first, first + 3)
    return [Record(step, 4 * step, 0.1 * step, 40.0, dict.fromkeys(terms, 1.0 / step)) for step in steps]


class Looker:
    """A watcher, and a training to look at."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __str__(self) -> str:
        return str(self.case)

    def make(self, folder: Path) -> Any:
        """A new one, for a run's directory."""
        part = self.case.part
        given = {"folder": folder, "recipe": next(self.case.bench.bundled(FIRST_PARTY)).plain()}
        asked = {name: given[name] for name in self.case.entry.signature.needs}
        return refused(self.case, lambda: self.case.target(**asked, **part.arguments_for()), "made")

    def watch(self, folder: Path, shown: Sequence[Record] | None = None, step: int = 0) -> None:
        """Shows it a training from a step on."""
        made = self.make(folder)
        made.start(step, 10, 4)
        for record in records() if shown is None else shown:
            made.log(record)
        made.end()


@contextmanager
def run_folder() -> Iterator[Path]:
    """A run's directory, and another empty one to stand in."""
    with TemporaryDirectory() as folder:
        there, here = Path(folder, "run"), Path(folder, "here")
        there.mkdir()
        here.mkdir()
        before = Path.cwd()
        os.chdir(here)
        try:
            yield there
        finally:
            os.chdir(before)


def protocol(looker: Looker) -> None:
    """It has the methods ``start(step, steps, batch)``, ``log(record)`` and ``end()``."""
    with run_folder() as folder:
        made = looker.make(folder)
    missing = [name for name in ("start", "log", "end") if not callable(getattr(made, name, None))]
    require(not missing, f"{looker} has no method {' and '.join(missing)}; zoo.api.Watcher says what they are given")


def watching(looker: Looker) -> None:
    """It sees a training from beginning to end, in which terms come and go."""
    later = records(4, terms=(*TERMS[1:], "generator/entropy"))
    with run_folder() as folder:
        looker.watch(folder, [*records(), *later])


def resuming(looker: Looker) -> None:
    """It sees one that was interrupted before its first record, and one that goes on in the same directory."""
    with run_folder() as folder:
        looker.watch(folder, [])
        looker.watch(folder, records())
        looker.watch(folder, records(4), step=3)


def records_untouched(looker: Looker) -> None:
    """It changes nothing in a record; other watchers see it too."""
    shown = records()
    with run_folder() as folder:
        looker.watch(folder, shown)
    cure = "work on a copy (dict(record.losses))"
    require(shown == records(), f"{looker} changes the records it is shown; {cure}")


def own_folder(looker: Looker) -> None:
    """What it writes, it writes below the run's directory."""
    with run_folder() as folder:
        looker.watch(folder)
        astray = sorted(path.name for path in Path.cwd().iterdir())
    told = f"{looker} writes {' and '.join(astray)} where the user stands"
    require(not astray, f"{told}; ask for 'folder' in __init__, and write below it")


def quiet(looker: Looker) -> None:
    """It prints nothing on stdout, which may be carrying JSON."""
    said = io.StringIO()
    with run_folder() as folder, redirect_stdout(said):
        looker.watch(folder)
    require(not said.getvalue(), f"{looker} prints {said.getvalue()[:40]!r} on stdout; print to sys.stderr")


def no_global_side_effect(looker: Looker) -> None:
    """Watching changes nothing that belongs to the whole process."""
    with run_folder() as folder:
        watch = settled(lambda: looker.watch(Path(mkdtemp(dir=folder))))
        with untouched(looker.case, "it watches"):
            watch()


BATTERY: tuple[Body, ...] = (protocol, watching, resuming, records_untouched, own_folder, quiet, no_global_side_effect)


def battery(_: Case) -> tuple[Body, ...]:
    """The checks of a watcher."""
    return BATTERY
