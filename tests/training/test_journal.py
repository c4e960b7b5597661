"""The journal of a training, however long it is; JSON that every program reads, whatever the numbers."""

from __future__ import annotations

import json
import math
import tracemalloc
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from zoo.api import Record
from zoo.columns import json_text
from zoo.report.markup import number
from zoo.runs.run import Run
from zoo.training import journal
from zoo.training.film import score_curve
from zoo.training.journal import Journal, few, read_journal

LIMIT = 64 * 2**20
"""Bytes of the largest other text file of a run that is read."""


def record(step: int, losses: dict[str, float]) -> Record:
    return Record(step, step * 8, 1.0, 100.0, losses)


def strict(text: str) -> Any:
    """What a reader of JSON makes of it that knows the standard and nothing else."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_journal_of_any_size_is_read_and_continued_in_bounded_memory(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    losses = f'"row/{"x" * 900_000}": 0.5'
    line = '{"step": %d, "seen_images": 8, "seconds": 1.0, "images_per_s": 9.0, "losses": {%s}}\n'
    with path.open("w") as file:
        for step in range(1, 81):
            file.write(line % (step, losses))
    assert path.stat().st_size > LIMIT
    tracemalloc.start()
    steps = sum(1 for _ in read_journal(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (steps, peak < LIMIT / 4) == (80, True)
    again = Journal(path)
    again.start(78, 80, 8)
    again.log(record(79, {"row/term": 1.0}))
    again.end()
    assert [found["step"] for found in read_journal(path)] == [*range(1, 80)]
    assert path.stat().st_size > LIMIT


def test_a_line_that_never_ends_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "LONGEST", 1000)
    path = tmp_path / "metrics.jsonl"
    log = Journal(path)
    log.start(0, 2, 8)
    log.log(record(1, {"a/b": 1.0}))
    path.write_bytes(path.read_bytes() + bytes(5000) + b"\n")
    log.log(record(2, {"a/b": 1.0}))
    log.end()
    assert [found["step"] for found in read_journal(path)] == [1, 2]


@pytest.mark.parametrize("count", [0, 1, 9, 10, 11, 19, 20, 21, 1000])
def test_of_many_records_few_are_kept_evenly_and_the_last(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal, "MOST", 10)
    kept = few(iter(range(count)))
    assert kept == list(range(count)) or count >= 10
    assert len(kept) <= 10
    assert kept[-1:] == [count - 1][:count]
    assert len({later - earlier for earlier, later in pairwise(kept[:-1])}) <= 1


def test_numbers_that_are_not_finite_are_text_in_a_journal_and_come_back(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = Journal(path)
    log.start(0, 2, 8)
    log.log(record(1, {"a/nan": math.nan, "a/high": math.inf, "a/low": -math.inf, "a/b": 0.5}))
    log.end()
    assert strict(path.read_text())["losses"] == {
        "a/nan": "NaN",
        "a/high": "Infinity",
        "a/low": "-Infinity",
        "a/b": 0.5,
    }
    (found,) = read_journal(path)
    losses = found["losses"]
    assert (math.isnan(losses["a/nan"]), losses["a/high"], losses["a/low"], losses["a/b"]) == (
        True,
        math.inf,
        -math.inf,
        0.5,
    )


def test_a_journal_of_before_is_made_json_when_it_is_continued(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    head = '{"step": 1, "seen_images": 8, "seconds": 1.0, "images_per_s": 9.0, "losses": '
    path.write_text(head + '{"a/b": NaN, "a/c": -Infinity}}\n' + head.replace("1", "2", 1) + '{"a/b": "NaN "}}\n')
    log = Journal(path)
    log.start(9, 9, 8)
    log.end()
    assert [strict(line)["losses"] for line in path.read_text().splitlines()] == [{"a/b": "NaN", "a/c": "-Infinity"}]


def test_scores_that_are_not_finite_are_text_and_read_as_numbers(tmp_path: Path) -> None:
    scores = {"fid": {"value": math.inf, "protocol": {"tau": (math.nan, 1)}}, "mse": {"value": 0.5}}
    with Run(tmp_path) as run:
        run.write_json("scores.json", scores)
        run.write_json("samples/step-00000001.json", {"n": 4, "scores": {"fid": math.nan}})
        found = strict((tmp_path / "scores.json").read_text())
        assert found == {"fid": {"value": "Infinity", "protocol": {"tau": ["NaN", 1]}}, "mse": {"value": 0.5}}
        assert (float(found["fid"]["value"]), number(found["fid"]["value"])) == (math.inf, "inf")
    assert math.isnan(score_curve(tmp_path, 1)[1]["scores"]["fid"])


def test_json_of_finite_numbers_is_pythons() -> None:
    content = {"a": [1.5, -0.0, 1e300, 5e-324, None, True, "NaN"], "b": {"c": (1, 2)}}
    assert json_text(content, indent=2) == json.dumps(content, indent=2)
