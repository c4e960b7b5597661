"""Scores of other data or weights are kept beside the run's own, which stay."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import TINY, Run


@pytest.fixture
def run(finished: Path, here: Path) -> Path:
    (here / "tiny.yaml").write_text(TINY)
    return Path(shutil.copytree(finished, here / "runs" / "tiny"))


def test_other_data_replaces_nothing(run: Path, run_zoo: Run) -> None:
    own = (run / "scores.json").read_bytes(), (run / "report.html").read_bytes()
    for test in (5, 6):
        done = run_zoo("evaluate", "runs/tiny", "--set", f"data.test={test}")
        assert done.err == "kept in runs/tiny/other-scores.json: they are not of the run's own data and weights\n"
    assert run_zoo("evaluate", "runs/tiny", "--set", "data.test=6", "--metrics", "edges").code == 0
    assert ((run / "scores.json").read_bytes(), (run / "report.html").read_bytes()) == own
    first, second = json.loads((run / "other-scores.json").read_text())
    assert [entry["protocol"]["data"]["test"] for entry in (first, second)] == [5, 6]
    assert first["scores"]["mse"]["protocol"]["n"] == 5
    assert {"mse", "edges"} <= second["scores"].keys()
    assert "up to date" in run_zoo("build", "tiny.yaml").out


def test_the_runs_own_are_written_where_they_were(run: Path, run_zoo: Run) -> None:
    assert run_zoo("evaluate", "runs/tiny", "--weights", "raw").err == ""  # it has no others
    assert run_zoo("evaluate", "runs/tiny", "--set", "evaluate.extra=mse").err == ""
    assert "extra" in json.loads((run / "scores.json").read_text())
    assert not (run / "other-scores.json").exists()
