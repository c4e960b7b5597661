"""What belongs to the whole process and no part may change: looked at before and after, and put back."""

from __future__ import annotations

import os
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple


class Trace(NamedTuple):
    """One thing that belongs to the whole process."""

    read: Callable[[], Any]
    restore: Callable[[Any], Any]


Traces = Mapping[str, Any]


def _restore_environ(saved: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(saved)


PLAIN = {
    "os.environ": Trace(lambda: dict(os.environ), _restore_environ),
    "the working directory": Trace(os.getcwd, os.chdir),
    "sys.path": Trace(lambda: list(sys.path), lambda saved: sys.path.__setitem__(slice(None), saved)),
    "sys.stdout": Trace(lambda: sys.stdout, lambda saved: setattr(sys, "stdout", saved)),
    "sys.stderr": Trace(lambda: sys.stderr, lambda saved: setattr(sys, "stderr", saved)),
    "the warnings' filters": Trace(
        lambda: list(warnings.filters), lambda saved: setattr(warnings, "filters", list(saved))
    ),
    "the random numbers of 'random'": Trace(random.getstate, random.setstate),
}


def _of_torch() -> dict[str, Trace]:
    torch: Any = sys.modules["torch"]
    cudnn = torch.backends.cudnn

    def flag(owner: Any, name: str) -> Trace:
        return Trace(lambda: getattr(owner, name), lambda saved: setattr(owner, name, saved))

    return {
        "torch's random numbers": Trace(lambda: torch.get_rng_state().tolist(), _restore_torch_numbers),
        "torch's default dtype": Trace(torch.get_default_dtype, torch.set_default_dtype),
        "torch's number of threads": Trace(torch.get_num_threads, torch.set_num_threads),
        "torch's grad mode": Trace(torch.is_grad_enabled, torch.set_grad_enabled),
        "torch's deterministic mode": Trace(
            torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms
        ),
        "torch's matmul precision": Trace(torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
        **{f"torch.backends.cudnn.{name}": flag(cudnn, name) for name in ("enabled", "benchmark", "deterministic")},
    }


def _restore_torch_numbers(saved: list[int]) -> None:
    torch: Any = sys.modules["torch"]
    torch.set_rng_state(torch.tensor(saved, dtype=torch.uint8))


def _of_numpy() -> dict[str, Trace]:
    numbers: Any = sys.modules["numpy.random"]

    def read() -> Any:
        name, keys, *rest = numbers.get_state()
        return name, keys.tolist(), *rest

    return {"the random numbers of numpy": Trace(read, numbers.set_state)}


def traces() -> dict[str, Trace]:
    """Everything that is looked at; torch's and numpy's only where they are imported."""
    loaded = sys.modules.keys()
    torch = _of_torch() if "torch" in loaded else {}
    return {**PLAIN, **torch, **(_of_numpy() if "numpy.random" in loaded else {})}


def taken() -> Traces:
    """How everything stands now."""
    return {name: trace.read() for name, trace in traces().items()}


def changed(before: Traces, besides: Iterable[str] = ()) -> list[str]:
    """What stands otherwise than before, by name; what was imported since then has no before."""
    now = traces()
    return [name for name, was in before.items() if name not in besides and now[name].read() != was]


@contextmanager
def put_back() -> Iterator[None]:
    """Whatever happens inside, everything stands as before afterwards."""
    before = taken()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        now = traces()
        for name, was in before.items():
            if now[name].read() != was:
                now[name].restore(was)
