"""What tests share: the command line in this process and in a fresh one, tiny recipes, a finished run."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faults.runs import AVAE
from helpers.forks import Forks

from zoo.cli import main

if TYPE_CHECKING:
    from zoo.recipe import Recipe
    from zoo.recipe.schema import Part
    from zoo.types import Images

gc.disable()  # until every file of tests is imported: libraries are millions of objects that stay
gc.set_threshold(50_000, 20, 20)  # afterwards they are looked through for garbage less often: 5 % of the time
os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when torch is first imported; tests share few cores
os.environ["ZOO_CONFIG"] = os.devnull  # nobody's own settings
os.environ.pop("ZOO_PLUGINS", None)

PARTS = Path(__file__).parent / "parts" / "misfit_parts.py"
"""A plugin of parts that do not fit."""

TINY = """\
extends: avae
data: {size: 8, train: 64, test: 8}
latent: 4
noise: 4
slots: {encoder: {width: 4}, decoder: {width: 4}, generator: {width: 4}, critic: {width: 4}}
train: {steps: 3, batch: 4, log_every: 1, save_every: 2, ema: 0.0, precision: float32, optimizer: {rate: 1.0}}
"""
"""AVAE with three steps and nets of width 4."""


@dataclass(frozen=True)
class Outcome:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        return self.err.splitlines()


Run = Callable[..., Outcome]


def pytest_collection_finish() -> None:
    gc.enable()


def pytest_runtest_teardown() -> None:
    gc.unfreeze()  # what the command line froze in this process: the contract kit counts it one by one


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory to work in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run_zoo(capsys: pytest.CaptureFixture[str]) -> Run:
    """``zoo ARGUMENTS`` in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main(list(map(str, arguments)))
        captured = capsys.readouterr()
        return Outcome(code, captured.out, captured.err)

    return run


def python(*arguments: object, cwd: Path | None = None, env: dict[str, str] | None = None) -> Outcome:
    """A fresh Python."""
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env={**os.environ, **(env or {})})
    return Outcome(done.returncode, done.stdout, done.stderr)


def costs_less(these: Sequence[object], times: float, those: Sequence[object], cwd: Path) -> bool:
    """Whether ``zoo THESE`` costs less processor time than so many ``times`` that of ``zoo THOSE``, in fresh processes;
    of up to four tries the least, for other programs only ever add to it.
    """

    def spent(arguments: Sequence[object]) -> float:
        before = os.times()
        python("-m", "zoo", *arguments, cwd=cwd)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    least, most = spent(these), times * spent(those)
    for _ in range(3):
        if least < most:
            break
        least, most = min(least, spent(these)), min(most, times * spent(those))
    return least < most


LISTS_TORCH = (
    "import sys; from zoo.cli import main; code = main(sys.argv[1:]); print('torch' in sys.modules); exit(code)"
)


def without_torch(arguments: Sequence[object], cwd: Path) -> Outcome:
    """``zoo ARGUMENTS`` in a fresh process, which must not have imported torch."""
    done = python("-c", LISTS_TORCH, *arguments, cwd=cwd)
    *lines, torch = done.out.splitlines()
    assert torch == "False", done.err
    return Outcome(done.code, "\n".join(lines), done.err)


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing is packed into the home directory."""
    os.environ["ZOO_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def few_photos(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes of 20,000 photographs are given 64 of them."""
    import zoo.data.batches as batches

    def few(recipe: Recipe, load: Callable[[Recipe], Images] = batches.load_images) -> Images:
        def cut(part: Part) -> Part:
            return replace(
                part,
                options=part.options
                | {name: 64 for name in ("train", "test") if isinstance(part.options.get(name), int)},
            )

        return load(replace(recipe, sets={key: cut(part) for key, part in recipe.sets.items()}))

    monkeypatch.setattr(batches, "load_images", few)


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished tiny run, not to be changed: ``folder / "runs" / "tiny"``, its recipe beside ``runs``."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.yaml").write_text(TINY)
    run = folder / "runs" / "tiny"
    assert main(["build", str(folder / "tiny.yaml"), "--out", str(run)]) == 0
    return run


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """A server of processes that have torch and the zoo at once."""
    with Forks(AVAE) as started:
        yield started
