"""Clocks, ceilings and floors: what a step's time is measured with and held against."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from functools import cache

import torch

from zoo.bench.floor import Ceilings, Floor
from zoo.bench.floor import ceilings as measured_ceilings
from zoo.bench.floor import floor as floor_of_bytes

from .counting import Counts

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

H200 = Ceilings(790e12, 4.3e12)
"""FLOP/s in bfloat16 and bytes/s of the GPU that targets are told for."""

REPEATS = {"rounds": 6, "iterations": 10} if CUDA else {"rounds": 3}
"""Of what pytest-benchmark times: on a GPU 60 calls, 10 of them between two events."""

DEVICE_STEPS = 50
"""Calls between two events of the device."""


class DeviceClock:
    """Seconds on the device since the first reading, from its own events; a reading waits for the device."""

    def __init__(self) -> None:
        self._then: torch.cuda.Event | None = None
        self._seconds = 0.0

    def __call__(self) -> float:
        now = torch.cuda.Event(enable_timing=True)
        now.record()
        now.synchronize()
        if self._then is not None:
            self._seconds += self._then.elapsed_time(now) / 1e3
        self._then = now
        return self._seconds


def children() -> float:
    """CPU seconds of this process's finished children."""
    times = os.times()
    return times.children_user + times.children_system


seconds: Callable[[], float] = DeviceClock() if CUDA else time.process_time
"""The clock of the suite: the device's where there is one, else the CPU time of this process."""


def device_seconds(run: Callable[[], object]) -> float:
    """Seconds a call on the device: between two events, as many calls one after another as ``DEVICE_STEPS``.

    One call before them keeps the device busy while the host prepares the next, so that what is measured is how fast
    steps follow one another in a training.
    """
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    run()
    start.record()
    for _ in range(DEVICE_STEPS):
        run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / DEVICE_STEPS


def host_seconds(run: Callable[[], object], calls: int = 10, times: int = 6) -> float:
    """Seconds a call keeps the host, which does not wait for the device; so few calls that no queue is full."""
    taken = []
    for _ in range(times):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(calls):
            run()
        taken.append((time.perf_counter() - start) / calls)
    torch.cuda.synchronize()
    return statistics.median(taken)


@cache
def ceilings() -> dict[str, Ceilings]:
    """Type -> the best that this machine was seen to do, measured once a run on the device of the suite.

    Convolutions in float32 take TF32 on a GPU unless told otherwise, so the product does here.
    """
    was = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if CUDA else was)
    try:
        return {name: measured_ceilings(DEVICE, dtype) for name, dtype in DTYPES.items()}
    finally:
        torch.set_float32_matmul_precision(was)


def floor(asked: Counts, parameters: int, best: Ceilings) -> Floor:
    """The least time of a step: max(FLOP / peak, bytes / bandwidth); bytes are those that no fusion saves.

    Args:
        asked: what the step asks for.
        parameters: numbers that Adam moves, with two moments of each, in float32.
        best: what the machine can do.
    """
    return floor_of_bytes(asked.flops, asked.saved, 4 * parameters, 2 * 4 * parameters, best)
