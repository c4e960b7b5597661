"""Half an hour of faults: ``python tests/soak.py --minutes 30`` (``make soak``).

A training is killed every few seconds, short of memory now and then, on a small disk that now and then is full. It
must end as the undisturbed one does, bit for bit; its processes must hold as much memory and as many files in the last
stretch as in the first, and leave none behind. The exit code is 1 if they do not.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from faults.runs import AVAE, differing, litter, result
from helpers.forks import Forks, Life

BATCH = 16
RECIPE = AVAE.replace("batch: 4", f"batch: {BATCH}").replace(
    "log_every: 1, save_every: 1", "log_every: 50, save_every: 5"
)
"""A training of as many steps as the minutes allow, with the checkpoints of an anxious person."""
DISK = "size=24m"
LEFT = 64 * 1024
"""Bytes of the disk that are left free when it is filled."""
LIVES = (0.6, 5.0)
"""Seconds after which a process is killed, from and to."""
FLAT = 0.03
"""By how much the resident memory of the last stretch may exceed the first one's."""
SHORT = (0.0, 0.004)
"""Shares of its address space that a process short of memory may still grow by, from and to."""
HOURS = 7200.0
"""Seconds after which a process counts as hung."""
EVERY = 0.1
"""Seconds between two samples."""


@dataclass
class Seen:
    """What a soak saw.

    Args:
        ends: how often a process ended how.
        memory: the largest resident memory of each life that trained for a while, in MB.
        orphans: processes that outlived theirs.
        wrong: sentences; none, if all is well.
    """

    ends: Counter[str] = field(default_factory=Counter)
    memory: list[float] = field(default_factory=list)
    orphans: int = 0
    wrong: list[str] = field(default_factory=list)


def soak(forks: Forks, folder: Path, minutes: float, seed: int = 0) -> Seen:
    """Trains undisturbed for a third of the time, then the same under faults until it is finished.

    Args:
        forks: where builds are forked.
        folder: an empty one.
        minutes: about how long it takes on a quiet machine.
        seed: of the faults.
    """
    seen, moments, disk = Seen(), random.Random(seed), folder / "disk"
    disk.mkdir()
    small = not forks.mount(disk, DISK)
    recipe = folder / "soak.yaml"
    recipe.write_text(RECIPE.replace("steps: 12", f"steps: {_steps(forks, folder, minutes * 20)}"))
    whole = forks.zoo("build", recipe, "--out", "whole", cwd=folder, sample=EVERY, longest=HOURS)
    assert whole.code == 0, whole.log
    _check_flat("undisturbed", [s["rss"] for s in whole.samples][len(whole.samples) // 5 :], seen)
    _check_files([s["files"] for s in whole.samples], seen)
    until, lives = time.monotonic() + minutes * 40, (LIVES[0], min(LIVES[1], LIVES[0] + minutes * 4))
    while True:
        disturbed = time.monotonic() < until
        what = moments.choice(("kill", "kill", "disk", "memory")) if disturbed else "none"
        life = _life(forks, recipe, disk, what, moments.uniform(*lives), moments.uniform(*SHORT), small)
        _note(life, what, seen)
        if life.code == 0:
            break
        if not disturbed:
            seen.wrong.append(f"short of nothing, it ended with {life.code}: {life.log}")
            return seen
    run = forks.seen(disk / "run")
    differ = differing(result(folder / "whole"), result(run))
    seen.wrong += [f"{name} differs from the undisturbed run's" for name in differ]
    seen.wrong += [f"{name} was left behind" for name in litter(run)]
    _check_flat("under faults", seen.memory, seen)
    if seen.orphans:
        seen.wrong.append(f"{seen.orphans} processes were left behind")
    return seen


def _steps(forks: Forks, folder: Path, seconds: float) -> int:
    """How many steps take so long, from a training of 200."""
    file = folder / "short.yaml"
    file.write_text(RECIPE.replace("steps: 12", "steps: 200"))
    life = forks.zoo("build", file, "--out", "short", "--stop-after", "train", cwd=folder)
    assert life.code == 0, life.log
    return max(200, int(200 / life.seconds * seconds))


def _life(forks: Forks, recipe: Path, disk: Path, what: str, moment: float, growth: float, small: bool) -> Life:
    """One process of the training, to its end, and what goes wrong in it."""
    ballast = forks.seen(disk / "ballast")
    if what == "disk" and small:
        _fill(ballast)
    killed = [{"signal": signal.SIGKILL, "after": moment}] if what != "none" else []
    short = {"growth": growth} if what == "memory" else {}
    arguments = ("build", recipe, "--out", disk / "run")
    life = forks.zoo(*arguments, cwd=recipe.parent, signals=killed, sample=EVERY, longest=HOURS, **short)
    ballast.unlink(missing_ok=True)
    return life


def _fill(ballast: Path) -> None:
    """Leaves little of a disk."""
    free = shutil.disk_usage(ballast.parent).free
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free - LEFT, 1))


def _note(life: Life, what: str, seen: Seen) -> None:
    ended = {-signal.SIGKILL: "killed", 0: "finished"}.get(life.code, f"exit code {life.code}")
    seen.ends[{"kill": ended, "none": ended}.get(what, f"{ended} (short of {what})")] += 1
    seen.orphans += life.orphans
    if life.code not in (0, 1, -signal.SIGKILL) and what != "memory":
        seen.wrong.append(f"exit code {life.code}: {life.log}")
    if "Traceback" in life.log and what != "memory":
        seen.wrong.append(life.log)
    steady = life.samples[len(life.samples) // 2 :]
    if what == "kill" and life.seconds > LIVES[0] and steady:
        seen.memory.append(statistics.median(sample["rss"] for sample in steady))


def _check_flat(what: str, memory: Sequence[float], seen: Seen) -> None:
    """Compares the first third with the last."""
    third = len(memory) // 3
    if not third:
        return
    first, last = statistics.median(memory[:third]), statistics.median(memory[-third:])
    print(f"memory {what}: {first:.1f} MB in the first third, {last:.1f} MB in the last ({last / first - 1:+.1%})")
    if last > first * (1 + FLAT):
        seen.wrong.append(f"memory {what} went from {first:.1f} to {last:.1f} MB")


def _check_files(files: Sequence[float], seen: Seen) -> None:
    """Compares the fewest open files of two stretches of the training; a file that is being written comes and goes."""
    fifth = len(files) // 5
    if fifth:
        first, last = min(files[fifth : 2 * fifth]), min(files[3 * fifth : 4 * fifth])
        if last > first:
            seen.wrong.append(f"open files went from {first:.0f} to {last:.0f}")


def main() -> int:
    """Soaks and tells."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["ZOO_CONFIG"] = os.devnull
    with tempfile.TemporaryDirectory(prefix="zoo-soak-") as folder, Forks(AVAE) as forks:
        seen = soak(forks, Path(folder), arguments.minutes, arguments.seed)
    print(f"processes: {sum(seen.ends.values())}: " + ", ".join(f"{count} {end}" for end, count in seen.ends.items()))
    print("\n".join(seen.wrong) or "nothing lost, nothing left behind, bit for bit the undisturbed run")
    return int(bool(seen.wrong))


if __name__ == "__main__":
    sys.exit(main())
