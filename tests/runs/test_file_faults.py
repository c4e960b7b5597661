"""A disk that refuses, or a kill, at every file call of a save: the last good checkpoint always loads."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from helpers.engine import images
from helpers.file_faults import ERRORS, calls_of, failing_at, faulty, in_a_child, killed_at
from helpers.runs import digest, recipe, restored, trained

from zoo.api import Record
from zoo.engine.engine import Engine
from zoo.errors import RequestError, RunError
from zoo.machine.disk import CURES, write_atomically
from zoo.model.model import Model
from zoo.runs.checkpointer import Checkpointer, save_checkpoint
from zoo.runs.run import Run
from zoo.runs.weights import load_weights, save_weights
from zoo.training.journal import Journal, read_journal

KEPT = ("train.keep_last=1",)


class Scene:
    """A run at step 1, an engine at step 2, and the two states that may be found after a save."""

    def __init__(self, folder: Path) -> None:
        self.start = folder / "start"
        self.engine = trained(recipe(*KEPT), self.start, steps=1)
        self.before = digest(self.engine)
        self.engine.step(lambda turn: images(turn, torch.float32)[..., :8, :8].contiguous())
        self.after = digest(self.engine)
        self.other = Engine(Model(recipe(*KEPT)))
        self.work = folder / "work"

    def again(self) -> Path:
        """The run as it was before the save."""
        shutil.rmtree(self.work, ignore_errors=True)
        return Path(shutil.copytree(self.start, self.work))

    def save(self) -> None:
        with Run(self.work) as run:
            save_checkpoint(run, self.engine)

    def save_beside(self) -> None:
        with Run(self.work) as run, Checkpointer(run, self.engine) as checkpointer:
            checkpointer.save()

    def found(self) -> str:
        """The state that is taken up, and nothing is said of a checkpoint that cannot be read but an unfinished one."""
        notes = restored(self.work, self.other)
        assert all("it was never finished" in note for note in notes), notes
        return digest(self.other)

    def left(self) -> set[str]:
        return {str(path.relative_to(self.work)) for path in self.work.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(tmp_path_factory.mktemp("faults"))


def refused(save: Callable[[], None], number: int, code: int) -> None:
    """Saves, while a file call is refused; what is said of it, if anything, names the file and the cure."""
    where, why = "/(work|state|samples|scores)[^:]*", f"{os.strerror(code)}; {re.escape(CURES[code])}"
    said = rf"{where}: cannot be (written|removed): {why}$"
    with faulty(failing_at(number, code)):
        try:
            save()
        except (RunError, RequestError) as error:
            found = str(error)
        else:
            return  # a directory that is there already need not be made, a closed file need not be closed
    assert re.search(said, found), found


def counted(scene: Scene, save: Callable[[], None]) -> list[str]:
    scene.again()
    calls = calls_of(save)
    assert scene.found() == scene.after
    assert {"open", "write", "fsync", "close", "replace", "unlink"} <= set(calls)
    return calls


def moments(calls: list[str]) -> list[tuple[int, str]]:
    """Where a kill finds another disk: before each call, in the middle of each write, after the last."""
    before = [(number, "before") for number in range(len(calls))]
    middle = [(number, "middle") for number, name in enumerate(calls) if name == "write"]
    return [*before, *middle, (len(calls) - 1, "after")]


@pytest.mark.promise(
    "ENOSPC, EIO, EROFS or EDQUOT at any file call: a sentence, nothing torn, the last good checkpoint loads."
)
def test_a_refusal_at_every_file_call_of_a_checkpoint(scene, record_property):
    """One of the errors at each: which it is changes the sentence alone, and of a text file all are tried."""
    calls = len(counted(scene, scene.save))
    clean = scene.left()
    for number in range(calls):
        scene.again()
        refused(scene.save, number, ERRORS[number % len(ERRORS)])
        assert scene.found() in (scene.before, scene.after)
        scene.save()
        assert scene.found() == scene.after
        assert scene.left() == clean
    assert calls > 15
    record_property("cases", calls)


@pytest.mark.promise("Killed at any file call of a checkpoint, the last good one loads.")
@pytest.mark.parametrize("save", ["save", "save_beside"])
def test_a_kill_at_every_file_call_of_a_checkpoint(scene, save, record_property):
    calls = counted(scene, scene.save)
    clean, tried = scene.left(), moments(calls)
    for number, when in tried:
        scene.again()

        def killed(number: int = number, when: str = when) -> None:
            with faulty(killed_at(number, when)):
                getattr(scene, save)()

        assert in_a_child(killed) == -signal.SIGKILL, (number, when, calls)
        assert scene.found() in (scene.before, scene.after)
        scene.save()
        assert scene.found() == scene.after
        assert scene.left() == clean
    record_property("cases", len(tried))


@pytest.mark.promise(
    "ENOSPC, EIO, EROFS or EDQUOT at any file call: a sentence, nothing torn, the last good checkpoint loads."
)
def test_a_fault_at_every_file_call_of_the_weights(scene, record_property):
    scene.again()
    own = Model(recipe(*KEPT))

    def save() -> None:
        with Run(scene.work) as run:
            save_weights(run, scene.engine)

    calls = len(calls_of(save))
    for number in range(calls):
        scene.again()
        refused(save, number, ERRORS[number % len(ERRORS)])
        assert load_weights(own, scene.work) == "ema"
        assert load_weights(own, scene.work, "raw") == "raw"
        scene.again()

        def killed(number: int = number) -> None:
            with faulty(killed_at(number, "middle")):
                save()

        assert in_a_child(killed) == -signal.SIGKILL
        assert load_weights(own, scene.work, "raw") == "raw"
        assert load_weights(own, scene.work) == "ema"
    record_property("cases", 2 * calls)


@pytest.mark.promise(
    "ENOSPC, EIO, EROFS or EDQUOT at any file call: a sentence, nothing torn, the last good checkpoint loads."
)
def test_a_fault_at_every_file_call_of_a_text_file(tmp_path, record_property):
    path, tried = tmp_path / "scores.json", 0
    calls = len(calls_of(lambda: write_atomically(path, b"old")))
    for number in range(calls):
        for code in ERRORS:
            write_atomically(path, b"old")
            refused(lambda: write_atomically(path, b"new"), number, code)
            assert path.read_bytes() in (b"old", b"new")
            tried += 1
        write_atomically(path, b"old")

        def killed(number: int = number) -> None:
            with faulty(killed_at(number, "middle")):
                write_atomically(path, b"new")

        assert in_a_child(killed) == -signal.SIGKILL
        assert path.read_bytes() in (b"old", b"new")
        tried += 1
    record_property("cases", tried)


def record(step: int) -> Record:
    return Record(step, step, 1.0, 2.0, {"row/term": 0.5})


@pytest.mark.promise(
    "ENOSPC, EIO, EROFS or EDQUOT at any file call: a sentence, nothing torn, the last good checkpoint loads."
)
@pytest.mark.parametrize("code", ERRORS)
def test_a_journal_on_a_disk_that_refuses_is_a_sentence_and_loses_no_line_that_was_written(tmp_path, code):
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    journal.start(0, 9, 1)
    journal.log(record(1))
    with faulty(failing_at(0, code)), pytest.raises(RunError, match=r"metrics\.jsonl: cannot be written: ") as refused:
        journal.log(record(2))
    assert str(refused.value).endswith(CURES[code])
    journal.end()
    assert [found["step"] for found in read_journal(path)] == [1]
    journal = Journal(path)
    journal.start(1, 9, 1)
    journal.log(record(2))
    journal.end()
    assert [found["step"] for found in read_journal(path)] == [1, 2]


@pytest.mark.parametrize("line", ["", "[]", "{}", '{"step": 1}', "nul", "\0", '{"step": true, "x": 1}', "[" * 100_000])
def test_lines_of_a_journal_that_are_none_are_left_out(tmp_path, line):
    path = tmp_path / "metrics.jsonl"
    journal = Journal(path)
    journal.start(0, 9, 1)
    journal.log(record(1))
    path.write_bytes(path.read_bytes() + line.encode() + b"\n\xff\n")
    journal.log(record(2))
    journal.log(record(2))
    journal.end()
    assert [found["step"] for found in read_journal(path)] == [1, 2]


def test_a_limit_on_the_size_of_files_is_a_sentence(scene):
    import resource

    scene.again()

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        with pytest.raises(RunError, match=f"File too large; {CURES[errno.EFBIG][:20]}"):
            scene.save()

    assert in_a_child(limited) == 0
    assert scene.found() == scene.before


def test_a_directory_that_knows_no_fsync_is_written_to(tmp_path, monkeypatch):
    real = os.fsync

    def fsync(file: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{file}"):
            raise OSError(errno.EINVAL, "Invalid argument")
        real(file)

    monkeypatch.setattr(os, "fsync", fsync)
    write_atomically(tmp_path / "file", b"new")
    assert (tmp_path / "file").read_bytes() == b"new"
