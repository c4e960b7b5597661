"""Builds the cells of a comparison, one after the other. Torch is imported by what is left to do."""

from __future__ import annotations

import math
import os
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from zoo.api import Watcher
from zoo.columns import duration
from zoo.compare.plan import Cell
from zoo.compare.scores import Member
from zoo.errors import Busy, Interrupted, RecipeError, RunError, ZooError, happened
from zoo.registry import Registry
from zoo.runs.identity import up_to_date
from zoo.training.build import build_run

AGAIN = 1.0
"""Seconds between two looks at cells that another process builds."""


@dataclass(frozen=True)
class Site:
    """The arguments of ``zoo.compare.compare`` with which cells are built."""

    registry: Registry
    device: str
    watchers: Callable[[], Sequence[Watcher]]
    stop: Callable[[], bool]
    say: Callable[[str], None]


def build_cells(cells: Sequence[Cell], site: Site, check: Callable[[Sequence[Member]], None]) -> list[Member]:
    """Builds every cell, continues it, or finds it up to date; one that fails is noted and passed over.

    A cell that another process is building is put off, and waited for when nothing else is left: several processes may
    share the work. Whenever a cell is finished, ``check`` is shown the members so far; it may refuse to go on.
    """
    finished = {number for number, cell in enumerate(cells) if _finished(cell)}
    members: dict[int, Member] = {}
    queue, busy = deque(range(len(cells))), set[int]()
    while queue:
        number = queue.popleft()
        cell, place = cells[number], f"[{number + 1}/{len(cells)}] {cells[number].name}"
        try:
            member = _member(cell, "up to date") if number in finished else _build(cell, place, site)
        except Busy:
            if number not in busy:
                site.say(f"{place}: another process is building it; put off")
            queue.append(number)
            busy.add(number)
            if busy.issuperset(queue):
                if site.stop():
                    raise Interrupted(f"{place}: another process is building it") from None
                time.sleep(AGAIN)
            continue
        members[number] = member
        took = f" in {duration(member.seconds)}" if member.seconds else ""
        rest = [other for n, other in enumerate(cells) if n not in finished and n not in members]
        seconds = time_left(rest, members.values()) if member.state != "up to date" else 0.0
        left = f", about {duration(seconds)} left" if seconds else ""
        site.say(f"{place}: {member.state}{member.error and ': ' + member.error}{took}{left}")
        check(list(members.values()))
    return [members[number] for number in sorted(members)]


def _finished(cell: Cell) -> bool:
    """Whether a cell is up to date; of one that cannot be looked at, its build says why."""
    try:
        return up_to_date(cell.folder, cell.recipe)
    except RunError:
        return False


def _build(cell: Cell, place: str, site: Site) -> Member:
    """A cell, built, continued, found up to date, or failed; Busy if another process is building it."""
    begun, before = time.monotonic(), (cell.folder / "recipe.yaml").exists()
    try:
        state = build_run(
            cell.recipe,
            site.registry,
            out=cell.folder,
            device=site.device,
            watchers=site.watchers(),
            stop=site.stop,
            say=lambda sentence: site.say(f"{place}: {sentence}"),
        ).state
    except (Busy, KeyboardInterrupt):
        raise
    except Interrupted as stopped:
        raise Interrupted(f"{place}: {stopped}") from None
    except BaseException as failure:  # whatever a plugin raises, sys.exit too, the other cells are built
        if site.stop():  # a library stopped in the middle of something may make another error of it
            raise Interrupted(f"{place}: up to the last checkpoint") from failure
        if os.environ.get("ZOO_DEBUG"):
            traceback.print_exc()
        error = str(failure) if isinstance(failure, ZooError) else happened(failure)
        if isinstance(failure, RecipeError):  # the override that a place names may be the comparison's own
            error = "; ".join(str(p) if p.position.line else p.message for p in failure.problems)
        return _member(cell, "failed", error)
    return _member(cell, state, seconds=0.0 if before else time.monotonic() - begun)


def _member(cell: Cell, state: str, error: str = "", seconds: float = 0.0) -> Member:
    return Member(cell.model, cell.data, cell.seed, cell.folder, state, error, seconds)


def time_left(cells: Sequence[Cell], members: Iterable[Member]) -> float:
    """Guesses the seconds for those cells that nobody has finished, each as long as the most alike of the members.

    Those of no ``seconds`` were resumed, failed or built by others, and tell nothing; 0 where none tells.
    """
    took = [member for member in members if member.seconds]

    def guess(cell: Cell) -> float:
        alike = [(member.model == cell.model, member.data == cell.data) for member in took]
        return fmean(member.seconds for member, how in zip(took, alike, strict=True) if how == max(alike))

    return math.fsum(guess(cell) for cell in cells if not _finished(cell)) if took else 0.0
