"""A timing that can be trusted on a shared machine: two sides in one process, taken in turns, compared by ratio.

Other work on a machine slows both sides of a round alike, so a ratio holds where a time does not. What a ratio is
worth is known from an A/A pair: the same work on both sides, timed the same way, comes to 1 on a quiet machine.
"""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Work = Callable[[], object]
Stopwatch = Callable[[Work], float]
"""Work -> seconds that a call of it takes."""

ROUNDS = 12
LEAST = 0.1
"""Seconds that a side takes in a round at least: it is called as often as that needs."""

OFF, SPREAD = 0.01, 0.02
"""An A/A pair is quiet if its median is within OFF of 1 and its quartiles within SPREAD of each other."""


@dataclass(frozen=True)
class Paired:
    """Seconds a call of either side, by round.

    Args:
        a: of the side that is judged.
        b: of the side that it is compared with.
        calls: turns of each side in a round.
    """

    a: tuple[float, ...]
    b: tuple[float, ...]
    calls: int

    @property
    def ratios(self) -> tuple[float, ...]:
        """a / b of each round."""
        return tuple(a / b for a, b in zip(self.a, self.b, strict=True))

    @property
    def median(self) -> float:
        """Of the ratios."""
        return statistics.median(self.ratios)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Of the ratios, the first and the third."""
        first, _, third = statistics.quantiles(self.ratios, n=4)
        return first, third

    @property
    def told(self) -> tuple[float, float, float]:
        """Of the ratios, the median and the quartiles."""
        return self.median, *self.quartiles

    @property
    def extra(self) -> float:
        """Seconds a call that a takes more than b: the median over rounds."""
        return statistics.median(a - b for a, b in zip(self.a, self.b, strict=True))

    @property
    def quiet(self) -> bool:
        """Of an A/A pair: whether a ratio taken here now is worth a verdict."""
        first, third = self.quartiles
        return abs(self.median - 1) <= OFF and third - first <= SPREAD


def by(clock: Callable[[], float]) -> Stopwatch:
    """One call between two readings of a clock that shows seconds."""

    def seconds(run: Work) -> float:
        start = clock()
        run()
        return clock() - start

    return seconds


CPU_TIME = by(time.process_time)


def paired(
    a: Work, b: Work, *, rounds: int = ROUNDS, least: float = LEAST, seed: int = 0, taken: Stopwatch = CPU_TIME
) -> Paired:
    """Times two callables against each other.

    Both are timed once unseen, then as often as makes ``least`` seconds of the slower one in each round, at least once;
    the turns of a round, of both sides, come in random order. Garbage is collected before, not meanwhile.

    Args:
        a: the side that is judged.
        b: the side that it is compared with.
        rounds: how many ratios.
        least: seconds a side takes in a round; 0 for one turn.
        seed: of the order.
        taken: how a turn is timed: by default one call, in CPU time of this process.
    """
    order = random.Random(seed)
    for side in (a, b):  # plans, optimiser states, caches
        taken(side)
    slower = max(taken(a), taken(b)) if least else 0.0
    calls = max(1, round(least / slower)) if slower else 1
    seconds: tuple[list[float], list[float]] = ([], [])
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            turns, totals = [0, 1] * calls, [0.0, 0.0]
            order.shuffle(turns)
            for turn in turns:
                totals[turn] += taken((a, b)[turn])
            for side, total in zip(seconds, totals, strict=True):
                side.append(total / calls)
    finally:
        if collecting:
            gc.enable()
    return Paired(tuple(seconds[0]), tuple(seconds[1]), calls)
