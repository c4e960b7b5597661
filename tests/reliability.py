"""Writes docs/reliability.md: each promise, the tests that hold it, and how many cases they tried in the last run.

A test declares ``@pytest.mark.promise("...")`` and tells its number of cases by ``record_property("cases", n)``; it is
one case otherwise. ``python tests/reliability.py`` runs the tests that do (``make reliability``), and its arguments go
to pytest. As a plugin of pytest (``-p reliability``) it collects what they told, from every process of xdist.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reliability.md"
TOLD = "ZOO_RELIABILITY"
"""The file that a run of tests writes its numbers to."""

HEAD = """\
# What a run survives

Each promise, the tests that hold it, and how many cases they tried in the last run. `make reliability` runs them and
writes this page; nothing on it is typed.

**{cases:,} cases in {promises} promises, {seconds:.0f} seconds of tests.**

| promise | held by | cases | seconds |
|---|---|---:|---:|
"""
LIMITS = """
## Limits

- *Bit for bit* is promised on the same machine, with the same versions of Python, PyTorch and the plugins, the same
  number of threads and the same device. Elsewhere a run goes on too, and ends close by.
- What was done since the last checkpoint is done again: `train.save_every` steps at most.
- `metrics.jsonl` tells the time, and so does `report.html`: their losses are the same, their seconds are not.
- A finished run vouches, in `state/done.json`, for its weights, scores, report, pictures and `plugins.json`;
  `recipe.yaml` has a seal of its own. It does not for what only a training writes, `metrics.jsonl` and the samples on
  the way: of records, lines that are damaged are left out.
- A run notes in `data.json` how many images its splits have and a hash of them (of at most 256 MiB of each, evenly
  spread), and goes on with no others. Under a finished run they are compared where a file in the data's directory has
  another name, size or time.
- A packed set of more than 16 MiB is compared in turns, 12 MiB and both ends at each opening
  ([the cache](data.md#the-cache)): damage may pass until its place has its turn.
- A link is one by its name: a second name of a file (a hard link) is that file, in a run as elsewhere.
- A plugin that ends the process itself (`os._exit`, a crash in C) is stopped by nothing; what was saved is saved.
- Locks are the file system's. Where it knows none, a file `lock.pid` names the process and its machine instead: that
  of a dead process is taken over on the same machine alone.
- A kill of the machine, not of the process, loses what the disk itself had promised and not kept: every file is synced
  before it takes its name.
- `make soak` tries {soak}, for longer than a test may take.
"""
SOAK = "2,000 kills, and half an hour of kills under pressure of memory and disk"


@dataclass
class Promise:
    """A promise and what was seen of it.

    Args:
        tests: ``path::name`` of the tests that hold it, without their parameters.
        cases: how many were tried.
        seconds: how long that took.
    """

    tests: list[str] = field(default_factory=list)
    cases: int = 0
    seconds: float = 0.0


# -- in pytest: what the tests tell ------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Puts a test's promise into its report, which xdist carries to the process that writes."""
    report = yield
    if (marker := item.get_closest_marker("promise")) and report.when == "call":
        report.user_properties.append(("promise", marker.args[0]))
    return report


class Collector:
    """Adds the reports up, and writes them down at the end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._told: list[dict[str, Any]] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Takes a report in."""
        told = dict(report.user_properties)
        if report.when == "call" and report.passed and "promise" in told:
            test = report.nodeid.partition("[")[0]
            self._told.append(
                {"promise": told["promise"], "test": test, "cases": told.get("cases", 1), "seconds": report.duration}
            )

    def pytest_sessionfinish(self) -> None:
        """Writes what was told."""
        self._path.write_text(json.dumps(self._told))


def pytest_configure(config: pytest.Config) -> None:
    """Collects where it is asked to, in the process that the others report to."""
    if (path := os.environ.get(TOLD)) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Collector(Path(path)))


# -- the page ----------------------------------------------------------------------------------------------


def promises(told: Sequence[dict[str, Any]]) -> dict[str, Promise]:
    """Promise by promise, in the order of the tests."""
    found: dict[str, Promise] = {}
    for one in sorted(told, key=lambda one: one["test"]):
        promise = found.setdefault(one["promise"], Promise())
        if one["test"] not in promise.tests:
            promise.tests.append(one["test"])
        promise.cases += one["cases"]
        promise.seconds += one["seconds"]
    return found


def page(told: Sequence[dict[str, Any]]) -> str:
    """The page of what was told."""
    found = promises(told)
    cases, seconds = sum(p.cases for p in found.values()), sum(p.seconds for p in found.values())
    rows = [
        f"| {text} | {'<br>'.join(f'`{test}`' for test in promise.tests)} | {promise.cases:,} | {promise.seconds:.1f} |"
        for text, promise in found.items()
    ]
    head = HEAD.format(cases=cases, promises=len(found), seconds=seconds)
    return head + "\n".join(rows) + "\n" + LIMITS.format(soak=SOAK)


def main(arguments: Sequence[str]) -> int:
    """Runs the tests that hold promises and writes the page; the exit code is pytest's."""
    path = ROOT / ".pytest_cache" / "reliability.json"
    path.parent.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "pytest", "-p", "reliability", "-m", "promise", *arguments]
    environment = {**os.environ, TOLD: str(path), "PYTHONPATH": str(ROOT / "tests")}
    code = subprocess.run(command, cwd=ROOT, env=environment).returncode
    if code == 0:
        PAGE.write_text(page(json.loads(path.read_text())))
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
