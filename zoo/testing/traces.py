"""State of the whole process that no part may change: read before and after a check, compared, and put back."""

from __future__ import annotations

import gc
import os
import pickle
import random
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple


class Trace(NamedTuple):
    """One thing that belongs to the whole process: how to read it, how to put it back, whether it is a setting."""

    read: Callable[[], Any]
    restore: Callable[[Any], Any]
    setting: bool = False


_mallopt: list[str] = []
"""The modules that looked up glibc's ``mallopt``, whose settings cannot be read."""


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "ctypes.dlsym" and arguments[1] == "mallopt":
        frame = sys._getframe(1)
        while frame.f_back and frame.f_globals.get("__name__") == "ctypes":
            frame = frame.f_back
        if not (caller := str(frame.f_globals.get("__name__"))).startswith("zoo."):
            _mallopt.append(caller)


sys.addaudithook(_listen)


def _restore_environ(saved: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(saved)


def _restore_collector(saved: tuple[bool, tuple[int, int, int], bool]) -> None:
    enabled, thresholds, frozen = saved
    gc.set_threshold(*thresholds)
    (gc.enable if enabled else gc.disable)()
    if not frozen:
        gc.unfreeze()


def _slot(owner: Any, name: str, setting: bool = False) -> Trace:
    return Trace(lambda: getattr(owner, name), lambda saved: setattr(owner, name, saved), setting)


def _list(content: list[Any], setting: bool = False) -> Trace:
    return Trace(lambda: list(content), lambda saved: content.__setitem__(slice(None), saved), setting)


def _plain() -> dict[str, Trace]:
    collector = lambda: (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count() > 0)  # noqa: E731
    return {
        "os.environ": Trace(lambda: dict(os.environ), _restore_environ),
        "the working directory": Trace(os.getcwd, os.chdir),
        "sys.path": _list(sys.path),
        "sys.stdout": _slot(sys, "stdout"),
        "sys.stderr": _slot(sys, "stderr"),
        "the warnings' filters": Trace(lambda: list(warnings.filters), lambda s: setattr(warnings, "filters", list(s))),
        "the random numbers of 'random'": Trace(random.getstate, random.setstate),
        "the garbage collector": Trace(collector, _restore_collector, True),
        "malloc's options": _list(_mallopt, True),
    }


def _of_torch() -> dict[str, Trace]:
    torch: Any = sys.modules["torch"]
    settings = {
        "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
        "default device": (torch.get_default_device, torch.set_default_device),
        "number of threads": (torch.get_num_threads, torch.set_num_threads),
        "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
        "anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
        "deterministic mode": (torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms),
        "matmul precision": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    }
    cudnn = ("enabled", "benchmark", "deterministic")
    return {
        "torch's random numbers": Trace(
            lambda: torch.get_rng_state().tolist(),
            lambda saved: torch.set_rng_state(torch.tensor(saved, dtype=torch.uint8)),
        ),
        **{f"torch's {name}": Trace(*functions, True) for name, functions in settings.items()},
        **{f"torch.backends.cudnn.{name}": _slot(torch.backends.cudnn, name, True) for name in cudnn},
    }


def traces() -> dict[str, Trace]:
    """Everything that is looked at; torch's and numpy's only where they are imported."""
    found = _plain() | (_of_torch() if "torch" in sys.modules else {})
    if numpy := sys.modules.get("numpy.random"):
        read, restore = lambda: pickle.dumps(numpy.get_state()), lambda saved: numpy.set_state(pickle.loads(saved))
        found["the random numbers of numpy"] = Trace(read, restore)
    return found


def taken() -> dict[str, Any]:
    """How everything stands now."""
    return {name: trace.read() for name, trace in traces().items()}


def changed(before: Mapping[str, Any], besides: Iterable[str] = (), settings: bool = False) -> list[str]:
    """Names of what stands otherwise than before, or of settings alone; what was imported since has no before."""
    now = {name: trace for name, trace in traces().items() if name in before and name not in besides}
    return [name for name, trace in now.items() if (trace.setting or not settings) and trace.read() != before[name]]


@contextmanager
def put_back() -> Iterator[None]:
    """Puts back, afterwards, everything that is changed inside."""
    before = taken()
    try:
        with warnings.catch_warnings():
            yield
    finally:
        now = traces()
        for name, was in before.items():
            if now[name].read() != was:
                now[name].restore(was)
