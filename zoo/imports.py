"""Importing torch, which is most of what a short command does."""

from __future__ import annotations

import atexit
import gc
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
