"""Timing that can be trusted on a shared machine: sides taken in turns, in random order, compared round by round."""

from __future__ import annotations

import gc
import random
import statistics
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

Side = TypeVar("Side", bound=Hashable)

OFF, SPREAD = 0.02, 0.05
"""The same work timed twice is quiet if its median ratio is within OFF of 1 and its quartiles within SPREAD."""


@dataclass(frozen=True)
class Spent:
    """The time of a piece of work.

    Args:
        seconds: of the device: between two CUDA events, else CPU time of the process, summed over its threads.
        wall: seconds that passed until the work was done.
        host: seconds that passed until the host had asked for all of it.
    """

    seconds: float
    wall: float
    host: float


@dataclass(frozen=True)
class Middle:
    """The median of some numbers, and their first and third quartile."""

    median: float
    first: float
    third: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Middle:
        """Of at least two numbers."""
        first, _, third = statistics.quantiles(numbers, n=4, method="inclusive")
        return cls(statistics.median(numbers), first, third)

    def times(self, factor: float) -> Middle:
        """In another unit."""
        return Middle(self.median * factor, self.first * factor, self.third * factor)

    def __str__(self) -> str:
        return f"{self.median:.3f} ({self.first:.3f} to {self.third:.3f})"

    @property
    def quiet(self) -> bool:
        """Of the ratio of a piece of work to itself: whether other ratios taken now are worth a conclusion."""
        return abs(self.median - 1) <= OFF and self.third - self.first <= SPREAD


def timed(run: Callable[[], object], device: torch.device) -> Spent:
    """One call, by the device's clock and by the wall's."""
    if device.type != "cuda":
        wall, seconds = time.perf_counter(), time.process_time()
        run()
        seconds, wall = time.process_time() - seconds, time.perf_counter() - wall
        return Spent(seconds, wall, wall)
    torch.cuda.synchronize(device)
    start, end = torch.Event(device, enable_timing=True), torch.Event(device, enable_timing=True)
    wall = time.perf_counter()
    start.record()
    run()
    end.record()
    host = time.perf_counter() - wall
    torch.cuda.synchronize(device)
    return Spent(start.elapsed_time(end) / 1e3, time.perf_counter() - wall, host)


def in_turns(sides: Mapping[Side, Callable[[], object]], rounds: int, device: torch.device) -> dict[Side, list[Spent]]:
    """Times every side once a round, in a new random order each; garbage is collected before, not meanwhile."""
    order, names = random.Random(0), list(sides)
    spent: dict[Side, list[Spent]] = {name: [] for name in names}
    collecting = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            order.shuffle(names)
            for name in names:
                spent[name].append(timed(sides[name], device))
    finally:
        if collecting:
            gc.enable()
    return spent


def ratio(a: Sequence[Spent], b: Sequence[Spent]) -> Middle:
    """Seconds of ``a`` over those of ``b``, round by round."""
    return Middle.of([one.seconds / max(other.seconds, 1e-9) for one, other in zip(a, b, strict=True)])
