"""What goes wrong on purpose: images that crash, hang or fail their decoder, calls that fail, processes of our own."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from zoo_data.listed import File

# -- images ----------------------------------------------------------------------------------------------------


class Unpicklable(Exception):
    """Cannot travel to another process."""

    def __init__(self) -> None:
        super().__init__("a lambda:", lambda: None)


def _signal(number: int) -> Callable[[], None]:
    return lambda: os.kill(os.getpid(), number)


def _raise(error: BaseException) -> None:
    raise error


ACTS: dict[str, Callable[[], object]] = {
    "crash": _signal(signal.SIGSEGV),
    "abort": _signal(signal.SIGABRT),
    "killed": _signal(signal.SIGKILL),
    "stopped": _signal(signal.SIGSTOP),
    "exit": lambda: os._exit(3),
    "hang": lambda: time.sleep(1000),
    "unpicklable": lambda: _raise(Unpicklable()),
    "memory": lambda: _raise(MemoryError()),
    "disk": lambda: _raise(OSError(5, os.strerror(5))),
}


class Acting(File):
    """An image file whose name is what it does when it is opened."""

    def open(self) -> BinaryIO:
        ACTS[self.path.name]()
        return super().open()


class Unpickled:
    """Does it when it is unpickled: before any image of its chunk is begun."""

    def __init__(self, act: str) -> None:
        self.act = act

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return _act, (self.act,)


def _act(name: str) -> object:
    return ACTS[name]()


# -- calls -----------------------------------------------------------------------------------------------------

TOUCHES = {
    *("open", "read", "readall", "write", "truncate", "seek", "flush", "fsync", "mmap"),
    *("stat", "fstat", "mkdir", "unlink", "replace", "flock", "statvfs"),
}
"""Calls that reach a file, or what holds it, by the names of Python's functions in C."""
CLOSES = {"close", "__exit__"}
"""Calls that close a file whether they fail or not."""
WATCHED = ("zoo_data/cache.py", "zoo_data/part.py", "filelock", "pathlib", "shutil.py", "contextlib.py")
"""Where such a call counts."""


@contextmanager
def faults(at: int, fault: Callable[[], object]) -> Iterator[list[str]]:
    """``fault`` runs instead of the call number ``at`` (from 0) of packing that reaches a file; gives those seen."""
    seen: list[str] = []

    def watch(frame: FrameType, event: str, argument: object) -> None:
        name = getattr(argument, "__name__", "")
        closes = event == "c_return" and name in CLOSES and type(getattr(argument, "__self__", 0)).__module__ == "_io"
        touches = event == "c_call" and name in TOUCHES
        if not (closes or touches) or not any(part in frame.f_code.co_filename for part in WATCHED):
            return
        seen.append(name)
        if len(seen) == at + 1:
            fault()  # what it raises, the call raises; Python then watches no more

    sys.setprofile(watch)
    try:
        yield seen
    finally:
        sys.setprofile(None)


@contextmanager
def unprivileged() -> Iterator[Path]:
    """A new directory that all may enter, and in it the rights of nobody where root's would open everything."""
    root = os.geteuid() == 0
    place = Path(tempfile.mkdtemp())
    place.chmod(0o777)
    try:
        yield place
    finally:
        if root:
            os.seteuid(0)
        shutil.rmtree(place)


def become_nobody() -> None:
    """Root's rights are put aside until ``unprivileged`` ends."""
    if os.geteuid() == 0:
        os.seteuid(65534)


# -- processes -------------------------------------------------------------------------------------------------


def forked(act: Callable[[], object]) -> int:
    """The number of a process that does ``act`` and ends: 0 as it should, 1 with a traceback."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # threads of torch that are not in use
        child = os.fork()
    if child:
        return child
    code = 1
    try:
        act()
        code = 0
    except BaseException:  # noqa: BLE001 - said, and known by its status
        traceback.print_exc()
    finally:
        os._exit(code)


def ended(child: int) -> int:
    """Waits for it; its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def alive(process: int) -> bool:
    """Whether it runs: nobody may have asked yet how one ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


OTHERS: set[int] = set()
"""Processes that other tests started, such as the server of forks, and that go on."""


def children(process: int) -> list[int]:
    """Processes it started that run, but for ``OTHERS``."""
    found = {int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()} - OTHERS
    return [one for one in sorted(found) if _parent(one) == process and alive(one)]


def _parent(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0


def until(true: Callable[[], object], seconds: float = 60) -> None:
    """Waits for something to become true."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.01)
