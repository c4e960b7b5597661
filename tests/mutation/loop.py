"""The inner loop of a mutation run, as a plugin of pytest: one process imports and collects, each mutant is a fork.

First every test runs once, and tells which functions it reaches. Then, for each mutant, a fork runs the tests that
reach its function, those first that killed its neighbours, then the fastest, and ends with the first that fails.
A mutant that outlives some seconds of tests meets the others when every mutant has had its first turn.
mutmut alone starts pytest anew for each mutant, which takes five times as long here.
"""

from __future__ import annotations

import bisect
import itertools
import json
import mmap
import os
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from _pytest.runner import runtestprotocol
from mutmut.mutation import trampoline

LIMIT = 60.0
"""Seconds that a test may take under a mutant, besides five times what it took without."""

FIRST_TURN = 3.0
"""Seconds of tests in a mutant's first turn."""

KILLED, SURVIVED, OUT_OF_TIME, UNTESTED = "killed", "survived", "out of time", "untested"
SURVIVES, DIES = 0, 1


def _forget() -> None:
    """A mutant of code whose result is remembered would never run."""
    for name, module in list(sys.modules.items()):
        if name.startswith("zoo."):
            for thing in list(vars(module).values()):
                getattr(thing, "cache_clear", _nothing)()


def _nothing() -> None:
    pass


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool:
    """Instead of pytest's own loop."""
    plan = json.loads(Path(os.environ["MUTATION_PLAN"]).read_text())
    reach, seconds = _statistics(session.items)
    _control(session.items, seconds)
    _Mutants(session.items, reach, seconds, plan).run()
    return True


def _statistics(items: Sequence[pytest.Item]) -> tuple[dict[str, list[int]], list[float]]:
    """Function -> tests that reach it, by index; and how long each test took."""
    hits: set[str] = set()
    trampoline.record_trampoline_hit = lambda name, **_: hits.add(name)
    reach: dict[str, list[int]] = defaultdict(list)
    seconds = []
    trampoline._mutant_under_test = "stats"  # not in the environment: processes of tests are not asked
    os.environ.pop("MUTANT_UNDER_TEST", None)
    for index, item in enumerate(items):
        hits.clear()
        _forget()
        start = _spent()
        if not _passes(item, items[index + 1] if index + 1 < len(items) else None):
            raise pytest.UsageError(f"{item.nodeid} fails without any mutant")
        seconds.append(_spent() - start)
        for function in hits:
            reach[function].append(index)
    trampoline._mutant_under_test = ""
    return reach, seconds


def _control(items: Sequence[pytest.Item], seconds: Sequence[float]) -> None:
    """Every test once more, in a fork and in the order of the mutants: none may fail there for want of a mutant."""
    trial = _Trial("", sorted(range(len(items)), key=seconds.__getitem__))
    if os.waitpid(_forked(lambda: _tried(items, trial)), 0)[1]:
        raise pytest.UsageError(
            f"{items[trial.tests[trial.now]].nodeid} fails when it is run again, without any mutant"
        )


def _tried(items: Sequence[pytest.Item], trial: _Trial) -> int:
    """In the fork: every test until one fails."""
    _forget()
    trampoline.set_mutant_under_test(trial.mutant)
    following = [*trial.tests[1:], None]
    for place, (index, after) in enumerate(zip(trial.tests, following, strict=True)):
        trial.reaches(place)
        if not _passes(items[index], None if after is None else items[after]):
            return DIES
    return SURVIVES


def _spent() -> float:
    """Seconds of processor time, of processes that tests have started and waited for, too."""
    return sum(os.times()[:4])


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


@dataclass
class _Trial:
    """A mutant that is being tried in a fork.

    Args:
        mutant: its name.
        tests: by index, in the order they are run.
        left: those of a later turn.
        place: shared with the fork: which of them runs now.
        noted: which it was when last looked, and since when.
    """

    mutant: str
    tests: list[int]
    left: list[int] = field(default_factory=list)
    place: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, 8))
    noted: tuple[int, float] = (-1, 0.0)

    @property
    def now(self) -> int:
        return int.from_bytes(self.place[:], "little")

    def reaches(self, place: int) -> None:
        self.place[:] = place.to_bytes(8, "little")


class _Mutants:
    """The mutants of a plan, some at a time."""

    def __init__(
        self, items: Sequence[pytest.Item], reach: dict[str, list[int]], seconds: list[float], plan: dict[str, Any]
    ) -> None:
        self.items, self.reach, self.seconds = items, reach, seconds
        self.waiting: list[tuple[str, list[int]]] = [(mutant, self._order(mutant)) for mutant in plan["mutants"]]
        self.jobs: int = plan["jobs"]
        self.results = Path(plan["results"])
        self.killers: dict[str, list[int]] = defaultdict(list)
        self.running: dict[int, _Trial] = {}

    def run(self) -> None:
        while self.waiting or self.running:
            while self.waiting and len(self.running) < self.jobs:
                self._start(*self.waiting.pop(0))
            self._collect()
            self._stop_late()

    def _order(self, mutant: str) -> list[int]:
        return sorted(self.reach.get(_function(mutant), []), key=self.seconds.__getitem__)

    def _start(self, mutant: str, tests: list[int]) -> None:
        if not tests:
            return self._tell(mutant, UNTESTED)
        first = [index for index in self.killers[_function(mutant)] if index in tests]
        order = first + [index for index in tests if index not in first]
        spent = list(itertools.accumulate(self.seconds[index] for index in order))
        cut = max(bisect.bisect(spent, FIRST_TURN), 1) if len(tests) == len(self._order(mutant)) else len(order)
        trial = _Trial(mutant, order[:cut], order[cut:])
        self.running[_forked(lambda: _tried(self.items, trial))] = trial
        return None

    def _collect(self) -> None:
        pid, status = os.waitpid(-1, os.WNOHANG) if self.running else (0, 0)
        trial = self.running.pop(pid, None)
        if trial is None:
            time.sleep(0.005)
        elif status == 0 and trial.left:
            self.waiting.append((trial.mutant, trial.left))
        elif status == 0:
            self._tell(trial.mutant, SURVIVED)
        else:
            killers, index = self.killers[_function(trial.mutant)], trial.tests[trial.now]
            killers[:] = [index, *(other for other in killers if other != index)]
            self._tell(trial.mutant, KILLED, self.items[index].nodeid)

    def _stop_late(self) -> None:
        for pid, trial in list(self.running.items()):
            place, since = trial.noted
            if trial.now != place:
                trial.noted = trial.now, time.monotonic()
            elif time.monotonic() - since > LIMIT + 5 * self.seconds[trial.tests[place]]:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                del self.running[pid]
                self._tell(trial.mutant, OUT_OF_TIME)

    def _tell(self, mutant: str, outcome: str, by: str = "") -> None:
        with self.results.open("a") as file:
            file.write(json.dumps([mutant, outcome, by]) + "\n")


def _function(mutant: str) -> str:
    return mutant.rpartition("__mutmut_")[0]


def _forked(work: Callable[[], int]) -> int:
    """A child that does the work in a process group of its own; its process id."""
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    code = DIES
    try:
        code = work()
    finally:
        os._exit(code)
