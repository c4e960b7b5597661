"""Two ways to run: measured (``make bench``), or once each at toy size, as in ``make test``."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any

import pytest

from zoo.machine.process import keep_freed_memory

from .measuring import machine
from .paired import Paired
from .plan import values_of

KEPT = Path(__file__).parents[2] / ".benchmarks"
"""Where a measured run leaves its numbers, for ``report.py``."""

FOUND = pytest.StashKey[list[dict[str, Any]]]()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name, taken in values_of(_measured(metafunc.config)).items():
        if name in metafunc.fixturenames:
            metafunc.parametrize(name, taken, ids=str)


def _measured(config: pytest.Config) -> bool:
    return bool(config.getoption("benchmark_enable"))


@pytest.fixture(scope="session")
def measured(request: pytest.FixtureRequest) -> bool:
    """Whether times are wanted; else everything is run once, small."""
    return _measured(request.config)


@pytest.fixture(scope="session", autouse=True)
def _freed_memory_is_kept(measured: bool) -> None:
    """As in the command line's own process."""
    if measured:
        keep_freed_memory()


class Verdicts:
    """What paired timings came to, and what was asked of them."""

    def __init__(self) -> None:
        self.found: list[dict[str, Any]] = []

    def note(self, table: str, **more: Any) -> None:
        """A line of a table: its group, its name, the value, and what else belongs to it."""
        self.found.append({"table": table, "unit": "", **more})

    def ratio(
        self,
        group: str,
        name: str,
        found: Paired,
        *,
        aim: float | None,
        limit: float | None,
        same: Paired | None,
        table: str = "paired",
    ) -> None:
        """Takes a ratio of seconds down; fails where it is above its limit on a machine quiet enough to say so.

        Without a limit it is told alone.
        """
        first, third = found.quartiles
        quiet = same is None or same.quiet
        met = limit is None or found.median <= limit
        verdict = ("met" if limit else "told") if met else ("failed" if quiet else "noisy: not judged")
        ratios = {"value": found.median, "quartiles": [first, third], "aa": same.told if same else []}
        self.note(table, group=group, name=name, aim=aim, most=limit, verdict=verdict, **ratios)
        assert met or not quiet, f"{name}: {found.median:.3f} ({first:.3f} to {third:.3f}), at most {limit} wanted"


@pytest.fixture(scope="session")
def verdicts(request: pytest.FixtureRequest) -> Verdicts:
    """Paired timings of this run."""
    kept = Verdicts()
    request.config.stash[FOUND] = kept.found
    return kept


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _measured(session.config):
        KEPT.mkdir(exist_ok=True)
        now = datetime.datetime.now(datetime.UTC).isoformat()
        kept = {"datetime": now, "machine": machine(), "found": session.config.stash.get(FOUND, [])}
        (KEPT / "paired.json").write_text(json.dumps(kept, indent=1))


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    found = config.stash.get(FOUND, [])
    if found:
        terminalreporter.section("paired timings")
    for one in found:
        spread = " ({:.3f} to {:.3f})".format(*one["quartiles"]) if one.get("quartiles") else ""
        asked = [f", at {key} {one[key]:.3g}" for key in ("most", "least") if one.get(key)]
        said = "".join([*asked, f": {one['verdict']}" if "verdict" in one else ""])
        terminalreporter.write_line(f"{one['group']}, {one['name']}: {one['value']:.3f}{one['unit']}{spread}{said}")
