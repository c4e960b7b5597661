"""How far long work is: a bar on a terminal, elsewhere a plain line now and then."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self, TextIO

from zoo.columns import duration, printable

if TYPE_CHECKING:
    from tqdm import tqdm

LINE_EVERY = 10.0
"""Seconds between two plain lines."""
SILENT_SECONDS = 2.0
"""Work that is done sooner shows nothing, unless it says otherwise."""


class Progress:
    """A bar on a terminal; elsewhere a plain line every ten seconds, and one at the end. Closed by its ``with`` block.

    Args:
        what: the work, such as ``packing celeba train``.
        total: images there are.
        done: images done before.
        silent: seconds before anything is shown, so that short work shows nothing; 2 when None.
        stream: where it is shown; stderr when None.
    """

    def __init__(
        self, what: str, total: int, done: int = 0, *, silent: float | None = None, stream: TextIO | None = None
    ) -> None:
        self._what, self._total, self._silent = what, total, SILENT_SECONDS if silent is None else silent
        self._stream = stream or sys.stderr
        self._start = self._said_at = time.monotonic()
        self._done = self._said_done = done
        self._note = self._place = ""
        self._bar = self._new_bar() if self._stream.isatty() else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, done: int, note: str = "", place: str = "") -> None:
        """Moves the bar, or writes a line if the last is ten seconds old.

        Args:
            done: images done by now, with those done before.
            note: what else there is to say, behind the rest.
            place: what a line begins with; by default the work, and how many images of how many.
        """
        self._done, self._note, self._place = done, note, place
        if self._bar is not None:
            self._bar.set_postfix_str(printable(note, lines=False), refresh=False)
            self._bar.update(done - self._bar.n)
        elif time.monotonic() - self._said_at >= LINE_EVERY:
            self._write_line()

    def close(self) -> None:
        """Closes the bar, or writes the last line if it was not written yet."""
        if self._bar is not None:
            self._bar.close()
        elif self._done != self._said_done and time.monotonic() - self._start >= self._silent:
            self._write_line()

    def _new_bar(self) -> tqdm[Any]:
        from tqdm import tqdm

        return tqdm(
            desc=self._what or None,
            total=self._total,
            initial=self._done,
            unit="img",
            unit_scale=True,
            file=self._stream,
            dynamic_ncols=True,
            delay=self._silent,
        )

    def _write_line(self) -> None:
        now = time.monotonic()
        rate = (self._done - self._said_done) / max(now - self._said_at, 1e-9)
        left = max(self._total - self._done, 0) / max(rate, 1e-9)
        self._said_at, self._said_done = now, self._done
        place = self._place or f"{self._what}: {self._done:,} of {self._total:,} images"
        line = f"{place}, {rate:,.0f} images/s, {duration(left)} left"
        print(printable(f"{line}, {self._note}" if self._note else line), file=self._stream, flush=True)
