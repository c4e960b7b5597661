"""What a step frees stays at hand for the next one, in the command line's own process."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch

import zoo
from zoo.engine.engine import Engine
from zoo.machine.process import own_process

STEPS = 2

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")


def pages_cleared(**environment: str) -> int:
    """Pages that the system cleared for the later of some steps, in a process of their own."""
    given = {"PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1", **environment}
    found = subprocess.run([sys.executable, __file__], env=given, check=True, capture_output=True, text=True)
    return int(found.stdout)


def test_the_system_clears_no_pages_for_a_step():
    assert pages_cleared() < 100


def test_a_users_process_is_left_alone():
    """glibc keeps a little by itself, so a step asks the system now and then."""
    assert pages_cleared(OWN="no") > 100 * STEPS


def test_who_has_chosen_is_left_alone():
    """Half a megabyte at most is kept, so each step asks the system anew."""
    assert pages_cleared(MALLOC_TRIM_THRESHOLD_="500000", MALLOC_MMAP_THRESHOLD_="500000") > 1_000 * STEPS


if __name__ == "__main__":
    x = torch.zeros(64, 3, 32, 32)
    narrow = [f"slots.{slot}.width=16" for slot in ("encoder", "decoder")]
    with own_process() if os.environ.get("OWN") != "no" else nullcontext():
        engine = Engine(zoo.build("vae", overrides=["train.batch=64", "train.precision=float32", *narrow]))
    for _ in range(5):
        engine.step(lambda _: x)
    stretches = []
    for _ in range(3):  # the heap may grow once more in one of them
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        for _ in range(STEPS):
            engine.step(lambda _: x)
        stretches.append(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    print(min(stretches))
