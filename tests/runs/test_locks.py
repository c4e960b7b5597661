"""A lock is held by a process that lives, also where the file system knows no locks."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.file_faults import in_a_child
from zoo_data import cache

from zoo import api
from zoo.errors import Busy, RequestError
from zoo.runs.run import Run

REFUSED = "A lock that the system refuses is no busy run; where it knows none, a file names the process instead."
PROMISE = "A second process on the same run is refused; a lock whose holder was killed blocks nobody."
LOCKLESS = (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP)


@pytest.fixture(params=(0, *LOCKLESS), ids=["locks", "ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def answer(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """What the file system says to who asks for a lock, here and in processes that are forked."""
    if request.param:
        refuse(monkeypatch, request.param)
    return int(request.param)


def refuse(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def flock(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", flock)


def killed_holding(hold: Callable[[], object]) -> None:
    """A process takes a lock and is killed."""

    def die() -> None:
        held = hold()
        os.kill(os.getpid(), signal.SIGKILL)
        print(held)

    assert in_a_child(die) == -signal.SIGKILL


@pytest.mark.promise(PROMISE)
@pytest.mark.usefixtures("answer")
def test_a_run_belongs_to_one_process_that_lives(tmp_path: Path) -> None:
    with Run(tmp_path):

        def second() -> None:
            begin = time.monotonic()
            with pytest.raises(Busy, match="another process is building here; wait for it"):
                Run(tmp_path)
            assert time.monotonic() - begin < 5

        assert in_a_child(second) == 0
        second()
    Run(tmp_path).close()
    killed_holding(lambda: Run(tmp_path))
    with Run(tmp_path), pytest.raises(Busy):
        Run(tmp_path)


@pytest.mark.promise(PROMISE)
def test_a_killed_process_blocks_nobody_though_its_workers_live(tmp_path: Path) -> None:
    """A worker that was forked has the files of its parent."""

    def die() -> None:
        run = Run(tmp_path)
        worker = os.fork()
        if not worker:
            time.sleep(60)
            os._exit(0)
        (tmp_path / "state" / "worker").write_text(str(worker))
        os.kill(os.getpid(), signal.SIGKILL)
        print(run)

    assert in_a_child(die) == -signal.SIGKILL
    try:
        Run(tmp_path).close()
    finally:
        os.kill(int((tmp_path / "state" / "worker").read_text()), signal.SIGKILL)


@pytest.mark.promise(REFUSED)
def test_a_lock_of_what_is_left_of_an_old_run_is_free(tmp_path: Path, answer: int) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock").touch()
    with Run(tmp_path):
        names = {"lock", "lock.pid"} if answer else {"lock"}
        assert {path.name for path in (tmp_path / "state").iterdir()} == names
    assert {path.name for path in (tmp_path / "state").iterdir()} == {"lock"}


@pytest.mark.promise(REFUSED)
def test_a_lock_that_cannot_be_asked_for_is_not_a_busy_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse(monkeypatch, errno.EIO)
    with pytest.raises(RequestError) as caught:
        Run(tmp_path)
    cure = "the disk failed; look at it (dmesg), or copy the run to another and go on there"
    assert str(caught.value) == f"{tmp_path}: cannot be written: Input/output error; {cure}"


@pytest.mark.promise(REFUSED)
def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RequestError, match="cannot be written: "):
        Run(tmp_path)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.usefixtures("answer")
def test_who_waits_says_so_once_and_has_it_when_it_is_free(tmp_path: Path) -> None:
    first = api.locked(tmp_path / "lock")
    assert first is not None
    assert api.locked(tmp_path / "lock") is None
    said: list[int] = []

    def waiting() -> None:
        said.append(1)
        first.release()

    second = api.locked(tmp_path / "lock", waiting)
    assert (second is not None, said) == (True, [1])
    assert api.locked(tmp_path / "lock") is None


@pytest.mark.promise(PROMISE)
@pytest.mark.usefixtures("answer")
def test_a_cache_is_packed_by_one_and_the_others_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    entry = cache.Entry("set", (3, 8, 8))
    killed_holding(entry.held().__enter__)
    said: list[str] = []
    monkeypatch.setattr(cache.Entry, "_waits", lambda entry: said.append(entry.name))
    with entry.held():
        child = os.fork()
        if not child:
            with entry.held():
                os._exit(7 if said else 8)
        time.sleep(0.5)
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert said == []
