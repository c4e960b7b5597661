"""The command line's own process, set for long work. Called as a library, zoo leaves a process as it is."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_own: ContextVar[bool] = ContextVar("own", default=False)

MMAP_THRESHOLD, MAPPED = -3, 1 << 28
"""glibc's number (``malloc.h``) for the bytes from which on an allocation is mapped by itself, and goes back to the
system when it is freed; and those bytes, fewer than a set of images has."""
TRIM_THRESHOLD, KEPT = -1, 1 << 30
"""That for the bytes that may be free at the top of the heap before any go back to the system; and those bytes."""
CHOSEN = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables with which users choose for themselves."""


SPINS = "GOMP_SPINCOUNT"
"""How often a thread of torch's looks whether there is work before it sleeps; read when torch is imported. By its
default it looks for milliseconds, while a thread that others wait for has no core: on a busy machine a training takes
many times as long."""
WAITING = (SPINS, "OMP_WAIT_POLICY", "KMP_BLOCKTIME")
"""Environment variables with which users choose for themselves."""


@contextmanager
def own_process() -> Iterator[None]:
    """Inside, the process is the command line's own, and ``import_torch`` may set it for long work."""
    token = _own.set(True)
    chosen = "torch" in sys.modules or any(name in os.environ for name in WAITING)
    os.environ |= {} if chosen else {SPINS: "10000"}
    try:
        yield
    finally:
        if not chosen:
            os.environ.pop(SPINS, None)
        _own.reset(token)


_RESTORING = ContextVar("restoring", default=False)


def restoring() -> bool:
    """Tells a network, as it is made, that a run brings all of its weights: what they once began at is not needed."""
    return _RESTORING.get()


@contextmanager
def weights_follow() -> Iterator[None]:
    """Inside, networks are made for the weights of a run."""
    token = _RESTORING.set(True)
    try:
        yield
    finally:
        _RESTORING.reset(token)


def import_torch() -> None:
    """Imports torch."""
    if "torch" in sys.modules:
        return
    with importing():
        import torch  # noqa: F401
    if _own.get():
        atexit.register(gc.unfreeze)  # triton's bindings call what nobody collects at the end a leak


@contextmanager
def importing() -> Iterator[None]:
    """Inside, large libraries may be imported: the garbage collector rests and, in the command line's own process,
    passes over what is there from then on; what is freed is kept there.

    They are hundreds of thousands of objects that stay to the end of the process; walking them again and again is a
    quarter of what an import takes.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
    if _own.get():
        keep_freed_memory()
        gc.freeze()


def keep_freed_memory() -> bool:
    """Has glibc keep what is freed, to the end of the process: else the system clears the same pages at each step.

    It says whether it does; not where another library allocates, or the user has chosen.
    """
    import ctypes  # which the short commands do without

    if os.name != "posix":
        return False
    libc = ctypes.CDLL(None)
    if any(name in os.environ for name in CHOSEN) or not hasattr(libc, "gnu_get_libc_version"):
        return False
    return all(libc.mallopt(*option) for option in ((MMAP_THRESHOLD, MAPPED), (TRIM_THRESHOLD, KEPT)))
