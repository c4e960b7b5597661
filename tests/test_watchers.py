"""Watchers of plugins see every record, and can neither stop a training nor change it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, Outcome, Run

PLUGIN = """
import random
import torch
from zoo import api

@api.hookimpl
def zoo_components():
    return [api.Component("watcher", name, f"my_watchers:{name.title()}", "one")
            for name in ("notes", "falls", "refuses", "greedy")]

class Notes:
    def __init__(self, folder, *, file: str = "notes.txt"):
        self.path = folder / file
    def write(self, *what):
        with self.path.open("a") as file: print(*what, file=file)
    def start(self, step, steps, batch): self.write("start", step, steps, batch)
    def log(self, record): self.write("log", record.step, *sorted(record.losses)); torch.rand(3); random.random()
    def end(self): self.write("end")

class Falls(Notes):
    def __init__(self, folder):
        self.path = folder / "falls.txt"
    def log(self, record):
        super().log(record)
        raise OSError("no space on the dashboard")

class Refuses:
    def __init__(self): raise ValueError("log in first: dashboard login")

class Greedy:
    def __init__(self, model): ...
"""


Build = Callable[..., Outcome]


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported once in a process, so one file for all."""
    file = tmp_path_factory.mktemp("watchers") / "my_watchers.py"
    file.write_text(PLUGIN)
    return file


@pytest.fixture
def build(here: Path, run_zoo: Run, plugin: Path) -> Build:
    """``zoo build`` of a tiny recipe that is watched."""

    def run(watch: str, *arguments: object) -> Outcome:
        (here / "tiny.yaml").write_text(TINY + f"watch: {watch}\n")
        return run_zoo("build", "tiny.yaml", "--plugin", plugin, *arguments)

    return run


def test_a_watcher_sees_the_start_every_record_and_the_end(build: Build) -> None:
    assert build("{notes: {file: seen.txt}}").code == 0
    start, *logs, end = Path("runs/tiny/seen.txt").read_text().splitlines()
    assert (start, end) == ("start 0 3 4", "end")
    journal = [json.loads(line) for line in Path("runs/tiny/metrics.jsonl").read_text().splitlines()]
    assert logs == [" ".join(["log", str(r["step"]), *sorted(r["losses"])]) for r in journal]


def test_one_that_fails_is_said_once_left_out_and_changes_nothing(build: Build) -> None:
    outcome = build("[falls, notes]", "--out", "watched")
    assert outcome.code == 0
    said = [line for line in outcome.errors if "watcher" in line]
    assert said == ["watcher 'falls' failed in log() and is left out from here on: OSError: no space on the dashboard"]
    assert len(Path("watched/falls.txt").read_text().splitlines()) == 2  # its start and one record
    assert len(Path("watched/notes.txt").read_text().splitlines()) == 5
    assert build("[]", "--out", "alone").code == 0
    assert Path("watched/model.safetensors").read_bytes() == Path("alone/model.safetensors").read_bytes()


def test_who_looks_on_does_not_make_another_run(build: Build) -> None:
    assert build("[]").code == 0
    assert "up to date" in build("[notes]").out


def test_one_that_cannot_be_made_stops_before_the_training(build: Build) -> None:
    outcome = build("[refuses]")
    assert outcome.code == 2
    assert outcome.errors[-1] == "tiny.yaml:7:9: error: watcher 'refuses': log in first: dashboard login"
    outcome = build("[greedy]")
    assert outcome.code == 2
    assert "watcher 'greedy' asks for 'model'; a watcher is given 'folder' only" in outcome.err
