"""The context manager: watches what is inside it, then reads what it saw."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.auditing.ranks import compare_ranks
from zoo.auditing.report import Found
from zoo.auditing.stepping import Enough
from zoo.auditing.watch import Watch


@contextmanager
def audit(steps: int | None = None) -> Iterator[Found]:
    """Watches the training inside: ``found.problems`` tells afterwards what is wrong, ``found.text()`` shows all.

    Args:
        steps: leave the block once an optimiser has stepped so often; None watches to its end.

    Yields:
        What was found, as a ``Found``; it is empty until the block is over. An exception inside passes, after what led
        to it was read.
    """
    found, watch = Found(), Watch(steps)
    watch.start()
    whole = False
    try:
        yield found
        whole = True
    except Enough:
        whole = True
    finally:
        watch.stop()
        if whole:
            compare_ranks(watch.record)
        found.read(watch.record)
