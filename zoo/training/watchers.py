"""Watchers of a training: they see its records, and never stand between forward and step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partialmethod
from typing import Any

from zoo.api import Record, WatcherDefaults
from zoo.engine.keys import TermKey
from zoo.errors import Problem, RecipeError, happened, reason
from zoo.machine.progress import Progress
from zoo.recipe.schema import Part
from zoo.runs.run import Run

ALARMS = "state/alarms.json"


class Guarded:
    """Keeps a plugin's watcher from stopping a training: one that fails is left out from there on, and ``say`` told.

    It may ask for what is ``given``: ``folder``, the run's directory, and ``recipe``, as plain data. One that cannot be
    made is a RecipeError, placed at the part of the recipe.
    """

    def __init__(self, part: Part, given: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self._label, self._say, self._failed = part.label, say, False
        asked = {name: given[name] for name in part.entry.signature.needs}
        try:
            self._watcher = part.load()(**asked, **part.arguments_for())
        except Exception as error:  # whatever a plugin's code may raise
            message = f"watcher '{part.entry.name}': {reason(error)}"
            raise RecipeError([Problem(part.position, message)]) from error

    def _call(self, method: str, *arguments: Any) -> None:
        if self._failed:
            return
        try:
            if getattr(self._watcher, method, getattr(WatcherDefaults, method, ...)) is not None:
                getattr(self._watcher, method)(*arguments)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a plugin's code may raise
            self._failed = True
            self._say(f"watcher '{self._label}' failed in {method}() and is left out from here on: {happened(error)}")

    start = partialmethod(_call, "start")
    log = partialmethod(_call, "log")
    end = partialmethod(_call, "end")
    picture = partialmethod(_call, "picture")
    scores = partialmethod(_call, "scores")


class Bell:
    """Collects the alarms of a training and answers whether it should stop: if ``asked``, or at one where it ``stops``.

    The run keeps them, for the report; ``say`` is told every one.
    """

    def __init__(self, run: Run, say: Callable[[str], None], asked: Callable[[], bool], stops: bool) -> None:
        self.say, self.asked = say, asked
        self.rung = ""
        self._run, self._stops = run, stops

    @property
    def alarms(self) -> tuple[str, ...]:
        """All alarms of the run, those of processes before this one too."""
        return tuple(self._run.read_json(ALARMS) or ())

    def ring(self, alarm: str) -> None:
        """Keeps an alarm and says it."""
        self.rung = self.rung or alarm
        self._run.write_json(ALARMS, list(dict.fromkeys((*self.alarms, alarm))))
        self.say(alarm)

    def stop(self) -> bool:
        """True where the training is to save and end."""
        return self.asked() or (self._stops and bool(self.rung))


class ProgressWatcher:
    """Shows how far a training is: a bar on a terminal, else plain lines."""

    def start(self, step: int, steps: int, batch: int) -> None:
        """Shows an empty bar."""
        self._steps, self._batch, self._shown = steps, batch, Progress("", steps * batch, step * batch, silent=0)

    def log(self, record: Record) -> None:
        """Moves the bar."""
        self._shown.update(record.step * self._batch, by_row(record.losses), f"step {record.step}/{self._steps}")

    def end(self) -> None:
        """Closes the bar."""
        self._shown.close()


def by_row(losses: Mapping[str, float]) -> str:
    """Losses by row: ``encoder + decoder: reconstruction 45.2, kl 20.1 | critic: discriminate 1.1``."""
    rows: dict[str, list[str]] = {}
    for key, value in losses.items():
        row, term, _ = TermKey.read(key)
        rows.setdefault(row, []).append(f"{term} {value:.4g}")
    return " | ".join(f"{row}: {', '.join(terms)}" for row, terms in rows.items())
