"""Results, a line of JSON each, on disk as soon as they are known. Also a plugin of pytest: ``-p gpu.told``."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

VARIABLE = "ZOO_GPU_RESULTS"
"""Names the file of results to whoever is started."""


def tell(**line: Any) -> None:
    """Appends a result: of which ``part``, and what."""
    with Path(os.environ[VARIABLE]).open("a") as file:
        file.write(json.dumps(line) + "\n")


def results(path: Path, part: str = "") -> Iterator[dict[str, Any]]:
    """The results so far, of one part or of all; a line that was cut off by the end is none."""
    for text in path.read_text().splitlines(keepends=True) if path.exists() else ():
        line = json.loads(text) if text.endswith("\n") else {}
        if line and part in ("", line["part"]):
            yield line


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A test is told when it has run, or when what it needs was not to be had."""
    if report.when == "call" or report.outcome != "passed":
        name, why = report.nodeid.rpartition("::")[2], str(report.longrepr or "").strip().splitlines()[-1:]
        tell(part="tests", name=name, outcome=report.outcome, seconds=report.duration, why="".join(why))
