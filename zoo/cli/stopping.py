"""Stops long work on Ctrl-C, SIGTERM and a closed terminal: it is saved, and goes on with the same command."""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from zoo.api import Record
from zoo.columns import printable
from zoo.errors import Interrupted

OUTPUTS = (1, 2)
"""Descriptors that people read."""
ECHO = 2.0
"""Seconds within which ``torchrun`` passes on the signal that a process has had from the terminal already."""


class Stop:
    """Handles signals that ask for a stop. It is a watcher, too: only a training has a step to finish and save.

    While one is on, a first signal asks for a stop after the present step. A second one stops at once, and so does
    any at other times: every file is written whole or not at all, and there is little to do again. A terminal and
    ``torchrun`` both pass a signal on to the processes that ``torchrun`` started: an echo is no second signal.
    """

    def __init__(self) -> None:
        self.at_once = self._asked = self._training = False
        self._patience = ECHO if "TORCHELASTIC_RUN_ID" in os.environ else 0.0
        self._since = 0.0
        self._terminals = [output for output in OUTPUTS if os.isatty(output)]

    def __call__(self) -> bool:
        """True to stop after this step, or at once, where a library made something else of the interrupt."""
        return self._asked or self.at_once

    def start(self, step: int, steps: int, batch: int) -> None:  # noqa: ARG002 - what a watcher is told
        """Training begins."""
        self._training = True

    def log(self, record: Record) -> None:
        """A record was taken."""

    def end(self) -> None:
        """Training ended, or was interrupted."""
        self._training = False

    def ask(self, *_: object) -> None:
        """Handles a signal; raises KeyboardInterrupt to stop at once."""
        _silence(output for output in self._terminals if not os.isatty(output))  # closed: writing to it is an error
        if self._asked and self._training and time.monotonic() - self._since < self._patience:
            return
        self.at_once = self._asked or not self._training
        if self.at_once:
            raise KeyboardInterrupt
        self._asked, self._since = True, time.monotonic()
        with suppress(OSError, RuntimeError):  # nobody reads it, or it comes in the middle of a print
            print("\nstopping after this step; once more to stop at once", file=sys.stderr, flush=True)


def tell(sentence: object) -> None:
    """Says something to people, on stderr."""
    print(printable(sentence), file=sys.stderr, flush=True)


def nobody_reads() -> bool:
    """Whether the reader of an output left, as ``head`` does. Else a broken pipe is not ours but a plugin's."""
    if not hasattr(select, "poll"):
        return True
    watch = select.poll()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # none, closed, or no file
            watch.register(stream.fileno(), 0)
    return any(seen & (select.POLLERR | select.POLLHUP) for _, seen in watch.poll(0))


def _silence(outputs: Iterable[int]) -> None:
    """Sends what is written to them nowhere from here on."""
    for output in outputs:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, output)
        os.close(nowhere)


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """Ctrl-C, SIGTERM and the hangup of a terminal ask for a stop, inside. After ``nohup`` a hangup does not.

    What is stopped at once, or has nobody who reads what it says, is Interrupted.
    """
    stop = Stop()
    hangup: Any = getattr(signal, "SIGHUP", None)  # which Windows has not
    heard = hangup and signal.getsignal(hangup) is not signal.SIG_IGN
    numbers: list[int] = [signal.SIGINT, signal.SIGTERM, *([hangup] if heard else [])]
    before = {number: signal.signal(number, stop.ask) for number in numbers}
    try:
        yield stop
    except BrokenPipeError:
        if not nobody_reads():
            raise
        _silence(OUTPUTS)
        raise Interrupted("up to the last checkpoint") from None
    except BaseException:  # a library stopped in the middle of something may make another error of it
        if not stop.at_once:
            raise
        raise Interrupted("up to the last checkpoint") from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
