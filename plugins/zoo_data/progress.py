"""How far packing is: a bar on a terminal, elsewhere a line now and then. On stderr, and not for short work."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

SILENT_SECONDS = 2.0
"""Work shorter than this says nothing."""
LINE_EVERY = 10.0
"""Seconds between two plain lines."""


@contextmanager
def progress(what: str, done: int, total: int) -> Iterator[Callable[[int], object]]:
    """Gives a function to call with the number of images done since the last call.

    Args:
        what: such as ``celeba train``.
        done: images that were packed before.
        total: images there are.
    """
    if sys.stderr.isatty():
        with tqdm(
            desc=f"packing {what}",
            initial=done,
            total=total,
            unit="img",
            unit_scale=True,
            file=sys.stderr,
            dynamic_ncols=True,
            delay=SILENT_SECONDS,
        ) as bar:
            yield bar.update
    else:
        yield _Lines(what, done, total).advance


class _Lines:
    """Plain lines: the first after ``SILENT_SECONDS``, others ``LINE_EVERY`` seconds apart."""

    def __init__(self, what: str, done: int, total: int) -> None:
        self._what, self._first, self._done, self._total = what, done, done, total
        self._start = time.monotonic()
        self._next = self._start + SILENT_SECONDS

    def advance(self, count: int) -> None:
        self._done += count
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + LINE_EVERY
        rate = (self._done - self._first) / (now - self._start)
        left = max(self._total - self._done, 0) / max(rate, 1e-9)
        say(f"packing {self._what}: {self._done:,} of {self._total:,} images, {rate:,.0f} a second, {left:,.0f} s left")


def say(sentence: str) -> None:
    """A line on stderr."""
    print(sentence, file=sys.stderr, flush=True)
