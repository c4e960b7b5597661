"""Being asked to stop: Ctrl-C, SIGTERM, a closed terminal, nobody who reads on."""

from __future__ import annotations

import fcntl
import os
import random
import re
import select
import signal
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from helpers.forks import Forks, Life

from faults.kills import Undisturbed, undisturbed
from faults.runs import AVAE, VAE, differing, result

AT_ONCE = "stopped and saved: up to the last checkpoint; go on with the same command\n"
MOMENTS = 3
"""For each signal."""


@pytest.fixture(scope="module")
def whole(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    """A build that nobody stops."""
    return undisturbed(forks, tmp_path_factory.mktemp("whole"), "tiny", AVAE)


def build(forks: Forks, whole: Undisturbed, here: Path, *signals: dict[str, Any], **more: Any) -> Life:
    """``zoo build`` into ``here``, with signals."""
    return forks.zoo("build", whole.file, "--out", "run", cwd=here, signals=signals, **more)


def goes_on(forks: Forks, whole: Undisturbed, here: Path) -> Life:
    """The same command finishes what was stopped, bit for bit."""
    life = build(forks, whole, here)
    assert life.code == 0, life.log
    assert differing(whole.result, result(here / "run")) == []
    return life


@pytest.mark.promise(
    "Ctrl-C, SIGTERM or a closed terminal at any moment: the step is finished and saved, exit code 130, "
    "the same command goes on."
)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_asked_to_stop_at_random_moments(
    forks: Forks, whole: Undisturbed, tmp_path: Path, number: int, record_property: Callable[[str, object], None]
) -> None:
    moments, stops = random.Random(number), 0
    for attempt in range(10 * MOMENTS):
        if stops == MOMENTS:
            break
        here = tmp_path / str(attempt)
        here.mkdir()
        asked = {"signal": number, "on": "assembling", "after": moments.uniform(0, whole.seconds * 0.9)}
        life = build(forks, whole, here, asked)
        if life.code != 0:
            assert life.code == 130, life.log
            assert re.search(r"^stopped and saved: .*; go on with the same command$", life.log, re.M), life.log
            assert "Traceback" not in life.log
            stops += 1
        goes_on(forks, whole, here)
    assert stops == MOMENTS
    record_property("cases", stops)


def test_in_training_the_step_is_finished_and_saved(forks: Forks, whole: Undisturbed, tmp_path: Path) -> None:
    life = build(forks, whole, tmp_path, {"signal": signal.SIGTERM, "on": "training", "after": 0.05})
    step = int(re.search(r"stopped and saved: step (\d+) of 12; go on with the same command\n", life.log)[1])
    assert f"continuing at step {step} of 12\n" in goes_on(forks, whole, tmp_path).log


@pytest.mark.promise("A second signal stops at once, and loses nothing that was saved.")
def test_a_second_signal_stops_at_once(forks: Forks, tmp_path: Path) -> None:
    endless = AVAE.replace("steps: 12", "steps: 1000000")
    (tmp_path / "tiny.yaml").write_text(endless.replace("batch: 4", "batch: 30000"))  # a step takes many seconds
    first, second = {"signal": 2, "on": "training", "after": 0.5}, {"signal": 2, "on": "once more to stop"}
    life = forks.zoo("build", "tiny.yaml", "--out", "run", cwd=tmp_path, signals=[first, second])
    assert (life.code, life.log.endswith(AT_ONCE)) == (130, True), life.log


@pytest.mark.promise("SIGTERM during the evaluation stops at once; the evaluation is done again.")
@pytest.mark.parametrize("after", [0.0, 0.02, 0.05])
def test_during_the_evaluation(forks: Forks, whole: Undisturbed, tmp_path: Path, after: float) -> None:
    life = build(forks, whole, tmp_path, {"signal": signal.SIGTERM, "on": "evaluating", "after": after})
    assert (life.code, life.log.endswith(f"evaluating\n{AT_ONCE}")) == (130, True), life.log
    assert "continuing" not in goes_on(forks, whole, tmp_path).log


SLEEPY = '''
import sys
import time
from pathlib import Path

from zoo import api


class Sleepy:
    """A metric that is long about it where nobody has left a note, and makes an error of its own of an interrupt."""

    protocol = {}
    better = "lower"

    def update(self, x):
        if not Path("note").exists():
            try:
                print("asleep", file=sys.stderr, flush=True)
                time.sleep(60)
            except BaseException:
                raise RuntimeError("woken") from None

    def compute(self):
        return 0.0


@api.hookimpl
def zoo_components():
    return [api.Component("metric", "sleepy", f"{__name__}:Sleepy", "sleeps")]
'''


@pytest.mark.promise("An interrupt is never noted as a failed run of a comparison, whatever a library makes of it.")
@pytest.mark.parametrize(
    ("number", "on"), [(signal.SIGINT, "asleep"), (signal.SIGTERM, "asleep"), (signal.SIGTERM, "training")]
)
def test_a_comparison_that_is_interrupted(forks: Forks, tmp_path: Path, number: int, on: str) -> None:
    (tmp_path / "sleepy.py").write_text(SLEEPY)
    recipe = VAE.replace("[mse]", "[sleepy]").replace("save_every: 3", "save_every: 30")
    (tmp_path / "tiny.yaml").write_text(recipe.replace("steps: 8", "steps: 60"))
    if on == "training":
        (tmp_path / "note").touch()
    command = ["compare", "tiny.yaml", "--seeds", "2", "--plugin", "sleepy.py"]
    life = forks.zoo(*command, cwd=tmp_path, signals=[{"signal": number, "on": on}])
    assert (life.code, "failed" in life.log, "woken" in life.log) == (130, False, False), life.log
    assert re.search(r"^stopped and saved: .*; go on with the same command$", life.log, re.M), life.log
    (tmp_path / "note").touch()
    life = forks.zoo(*command, cwd=tmp_path)
    assert (life.code, "failed" in life.log, life.log.count(": done")) == (0, False, 2), life.log


@pytest.mark.promise("A reader who leaves (`head`, a pager) costs no work that was saved.")
@pytest.mark.parametrize(("unheard", "code"), [([1], 0), ([2], 130), ([1, 2], 130)])
def test_nobody_reads_on(forks: Forks, whole: Undisturbed, tmp_path: Path, unheard: list[int], code: int) -> None:
    life = build(forks, whole, tmp_path, unheard=unheard)
    assert life.code == code, life.log
    assert "Traceback" not in life.log
    goes_on(forks, whole, tmp_path)


@pytest.mark.promise("After `nohup` a closed terminal stops nothing.")
def test_nohup_keeps_its_promise(forks: Forks, whole: Undisturbed, tmp_path: Path) -> None:
    life = build(forks, whole, tmp_path, {"signal": signal.SIGHUP, "on": "training"}, ignored=[signal.SIGHUP])
    assert life.code == 0, life.log
    assert differing(whole.result, result(tmp_path / "run")) == []


@pytest.mark.promise("A terminal that is closed in the middle of a training: the step is finished and saved.")
def test_a_terminal_that_is_closed(forks: Forks, tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(AVAE.replace("steps: 12", "steps: 100000"))
    ours, theirs = os.openpty()
    termios.tcsetwinsize(ours, (24, 100))
    command = [sys.executable, "-m", "zoo", "build", "tiny.yaml", "--out", "run"]
    process = subprocess.Popen(
        command, cwd=tmp_path, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, preexec_fn=_own
    )
    os.close(theirs)
    seen = b""
    while b"img" not in seen:  # the progress bar: training is on
        assert select.select([ours], [], [], 30)[0], seen
        seen += os.read(ours, 4096)
    os.close(ours)  # the kernel hangs up on the session
    assert process.wait(60) == 130
    life = forks.zoo("build", "tiny.yaml", "--out", "run", cwd=tmp_path, signals=[{"signal": 9, "on": "continuing"}])
    assert "continuing at step " in life.log


def _own() -> None:
    """The terminal becomes that of the new session, whatever the tests were started with."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
