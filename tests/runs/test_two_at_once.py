"""Several builds at once: one run belongs to one process, and any number share a folder of runs and a cache."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from faults.runs import VAE, differing, litter, result
from helpers.forks import Forks, Life
from PIL import Image

AT_ONCE = 16
LONG = VAE.replace("steps: 8", "steps: 1000000")


def _until(there: Callable[[], bool]) -> None:
    until = time.monotonic() + 60
    while not there():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.promise("A second process on the same run is refused; a lock whose holder was killed blocks nobody.")
def test_a_second_process_is_refused_and_a_dead_one_is_not_waited_for(forks: Forks, tmp_path: Path) -> None:
    (tmp_path / "long.yaml").write_text(LONG)
    journal = tmp_path / "run" / "metrics.jsonl"
    arguments = ("build", "long.yaml", "--out", "run")
    with ThreadPoolExecutor(1) as pool:
        killed = {"signal": signal.SIGKILL, "on": "training", "after": 3}
        first = pool.submit(forks.zoo, *arguments, cwd=tmp_path, signals=[killed])
        _until(lambda: journal.is_file() and len(journal.read_text()) > 0)
        second = forks.zoo(*arguments, cwd=tmp_path)
        assert not first.done()
        assert (second.code, second.log) == (
            1,
            "zoo: error: run: another process is building here; wait for it, or choose another --out\n",
        )
        assert first.result().code == -signal.SIGKILL
    third = forks.zoo(*arguments, cwd=tmp_path, signals=[{"signal": signal.SIGTERM, "on": "continuing"}])
    assert third.code == 130, third.log


def _pictures(folder: Path) -> Path:
    folder.mkdir()
    for number in range(40):
        Image.new("RGB", (12, 10), (number * 6, 255 - number * 6, 90)).save(folder / f"{number}.png")
    return folder


@pytest.mark.promise("Sixteen builds at once into one folder of runs, with one cold cache: every one comes out right.")
def test_sixteen_at_once(forks: Forks, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    data = f"{{use: folder, path: {_pictures(tmp_path / 'pictures')}, size: 8, test: 0.2, workers: 1}}"
    (tmp_path / "tiny.yaml").write_text(VAE.replace("{size: 8, train: 64, test: 8}", data))

    def build(number: int, cache: str) -> Life:
        env = {"ZOO_CACHE": str(tmp_path / cache)}
        return forks.zoo("build", "tiny.yaml", "--out", f"{cache}-runs/{number}", cwd=tmp_path, env=env)

    alone = build(0, "own")
    assert alone.code == 0, alone.log
    expected = result(tmp_path / "own-runs/0")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        lives = list(pool.map(lambda number: build(number, "shared"), range(AT_ONCE)))
    for number, life in enumerate(lives):
        run = tmp_path / "shared-runs" / str(number)
        assert (life.code, life.orphans) == (0, 0), life.log
        assert differing(expected, result(run)) == litter(run) == []
    assert _cached(tmp_path / "shared") == _cached(tmp_path / "own")
    record_property("cases", AT_ONCE)


def _cached(folder: Path) -> list[tuple[str, int]]:
    """What lies in a cache: a torn or second copy of anything would show."""
    return sorted((path.name, path.stat().st_size) for path in folder.rglob("*") if path.is_file())
