"""Chains of builds that are killed at random moments, each ended by one that finishes."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

from helpers.forks import Forks, Life

from faults.runs import differing, litter, result

CHAINS_AT_ONCE = 2


@dataclass
class Tally:
    """What a number of chains came to.

    Args:
        kills: builds that were killed while they were at work.
        finished: builds that ended by themselves, every one of them compared with the undisturbed one.
        stages: how many kills fell into each stage of a build.
        wrong: sentences; none, if all is well.
    """

    kills: int = 0
    finished: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Undisturbed:
    """A recipe's file, its result, and how long a build of it takes."""

    file: Path
    result: dict[str, Any]
    seconds: float


def undisturbed(forks: Forks, folder: Path, name: str, recipe: str) -> Undisturbed:
    """Builds a recipe from beginning to end."""
    file = folder / f"{name}.yaml"
    file.write_text(recipe)
    life = forks.zoo("build", file, "--out", f"{name}-whole", cwd=folder)
    assert life.code == 0, life.log
    return Undisturbed(file, result(folder / f"{name}-whole"), life.seconds)


def killed_often(forks: Forks, wholes: Sequence[Undisturbed], kills: Sequence[int], seed: int = 0) -> Tally:
    """So many kills for each recipe, at moments drawn over the whole life of a build.

    Args:
        forks: where builds are forked.
        wholes: the recipes.
        kills: how many for each of them.
        seed: of the moments.
    """
    tally = Tally()
    with ThreadPoolExecutor(CHAINS_AT_ONCE) as pool:
        jobs = [
            pool.submit(_chains, forks, whole, number // CHAINS_AT_ONCE, f"{seed}-{which}", tally)
            for whole, number in zip(wholes, kills, strict=True)
            for which in range(CHAINS_AT_ONCE)
        ]
        for job in jobs:
            job.result()
    return tally


def _chains(forks: Forks, whole: Undisturbed, kills: int, seed: str, tally: Tally) -> None:
    """Builds killed until they finish, then others, until there were so many kills."""
    moments = random.Random(f"{whole.file.name}-{seed}")
    for chain in count():
        out = whole.file.with_name(f"{whole.file.stem}-{seed}-{chain}")
        kills = _chain(forks, whole, out, kills, moments, tally)
        tally.finished += 1
        wrong = differing(whole.result, result(out)) + litter(out)
        tally.wrong += [f"{out}: {name} is not what the undisturbed build left" for name in wrong]
        if not kills:
            return


def _chain(forks: Forks, whole: Undisturbed, out: Path, kills: int, moments: random.Random, tally: Tally) -> int:
    """One chain; gives back how many kills are left."""
    while True:
        moment = {"signal": signal.SIGKILL, "after": moments.uniform(0, whole.seconds)}
        life = forks.zoo("build", whole.file, "--out", out, cwd=out.parent, signals=[moment] if kills else [])
        if life.code == -signal.SIGKILL:
            tally.kills += 1
            tally.stages[_stage(life)] += 1
            kills -= 1
        elif life.code == 0:
            return kills
        else:
            raise AssertionError(f"{out}: exit code {life.code}: {life.log}")


def _stage(life: Life) -> str:
    """The stage at which a build was killed: the last it said."""
    said = [line.split()[0] for line in life.log.splitlines()]
    return next((word for word in reversed(said) if word in ("assembling", "training", "evaluating")), "starting")
