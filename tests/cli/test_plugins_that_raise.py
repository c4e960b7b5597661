"""Whatever code of a plugin raises, wherever: a sentence and a code that is not 0; the other cells go on."""

from __future__ import annotations

import os
import sys
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import raising_parts
from conftest import Outcome, Run
from PIL import Image
from raising_parts import FAIL, STAGE, Unspeakable, Unusual

from zoo.cli.stopping import nobody_reads

PLUGIN = Path(raising_parts.__file__)
RECIPE = """\
data: {use: raised, size: 8}
latent: 4
augment: [raised]
name: raising
slots: {encoder: raised, decoder: {use: dcgan, width: 4}, prior: raised}
phases:
  - encoder + decoder: {reconstruction: 1.0, kl: 1.0, raised_term: 1.0}
outputs: {sample: decoded_prior, reconstruction: reconstruction, posterior: posterior}
train: {steps: 2, batch: 4, log_every: 1, optimizer: {use: raised, lr: 0.01}, precision: float32}
evaluate: {n: raised}
watch: [raised]
"""
HUGE = "the same again; " * 300_000
ERRORS: dict[str, Any] = {
    "sys.exit(0)": "exit",
    "a broken pipe": BrokenPipeError(32, "Broken pipe"),
    "no exception": Unusual("out of the ordinary"),
    "no words": Unspeakable(),
    "5 MB": ValueError(HUGE),
}
BEFORE = (
    *("data", "augmentation", "prior", "prior's sample", "prior's kl", "network", "network's forward"),
    *("value", "term", "optimizer", "optimizer's step", "metric", "watcher"),
)
"""Places that are tried before anything is begun: the request is refused, as for any other error there."""
DURING = (
    *("augmentation, training", "prior's kl, training", "network's forward, training", "value, training"),
    *("term, training", "optimizer's step, training", "metric's update, evaluating", "metric's training"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("raising")
    (folder / "raised.yaml").write_text(RECIPE)
    return folder


@pytest.fixture
def build(folder: Path, tmp_path: Path, run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(folder)

    runs = count()

    def run(place: str, error: Any, *arguments: object, command: str = "build") -> Outcome:
        FAIL.update(place=place, error=error)
        STAGE["is"] = ""
        try:
            given = arguments or ("raised.yaml", "--out", tmp_path / f"run {next(runs)}")
            return run_zoo(command, *given, "--plugin", PLUGIN)
        finally:
            FAIL.update(place="")

    return run


def said(outcome: Outcome) -> str:
    """The one sentence that tells of it."""
    assert "Traceback" not in outcome.err
    assert len(outcome.err) < 12_000
    last = outcome.errors[-1]
    assert "error: " in last
    return last


PROMISE = (
    "Whatever a plugin's code raises, at any place, sys.exit too: a sentence, never exit code 0 with nothing done."
)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("place", [*BEFORE, *DURING])
def test_a_build(build: Any, place: str, record_property: pytest.RecordProperty) -> None:
    for name, error in ERRORS.items():
        outcome = build(place, error)
        refused = place in BEFORE and name not in ("sys.exit(0)", "no exception")
        assert outcome.code == (2 if refused else 1), (name, outcome.err)
        last = said(outcome)
        assert "raised" in last or f"{PLUGIN}:" in last, last
        expected = {"sys.exit(0)": "sys.exit(0) was called", "a broken pipe": "Broken pipe"}
        expected |= {"no exception": "out of the ordinary", "no words": "its text cannot be had"}
        assert expected.get(name, "the same again; the same") in last, last
    record_property("cases", len(ERRORS))


@pytest.mark.promise(PROMISE)
def test_who_looks_on_is_left_out(build: Any, record_property: pytest.RecordProperty) -> None:
    """What is trained is not lost for a watcher."""
    for name, place in (("sys.exit(0)", "watcher's log"), ("no words", "watcher's scores")):
        outcome = build(place, ERRORS[name])
        assert outcome.code == 0
        (line,) = [line for line in outcome.errors if "watcher 'raised' failed in" in line]
        assert "is left out from here on: " in line
    record_property("cases", 2)


@pytest.mark.promise(PROMISE)
def test_a_metric_without_a_number_says_why(build: Any, record_property: pytest.RecordProperty) -> None:
    outcome = build("metric's compute", ERRORS["no words"])
    assert outcome.code == 0
    assert "metric 'n': Unspeakable: its text cannot be had" in outcome.out
    outcome = build("metric's compute", ERRORS["sys.exit(0)"])
    assert outcome.code == 1
    assert "sys.exit(0) was called at " in said(outcome)
    record_property("cases", 2)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("command", ["check", "evaluate", "explain", "reconstruct"])
def test_other_commands(build: Any, tmp_path: Path, command: str) -> None:
    arguments: dict[str, tuple[object, ...]] = {
        "check": ("raised.yaml",),
        "explain": ("raised.yaml",),
        "evaluate": (tmp_path / "run 0",),
        "reconstruct": (tmp_path / "run 0", tmp_path / "x.png"),
    }
    if command not in ("check", "explain"):
        assert build("", None).code == 0
        Image.new("RGB", (8, 8)).save(tmp_path / "x.png")
    place = {"evaluate": "metric's update"}.get(command, "network's forward")
    for error in ERRORS.values():
        outcome = build(place, error, *arguments[command], command=command)
        assert outcome.code in (1, 2), outcome
        said(outcome)


@pytest.mark.promise(PROMISE)
def test_the_other_cells_go_on(build: Any, tmp_path: Path, record_property: pytest.RecordProperty) -> None:
    Path("plain.yaml").write_text(RECIPE.replace(", raised_term: 1.0", "").replace("raising", "plain"))
    some = [(name, ERRORS[name]) for name in ("sys.exit(0)", "a broken pipe", "no exception")]
    for number, (name, error) in enumerate(some):
        out = tmp_path / str(number)
        outcome = build(
            "term, training", error, "raised.yaml", "plain.yaml", "--seeds", 1, "--out", out, command="compare"
        )
        assert outcome.code == 1
        assert "failed: raising on raised, seed 0: " in outcome.errors[-1], name
        assert (out / "raised/plain/seed-0/scores.json").is_file()
        assert not (out / "raised/raising/seed-0/scores.json").exists()
    record_property("cases", len(some))


def test_a_reader_who_left_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not nobody_reads()
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert not nobody_reads()
        os.close(reading)
        assert nobody_reads()
        monkeypatch.undo()
