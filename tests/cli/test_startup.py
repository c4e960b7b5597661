"""What commands cost before they do anything: CPU seconds of a fresh process with one thread.

Limits are twice the targets, for machines that are slow and shared; what is imported is exact.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, python, without_torch

ONE_THREAD = {"OMP_NUM_THREADS": "1"}

FIRST_STEP = """
import os, sys
from zoo.cli import main
from zoo.training import build

def train(*arguments):
    from zoo.engine.engine import Engine
    Engine.step = lambda *_: os._exit(77)
    return trained(*arguments)

trained, build._train = build._train, train
main(sys.argv[1:])
"""
"""A build that is gone where its first step would begin."""


def spent(*command: object, cwd: Path, code: int = 0) -> float:
    """CPU seconds of a fresh Python."""
    before = os.times()
    outcome = python(*command, cwd=cwd, env=ONE_THREAD)
    after = os.times()
    assert outcome.code == code, outcome.err
    return after.children_user + after.children_system - before.children_user - before.children_system


def within(limit: float, measured: Callable[[], float]) -> bool:
    """Whether one of three times is; the others met somebody else's work."""
    return any(measured() < limit for _ in range(3))


@pytest.mark.parametrize("verb", ["--help", "list"])
def test_what_there_is_is_told_at_once(verb: str, here: Path) -> None:
    """Target 0.15 s."""
    assert within(0.3, lambda: spent("-m", "zoo", verb, cwd=here))


def test_help_imports_no_torch(here: Path) -> None:
    lists = "import sys; from zoo.cli.parser import make_parser as p; p().format_help(); print('torch' in sys.modules)"
    assert python("-c", lists, cwd=here).out.split() == ["False"]


def test_what_is_plainly_wrong_is_said_at_once(here: Path) -> None:
    """Target 0.5 s."""
    (here / "wrong.yaml").write_text("extends: avae\nlatnet: 4\nslots: {encoder: {widht: 4}}\n")
    outcome = without_torch(["check", "wrong.yaml"], here)
    assert (outcome.code, len(outcome.errors)) == (2, 2)
    assert within(1.0, lambda: spent("-m", "zoo", "check", "wrong.yaml", cwd=here, code=2))


def test_a_build_is_soon_at_its_first_step(here: Path) -> None:
    """Target 0.5 s beyond torch, for images that need no packing."""
    (here / "tiny.yaml").write_text(TINY)
    runs = itertools.count()

    def beyond_torch() -> float:
        build = ("-c", FIRST_STEP, "build", "tiny.yaml", "--out", f"run{next(runs)}")
        return spent(*build, cwd=here, code=77) - spent("-c", "import torch", cwd=here)

    assert within(1.0, beyond_torch)


NOT_NEEDED = {"torch._dynamo", "torch._inductor", "triton", "sympy", "torchvision", "timm", "tensorboardX"}
"""What takes long to import, and no step of the bundled recipes needs."""


def test_a_step_imports_nothing_that_it_does_not_need(here: Path) -> None:
    """Torch's optimisers import its compiler, half as long again as torch itself, to tell it to keep out."""
    (here / "tiny.yaml").write_text(TINY)
    arguments = ["build", "tiny.yaml", "--stop-after", "train", "--set", "watch=[]"]
    code = f"import sys; from zoo.cli import main; main({arguments}); print(sorted({NOT_NEEDED} & sys.modules.keys()))"
    outcome = python("-c", code, cwd=here)
    assert (outcome.code, outcome.out.splitlines()[-1:]) == (0, ["[]"]), outcome
