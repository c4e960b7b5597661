"""Running other people's code so that whatever it does, only it is lost: errors, exits, prints, endless loops.

Code that runs on somebody's behalf (``on_behalf_of``) is held to a time limit, ``ZOO_PLUGIN_TIMEOUT`` seconds (30),
by an alarm signal: no thread, no process. There is none outside the main thread and where the system has no interval
timers (Windows), and code that never returns to the interpreter is not reached by it.
"""

from __future__ import annotations

import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from contextvars import ContextVar
from dataclasses import dataclass
from types import FrameType
from typing import TypeVar

from zoo.errors import RequestError

T = TypeVar("T")

LONGEST_SENTENCE = 400
TIMEOUT = 30.0
AGAIN, TRIES = 0.2, 5
"""Code that swallows the interruption is interrupted again after ``AGAIN`` seconds, ``TRIES`` times in all."""

ONCE = ("torch", "numpy")
"""Modules whose import is never interrupted: after half of one, the process cannot import them any more."""


@dataclass(frozen=True)
class Failure:
    """What went wrong: one sentence for a person, a traceback on request, and the error itself."""

    sentence: str
    traceback: str
    error: BaseException


@dataclass(frozen=True)
class _Culprit:
    label: str
    cure: str


_culprit: ContextVar[_Culprit | None] = ContextVar("culprit", default=None)


@contextmanager
def on_behalf_of(label: str, cure: str) -> Iterator[None]:
    """Whose code ``attempt`` runs inside this block; it is held to the time limit.

    Args:
        label: such as ``"plugin 'foo' of zoo-foo"``.
        cure: how to do without it, where it cannot be stopped.
    """
    before = _culprit.set(_Culprit(label, cure))
    try:
        yield
    finally:
        _culprit.reset(before)


def attempt(doing: str, action: Callable[[], T]) -> T | Failure:
    """``action()``, or why it failed. What it prints goes to stderr: stdout may be carrying JSON.

    Args:
        doing: how the sentence of a failure starts, such as ``"importing 'zoo_foo'"``.
        action: the foreign code. Only KeyboardInterrupt passes through.
    """
    culprit = _culprit.get()
    limit = _Limit(culprit) if culprit else None
    try:
        with redirect_stdout(sys.stderr):
            if limit is None:
                return action()
            with limit:
                return action()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may call sys.exit, or raise anything
        import traceback  # only when something failed: 3 ms

        what = limit.sentence if limit and limit.interruptions else _what_happened(error)
        return Failure(f"{doing} {what}", "".join(traceback.format_exception(error)), error)


def time_allowed() -> float:
    """Seconds that one piece of a plugin's code may take.

    Raises:
        RequestError: ``ZOO_PLUGIN_TIMEOUT`` is no such number.
    """
    text = os.environ.get("ZOO_PLUGIN_TIMEOUT")
    if text is None:
        return TIMEOUT
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if 0 < seconds < math.inf:
        return seconds
    raise RequestError(f"ZOO_PLUGIN_TIMEOUT is '{text}'; it must be a number of seconds above 0, such as {TIMEOUT:g}")


class TimeUp(BaseException):
    """Raised inside foreign code that has had its time."""


class _Limit:
    """Raises ``TimeUp`` in the block once its time is over, again where that is swallowed; ends the process at last.

    The alarm's handler and timer are as before afterwards, less the time spent.
    """

    def __init__(self, culprit: _Culprit) -> None:
        self.culprit = culprit
        self.seconds = time_allowed()
        self.interruptions = 0
        self.armed = False

    @property
    def sentence(self) -> str:
        return f"took more than {self.seconds:g} s and was stopped; ZOO_PLUGIN_TIMEOUT=SECONDS allows it more"

    def __enter__(self) -> None:
        # A handler that Python did not set cannot be put back, so such a program keeps its alarm.
        if not hasattr(signal, "setitimer") or signal.getsignal(signal.SIGALRM) is None:
            return
        try:
            self.handler = signal.signal(signal.SIGALRM, self._interrupt)
        except ValueError:
            return  # only the main thread receives signals
        self.started = time.monotonic()
        self.timer = signal.setitimer(signal.ITIMER_REAL, self.seconds, AGAIN)
        self.armed = True

    def __exit__(self, *_: object) -> None:
        if not self.armed:
            return
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self.handler)
        left, interval = self.timer
        if left:
            spent = time.monotonic() - self.started
            signal.setitimer(signal.ITIMER_REAL, max(left - spent, 1e-6), interval)

    def _interrupt(self, _signal: int, _frame: FrameType | None) -> None:
        if any(map(_is_being_imported, ONCE)):
            return
        self.interruptions += 1
        if self.interruptions > TRIES:
            signal.setitimer(signal.ITIMER_REAL, 0)  # the last words are not interrupted
            told = f"zoo: error: {self.culprit.label} took more than {self.seconds:g} s and cannot be stopped; "
            os.write(2, f"{told}{self.culprit.cure}\n".encode())
            os._exit(1)
        raise TimeUp(self.sentence)


def _is_being_imported(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return bool(getattr(spec, "_initializing", False))


def _what_happened(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"called sys.exit({'' if error.code is None else repr(error.code)})"
    try:
        text = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - even printing a foreign error can fail
        text = "(its message cannot be printed)"
    name = type(error).__name__
    return "failed: " + (f"{name}: {text}" if text else name)[:LONGEST_SENTENCE]
