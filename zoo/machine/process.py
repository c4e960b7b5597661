"""Importing torch, which is most of what a short command does."""

from __future__ import annotations

import atexit
import ctypes
import gc
import os
import sys


def import_torch() -> None:
    """Imports torch, and its compiler, which its optimisers import; does nothing where torch is there already.

    They are some 700,000 objects that stay to the end of the process. The garbage collector rests meanwhile and
    passes over them from then on: walking them again and again is a quarter of what a build spends up to its first
    step.
    """
    if "torch" in sys.modules:
        return
    collecting = gc.isenabled()
    gc.disable()
    try:
        import torch._dynamo  # noqa: F401
    finally:
        if collecting:
            gc.enable()
    gc.freeze()
    atexit.register(gc.unfreeze)  # triton's bindings call what nobody collects at the end a leak


TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""glibc's names for two options of ``mallopt``, in ``malloc.h``."""


KEPT = 1 << 30
"""Bytes that are free at the top of the heap before any go back to the system."""


MAPPED = 1 << 28
"""Bytes from which on an allocation is mapped by itself and goes back when it is freed, as a set of images does."""


ASKED = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")
"""Environment variables with which users choose for themselves."""


def keep_freed_memory() -> bool:
    """Has glibc keep what is freed, in the whole process: else the system clears the same pages at each step.

    Returns:
        whether it does; not where another library allocates, or the user has chosen.
    """
    libc = ctypes.CDLL(None)
    if any(name in os.environ for name in ASKED) or not hasattr(libc, "gnu_get_libc_version"):
        return False
    return all(libc.mallopt(*option) for option in ((MMAP_THRESHOLD, MAPPED), (TRIM_THRESHOLD, KEPT)))
