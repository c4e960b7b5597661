"""Clocks, ceilings and floors: what a step's time is measured with and held against."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch

from zoo.bench.floor import Ceilings, Floor
from zoo.bench.floor import ceilings as measured_ceilings
from zoo.bench.floor import floor as floor_of_bytes
from zoo.machine.device import sync_device

from .counting import Counts

CUDA = torch.cuda.is_available()
DEVICE = torch.device("cuda" if CUDA else "cpu")
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}

H200 = Ceilings(790e12, 4.3e12)
"""FLOP/s in bfloat16 and bytes/s of the GPU that targets are told for."""

REPEATS = {"rounds": 3}
"""Of what pytest-benchmark times."""


def children() -> float:
    """CPU seconds of this process's finished children."""
    times = os.times()
    return times.children_user + times.children_system


seconds: Callable[[], float] = time.process_time
"""The clock of the suite."""


def device_seconds(run: Callable[[], object], calls: int = 50) -> float:
    """Seconds a call on the device: between two events, one call after another; without a GPU, CPU time.

    One call before them keeps the device busy while the host prepares the next, so that what is measured is how fast
    steps follow one another in a training.
    """
    read = _event if CUDA else time.process_time
    run()
    start = read()
    for _ in range(calls):
        run()
    end = read()
    if isinstance(end, float):
        return (end - start) / calls
    end.synchronize()
    return start.elapsed_time(end) / 1e3 / calls


def _event() -> torch.cuda.Event:
    event = torch.cuda.Event(enable_timing=True)
    event.record()
    return event


def host_seconds(run: Callable[[], object], calls: int = 10, times: int = 6) -> float:
    """Seconds a call keeps the host, which does not wait for the device; so few calls that no queue is full."""
    taken = []
    for _ in range(times):
        sync_device(DEVICE)
        start = time.perf_counter()
        for _ in range(calls):
            run()
        taken.append((time.perf_counter() - start) / calls)
    sync_device(DEVICE)
    return statistics.median(taken)


@cache
def ceiling(precision: str) -> Ceilings:
    """The best that this machine was seen to do in a type, measured once a run on the device of the suite.

    Convolutions in float32 take TF32 on a GPU unless told otherwise, so the product does here.
    """
    was = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if CUDA else was)
    try:
        return measured_ceilings(DEVICE, DTYPES[precision])
    finally:
        torch.set_float32_matmul_precision(was)


def ceilings() -> dict[str, Ceilings]:
    """Type -> the best that this machine was seen to do."""
    return {name: ceiling(name) for name in DTYPES}


def floor(asked: Counts, parameters: int, best: Ceilings) -> Floor:
    """The least time of a step: max(FLOP / peak, bytes / bandwidth); bytes are those that no fusion saves.

    Args:
        asked: what the step asks for.
        parameters: numbers that Adam moves, with two moments of each, in float32.
        best: what the machine can do.
    """
    return floor_of_bytes(asked.flops, asked.saved, 4 * parameters, 2 * 4 * parameters, best)


def machine() -> dict[str, Any]:
    """What the numbers were made on."""
    best = ceilings()
    return {
        "processor": _processor(),
        "device": torch.cuda.get_device_name() if CUDA else "CPU",
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "flops": {name: one.flops for name, one in best.items()},
        "bandwidth": max(one.bandwidth for one in best.values()),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    named = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    flags = next((line for line in lines if line.startswith("flags")), "")
    units = [unit for unit, flag in (("AVX-512", "avx512f"), ("AMX", "amx_bf16")) if f" {flag}" in flags]
    return ", ".join([named[0] if named else platform.processor() or platform.machine(), *units])
