"""What a step frees stays at hand for the next one."""

from __future__ import annotations

import platform
import resource
import subprocess
import sys

import pytest
import torch

import zoo
from zoo.engine.engine import Engine

STEPS = 5

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallopt is glibc's")


def pages_cleared(**environment: str) -> int:
    """Pages that the system cleared for the later of some steps, in a process of their own."""
    found = subprocess.run([sys.executable, __file__], env=environment, check=True, capture_output=True, text=True)
    return int(found.stdout)


def test_the_system_clears_no_pages_for_a_step():
    assert pages_cleared() < 100


def test_who_has_chosen_is_left_alone():
    """Half a megabyte at most is kept, so each step asks the system anew."""
    assert pages_cleared(MALLOC_TRIM_THRESHOLD_="500000", MALLOC_MMAP_THRESHOLD_="500000") > 1_000 * STEPS


if __name__ == "__main__":
    x = torch.zeros(64, 3, 32, 32)
    engine = Engine(zoo.build("vae", overrides=["train.batch=64", "train.precision=float32"]))
    for _ in range(10):
        engine.step(lambda _: x)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(STEPS):
        engine.step(lambda _: x)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
