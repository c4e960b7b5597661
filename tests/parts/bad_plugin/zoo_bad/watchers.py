"""Watchers, each with one fault."""
# ruff: noqa: ARG002

from __future__ import annotations

import itertools
import os
from pathlib import Path

from zoo import api

COUNTER = itertools.count()


class watcher_good:
    def __init__(self, folder: Path, *, every: int = 1) -> None:
        """Writes steps.

        Args:
            folder: the run.
            every: how many.
        """
        self.file, self.every = folder / "steps.txt", every

    def start(self, step: int, steps: int, batch: int) -> None:
        """Begins."""

    def log(self, record: api.Record) -> None:
        with self.file.open("a") as file:
            file.write(f"{record.step}\n")

    def end(self) -> None:
        """Ends."""


class watcher_signature(watcher_good):
    """Asks for a colour."""

    def __init__(self, folder: Path, colour: int) -> None:
        super().__init__(folder)


class watcher_options_documented(watcher_good):
    def __init__(self, folder: Path, *, every: int = 1) -> None:
        super().__init__(folder, every=every)


class watcher_options_round_trip(watcher_good):
    """Writes steps.

    Args:
        every: how many.
    """

    def __init__(self, folder: Path, *, every: int = 1.5) -> None:
        super().__init__(folder, every=every)


class watcher_example(watcher_good):
    """Writes steps.

    Args:
        every: how many.
    """

    def __init__(self, folder: Path, *, every: int) -> None:
        super().__init__(folder, every=every)


class watcher_protocol:
    """Learns how to end when it begins."""

    def start(self, step: int, steps: int, batch: int) -> None:
        self.end = lambda: None

    def log(self, record: api.Record) -> None:
        """Nothing."""


class watcher_watching(watcher_good):
    columns: tuple[str, ...] = ()

    def log(self, record: api.Record) -> None:
        self.columns = self.columns or tuple(record.losses)
        assert all(record.losses[column] for column in self.columns)


class watcher_resuming(watcher_good):
    def start(self, step: int, steps: int, batch: int) -> None:
        self.file.parent.joinpath("log").mkdir()


class watcher_records_untouched(watcher_good):
    def log(self, record: api.Record) -> None:
        record.losses.clear()  # type: ignore[attr-defined]


class watcher_own_folder(watcher_good):
    def start(self, step: int, steps: int, batch: int) -> None:
        Path("log.txt").write_text("begun")


class watcher_quiet(watcher_good):
    def log(self, record: api.Record) -> None:
        print(record.step)


class watcher_no_global_side_effect(watcher_good):
    def log(self, record: api.Record) -> None:
        os.environ["ZOO_BAD"] = str(next(COUNTER))
