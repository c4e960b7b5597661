"""What a command costs before it does anything: CPU seconds of a fresh process."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from conftest import TINY, python

from .measuring import children
from .plan import COMMANDS


@pytest.mark.benchmark(timer=children, group="start-up, CPU seconds of a fresh process")
def test_start(benchmark, command, here: Path, measured):
    (here / "tiny.yaml").write_text(TINY)
    (here / "wrong.yaml").write_text("extends: avae\nlatnet: 4\n")
    arguments, code = COMMANDS[command]
    runs = itertools.count()

    def once():
        fresh = ["--out", f"run{next(runs)}"] if arguments[0] == "build" else []
        assert python("-m", "zoo", *arguments, *fresh, cwd=here).code == code

    benchmark.pedantic(once, rounds=3 if measured else 1)


@pytest.mark.benchmark(timer=children, group="start-up, CPU seconds of a fresh process")
def test_importing_torch(benchmark, measured):
    benchmark.pedantic(python, args=("-c", "import torch" if measured else "pass"), rounds=3 if measured else 1)
