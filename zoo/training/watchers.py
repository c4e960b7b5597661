"""Watchers of a training: they see records, never stand between forward and step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from zoo.api import Record, WatcherDefaults
from zoo.errors import Problem, RecipeError
from zoo.machine.progress import Progress
from zoo.recipe.schema import Part
from zoo.runs.run import Run

if TYPE_CHECKING:
    from torch import Tensor

ALARMS = "state/alarms.json"


class Guarded:
    """A watcher of a plugin's, which can neither stop the training nor change it: when it fails, it is left out.

    Args:
        part: where the recipe names it.
        given: ``folder``, the run's directory, and ``recipe``, as plain data, for a watcher that asks for them.
        say: told when it failed.

    Raises:
        RecipeError: placed at the part, if it cannot be made.
    """

    def __init__(self, part: Part, given: Mapping[str, Any], say: Callable[[str], None]) -> None:
        self._label, self._say, self._failed = part.label, say, False
        asked = {name: given[name] for name in part.entry.signature.needs}
        try:
            self._watcher = part.load()(**asked, **part.arguments_for())
        except Exception as error:  # whatever a plugin's code may raise
            message = f"watcher '{part.entry.name}': {error or type(error).__name__}"
            raise RecipeError([Problem(part.position, message)]) from error

    def start(self, step: int, steps: int, batch: int) -> None:
        """Training begins."""
        self._call("start", step, steps, batch)

    def log(self, record: Record) -> None:
        """A record was taken."""
        self._call("log", record)

    def end(self) -> None:
        """Training ended, or was interrupted."""
        self._call("end")

    def picture(self, step: int, name: str, image: Tensor) -> None:
        """A picture was made: uint8 (C, H, W)."""
        self._call("picture", step, name, image)

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """The finished model was scored."""
        self._call("scores", step, values)

    def _call(self, method: str, *arguments: Any) -> None:
        if self._failed or getattr(self._watcher, method, getattr(WatcherDefaults, method, ...)) is None:
            return
        try:
            getattr(self._watcher, method)(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever a plugin's code may raise
            self._failed = True
            what = f"{type(error).__name__}: {error}".rstrip(": ")
            self._say(f"watcher '{self._label}' failed in {method}() and is left out from here on: {what}")


class Bell:
    """Whom a training tells of alarms and asks whether to stop. The run keeps them, for the report.

    Args:
        run: where they are kept.
        say: told every alarm.
        asked: whether somebody asked for a stop.
        stops: whether an alarm is such a request.
    """

    def __init__(self, run: Run, say: Callable[[str], None], asked: Callable[[], bool], stops: bool) -> None:
        self.say, self.asked = say, asked
        self.rung = ""
        self._run, self._stops = run, stops

    @property
    def alarms(self) -> tuple[str, ...]:
        """All of the run's, those of processes before this one too."""
        return tuple(self._run.read_json(ALARMS) or ())

    def ring(self, alarm: str) -> None:
        """An alarm."""
        self.rung = self.rung or alarm
        self._run.write_json(ALARMS, list(dict.fromkeys((*self.alarms, alarm))))
        self.say(alarm)

    def stop(self) -> bool:
        """Whether to save and end."""
        return self.asked() or (self._stops and bool(self.rung))


class ProgressWatcher:
    """Shows how far a training is: a bar on a terminal, else plain lines."""

    def __init__(self) -> None:
        self._shown: Progress | None = None
        self._steps = 0

    def start(self, step: int, steps: int, batch: int) -> None:
        """Training begins."""
        self._steps = steps
        self._shown = Progress("", steps * batch, step * batch, silent=0)

    def log(self, record: Record) -> None:
        """A record was taken."""
        if self._shown:
            self._shown.update(record.seen_images, told(record.losses), f"step {record.step}/{self._steps}")

    def end(self) -> None:
        """Training ended."""
        if self._shown:
            self._shown.close()


def told(losses: Mapping[str, float]) -> str:
    """Losses by row: ``encoder + decoder: reconstruction 45.2, kl 20.1 | critic: discriminate 1.1``."""
    rows: dict[str, list[str]] = {}
    for key, value in losses.items():
        row, term = key.rsplit("/", 1)
        rows.setdefault(row, []).append(f"{term} {value:.4g}")
    return " | ".join(f"{row}: {', '.join(terms)}" for row, terms in rows.items())
