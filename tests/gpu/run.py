"""Measures on a GPU what it can within some minutes, in the order of worth; needs no network.

    python tests/gpu/run.py [--minutes 8] [--toy] [--to .benchmarks/gpu-TIME]

Every result is a line of DIR/results.jsonl as soon as it is known; tables and pictures are drawn anew from all of them,
so whoever kills it loses only what was in hand. Parts that do not fit are skipped, and said. A machine that lacks
packages is given them by ``make gpu-kit``. ``--toy`` is the same in small, for a CPU.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from gpu import kit
from gpu.page import fill
from gpu.shelf import built, paper, shelf
from gpu.told import VARIABLE, results, tell

SAVING = 10
"""Seconds that a process has to save what it did when its time is over."""

TESTS = ("tests/engine/test_capture.py", "tests/benchmarks/test_hand.py", "-k", "test_capture.py or captured")
TOY_TESTS = ("tests/engine/test_capture.py::test_captured_is_eager_step_for_step[gan-True]",)

PROCESSES = 3
"""That train side by side: while one starts, scores or draws, others keep the device busy."""


@dataclass
class Bench:
    """Where results go, and when it is over.

    Args:
        folder: of the results.
        toy: everything in small.
        end: of all, in seconds since 1970.
    """

    folder: Path
    toy: bool
    end: float
    begun: float = field(default_factory=time.time)
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def file(self) -> Path:
        """Of the results."""
        return self.folder / "results.jsonl"

    def until(self, share: float) -> float:
        """When that share of the time is over."""
        return self.begun + share * (self.end - self.begun)

    def start(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        """Starts a command of Python, in a group of its own; what it says goes to a file."""
        with (self.folder / f"{log}.log").open("ab") as said:
            process = subprocess.Popen(
                [sys.executable, *command], cwd=kit.ROOT, stdout=said, stderr=said, start_new_session=True
            )
        self.started.append(process)
        return process

    def wait(self, process: subprocess.Popen[bytes], until: float) -> int | None:
        """Its exit status; None if its time was over, and it was stopped."""
        try:
            return process.wait(max(until - time.time(), 0.0))
        except subprocess.TimeoutExpired:
            self.stop(process)
            return None

    def stop(self, *processes: subprocess.Popen[bytes]) -> None:
        """Has processes save and end."""
        for number, seconds in ((signal.SIGTERM, SAVING), (signal.SIGKILL, None)):
            for process in processes:
                if process.poll() is None:
                    os.killpg(process.pid, number)
            for process in processes:
                try:
                    process.wait(seconds)
                except subprocess.TimeoutExpired:
                    continue

    def last_words(self, log: str) -> str:
        """The last line of what was said."""
        lines = (self.folder / f"{log}.log").read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"


def tests(bench: Bench, until: float) -> None:
    """Captured steps equal eager ones."""
    chosen = TOY_TESTS if bench.toy else TESTS
    process = bench.start("-m", "pytest", "-p", "gpu.told", "-W", "default", *chosen, log="tests")
    status = bench.wait(process, until)
    if status is None:
        tell(part="skipped", of="tests", what="the tests that had not run by then")
    elif not any(results(bench.file, "tests")):
        tell(part="failed", of="tests", what="pytest", why=bench.last_words("tests"))


def measure(part: str, bench: Bench, until: float) -> None:
    """A process measures case after case; where it dies, another one goes on with the next case."""
    first, toy = 0, ["--toy"] if bench.toy else []
    while time.time() < until:
        more = ["--first", str(first), "--until", str(until), *toy]
        status = bench.wait(bench.start("-m", "gpu.steps", part, *more, log=part), until)
        begun = [line for line in results(bench.file, "begun") if line["of"] == part]
        if status and begun and begun[-1]["number"] >= first:
            first = begun[-1]["number"] + 1
            tell(part="failed", of=part, what=begun[-1]["what"], why=bench.last_words(part))
            continue
        if status:
            tell(part="failed", of=part, what="all of it", why=bench.last_words(part))
        if status is None:
            tell(part="skipped", of=part, what="what had not been measured by then")
        return
    tell(part="skipped", of=part, what="what was left of it")


def build(part: str, asked: Callable[[float], list[str]], bench: Bench, until: float) -> None:
    """Trains, scores and draws: processes share the runs out among themselves; each is told when it is finished."""
    command, folder, told = asked(until), bench.folder / part, list[str]()
    runs = ["--out", str(folder / "runs")]
    draw = ["-m", "zoo", "compare", str(folder / "runs"), "--out", str(folder), "--to", str(folder / "table.md")]
    count = range(1 if bench.toy else PROCESSES) if command else ()
    processes = {f"{part}-{n}": bench.start("-m", "zoo", *command, *runs, log=f"{part}-{n}") for n in count}
    drawing, drawn = None, 0
    while True:
        over = all(process.poll() is not None for process in processes.values()) or time.time() >= until
        if over:
            bench.stop(*processes.values())
        for line in built(folder / "runs"):
            if (name := f"{line['recipe']}, seed {line['seed']}") not in told:
                told.append(name)
                tell(part=part, **line)
        if len(told) > drawn and (over or not drawing or drawing.poll() is not None):
            fill(bench.folder)
            drawing, drawn = bench.start(*draw, log=f"{part}-pictures"), len(told)
        if over:
            break
        time.sleep(0.2)
    for log, process in processes.items():
        if process.returncode:
            tell(part="failed", of=part, what=f"after {len(told)} runs", why=bench.last_words(log))
    if not command:
        tell(part="skipped", of=part, what="all of it: no time is left, or no rate is known")
    if drawing:
        bench.wait(drawing, bench.end)


def parts(bench: Bench) -> dict[str, tuple[float, Callable[[Bench, float], None]]]:
    """Part -> the share of all time at whose end it ends at the latest; what it leaves goes to the next.

    A toy does without those that do again, with more, what others did.
    """
    first = {
        "tests": (0.15, tests),
        "steps": (0.42, partial(measure, "steps")),
        "tokenizer": (0.48, partial(measure, "tokenizer")),
        "rates": (0.52, partial(measure, "rates")),
        "paper": (0.79, partial(build, "paper", partial(paper, bench.file, bench.toy))),
    }
    more = {"shelf": (0.92, partial(build, "shelf", shelf)), "compiled": (1.0, partial(measure, "compiled"))}
    return first if bench.toy else first | more


def main() -> None:
    """Do one part after another; whatever ends it, what it started ends too."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0)
    parser.add_argument("--toy", action="store_true", help="in small, for a CPU")
    parser.add_argument("--to", type=Path, default=kit.ROOT / ".benchmarks" / f"gpu-{time.strftime('%Y%m%d-%H%M%S')}")
    args = parser.parse_args()
    if list(results(args.to / "results.jsonl")):
        parser.error(f"--to {args.to} has results; choose another folder")
    bench = Bench(args.to.resolve(), args.toy, time.time() + 60 * args.minutes - SAVING)
    bench.folder.mkdir(parents=True, exist_ok=True)
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    shown = [*map(str, kit.paths()), *filter(None, own)]
    os.environ |= {VARIABLE: str(bench.file), "PYTHONPATH": os.pathsep.join(shown)}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))
    try:
        for name, (share, part) in parts(bench).items():
            begun = time.time()
            print(f"{name}: until {bench.until(share) - bench.begun:.0f} s", flush=True)
            part(bench, bench.until(share))
            tell(part="parts", name=name, seconds=time.time() - begun)
            fill(bench.folder)
    finally:
        bench.stop(*bench.started)
    print(f"{bench.file}; tables and pictures are beside it")


if __name__ == "__main__":
    main()
