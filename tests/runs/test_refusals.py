"""What the system refuses to read is no damage: the run stops in a sentence, nothing is touched, nothing judged bad."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.file_faults import failing_at, faulty
from helpers.runs import STEPS, digest, recipe, trained

from zoo.engine.engine import Engine
from zoo.errors import Damaged, RunError
from zoo.machine.disk import CURES, inside
from zoo.model.model import Model
from zoo.runs.checkpoint import best_checkpoint, checkpoints, restore_checkpoint, tensors_path
from zoo.runs.history import history
from zoo.runs.identity import damaged, finished, refuse_another, vouch
from zoo.runs.provenance import other_versions, own_recipe
from zoo.runs.run import Run
from zoo.runs.weights import load_weights, refuse_lost_weights, trained_steps

PROMISE = "What cannot be read (open files, rights, a disk, a mount, memory) is no damage: nothing is lost."
READS = ("open", "fstat", "listdir")
CODES = (errno.EMFILE, errno.EACCES, errno.EIO, errno.ESTALE, errno.ENOMEM)
MADE = recipe()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("refused") / "run"
    trained(MADE, folder)
    with Run(folder) as run:
        run.write_json("history.json", [{"step": 1, "recipe": "another", "changes": ["more steps"]}])
        vouch(run, MADE, ("model.safetensors", "plugins.json"))
    return folder


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Model(MADE))


Look = Callable[[Path, Engine], Any]
PLACES: dict[str, Look] = {
    "a checkpoint": lambda folder, engine: (restore_checkpoint(opened(folder), engine), digest(engine)),
    "the best": lambda folder, _: best_checkpoint(folder, "mse"),
    "which there are": lambda folder, _: checkpoints(opened(folder)),
    "the end": lambda folder, _: (trained_steps(folder), refuse_lost_weights(opened(folder))),
    "weights": lambda folder, engine: load_weights(engine.model, folder),
    "what is damaged": lambda folder, _: damaged(folder),
    "whether it is finished": lambda folder, _: finished(folder, MADE),
    "whose it is": lambda folder, _: refuse_another(opened(folder), MADE),
    "its recipe": lambda folder, _: own_recipe(folder),
    "its history": lambda folder, _: history(folder),
    "its versions": lambda folder, _: other_versions(folder, MADE),
}
"""What decides how a run goes on, by reading it."""


def opened(folder: Path) -> Run:
    """A run whose lock is not held: that is tried elsewhere."""
    run = Run.__new__(Run)
    run.folder = folder
    return run


def content(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def seen_by(look: Callable[[], Any]) -> tuple[Any, int]:
    """What it comes to, and how many calls it reads by."""
    seen: list[str] = []

    def note(name: str, real: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        seen.append(name)
        return real(*args, **named)

    with faulty(note, READS):
        return look(), len(seen)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("place", PLACES)
def test_a_refusal_at_every_read_stops_and_changes_nothing(folder, engine, place, record_property):
    look, before, tried = lambda: PLACES[place](folder, engine), content(folder), 0
    expected, calls = seen_by(look)
    assert calls
    for number in range(calls):
        for code in CODES:
            with faulty(failing_at(number, code), READS), pytest.raises(RunError) as caught:
                look()
            said = str(caught.value)
            assert not isinstance(caught.value, Damaged)
            assert said.startswith(str(folder))
            assert said.endswith(f"cannot be read: {os.strerror(code)}; {CURES[code]}")
            tried += 1
    assert content(folder) == before
    assert look() == expected
    record_property("cases", tried)


@pytest.mark.promise(PROMISE)
def test_the_library_that_takes_a_refusal_for_absence_is_not_believed(folder, engine, monkeypatch):
    """safetensors says of too many open files that there is no such file."""
    monkeypatch.setattr(
        "zoo.model.tensorfile.safe_open", lambda *_, **__: (_ for _ in ()).throw(FileNotFoundError("x"))
    )
    with pytest.raises(RunError, match=r"safetensors: cannot be read a second time: x$") as caught:
        restore_checkpoint(opened(folder), engine)
    assert not isinstance(caught.value, Damaged)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), "of the CPU"])
@pytest.mark.parametrize("place", ["a checkpoint", "weights"])
def test_memory_that_is_short_is_no_damage(folder, engine, monkeypatch, place, error):
    def short(*_: object) -> None:
        torch.empty(10**13)
        raise error

    def raised(*_: object) -> None:
        raise error

    where = (Engine, "restore") if place == "a checkpoint" else (Model, "load_state_dict")
    with monkeypatch.context() as patch:
        patch.setattr(*where, short if isinstance(error, str) else raised)
        with pytest.raises(RunError, match=r"out of memory as it was read .*; free some and run again$") as caught:
            PLACES[place](folder, engine)
    assert not isinstance(caught.value, Damaged)
    assert PLACES[place](folder, engine)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("place", ["a checkpoint", "the end"])
def test_a_limit_of_memory_is_no_damage(folder, engine, monkeypatch, place):
    size = tensors_path(folder, STEPS).stat().st_size
    monkeypatch.setenv("ZOO_MEMORY", "1KB")
    with pytest.raises(RunError, match=r"more than the 1,000 of memory here; set ZOO_MEMORY=\d+ to try") as caught:
        PLACES[place](folder, engine)
    assert not isinstance(caught.value, Damaged)
    monkeypatch.setenv("ZOO_MEMORY", str(2 * size))
    assert PLACES[place](folder, engine)


@pytest.mark.promise(PROMISE)
def test_a_link_that_cannot_be_looked_at_is_no_damage(tmp_path, monkeypatch):
    (tmp_path / "a").symlink_to("b")

    def refused(*_: object, **__: object) -> str:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "readlink", refused)
    with pytest.raises(RunError, match="a: cannot be read: Input/output error; the disk failed") as caught:
        inside(tmp_path, "a")
    assert not isinstance(caught.value, Damaged)
