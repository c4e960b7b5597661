"""Watchers of a training: they see records, never stand between forward and step."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

from tqdm import tqdm

from zoo.api import Record
from zoo.errors import Problem, RecipeError
from zoo.recipe.schema import Part
from zoo.runs.run import Run

if TYPE_CHECKING:
    from torch import Tensor

ALARMS = "state/alarms.json"
LINE_EVERY = 10.0
"""Seconds between two plain lines where the output is no terminal."""


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
        optional = method in ("picture", "scores") and not hasattr(self._watcher, method)
        if self._failed or optional:
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


class Progress:
    """A progress bar on a terminal; elsewhere a plain line every ten seconds."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._bar: tqdm[Any] | None = None
        self._said = 0.0
        self._steps = 0
        self._batch = 0
        self._last: Record | None = None
        self._told: Record | None = None

    def start(self, step: int, steps: int, batch: int) -> None:
        """Shows the bar, or notes the time."""
        self._steps, self._batch, self._said = steps, batch, time.monotonic()
        if self._stream.isatty():
            self._bar = tqdm(
                total=steps * batch,
                initial=step * batch,
                unit="img",
                unit_scale=True,
                file=self._stream,
                dynamic_ncols=True,
            )

    def log(self, record: Record) -> None:
        """Moves the bar, or says a line if the last is ten seconds old."""
        self._last = record
        if self._bar is not None:
            self._bar.n = record.seen_images
            self._bar.set_postfix_str(told(record.losses))
        elif time.monotonic() - self._said >= LINE_EVERY:
            self._say(record)

    def end(self) -> None:
        """Closes the bar, or says the last record."""
        if self._bar is not None:
            self._bar.close()
        elif self._last and self._last is not self._told:
            self._say(self._last)

    def _say(self, record: Record) -> None:
        self._said, self._told = time.monotonic(), record
        left = (self._steps - record.step) * self._batch / max(record.images_per_s, 1e-9)
        print(
            f"step {record.step}/{self._steps}  {record.images_per_s:.0f} images/s  {clock(left)} left  "
            f"{told(record.losses)}",
            file=self._stream,
            flush=True,
        )


def told(losses: Mapping[str, float]) -> str:
    """Losses by row: ``encoder + decoder: reconstruction 45.2, kl 20.1 | critic: discriminate 1.1``."""
    rows: dict[str, list[str]] = {}
    for key, value in losses.items():
        row, term = key.rsplit("/", 1)
        rows.setdefault(row, []).append(f"{term} {value:.4g}")
    return " | ".join(f"{row}: {', '.join(terms)}" for row, terms in rows.items())


def clock(seconds: float) -> str:
    """``1:02:03`` or ``2:03``."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
