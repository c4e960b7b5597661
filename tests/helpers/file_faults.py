"""Breaks or kills at one file call after another: every call of ``os`` of ``zoo.machine.disk`` and ``zoo.runs.run``."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

CALLS = ("open", "write", "fsync", "close", "replace", "unlink", "mkdir")
"""What a save asks of the operating system."""
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT)

Fault = Callable[[str, Callable[..., Any], tuple[Any, ...], dict[str, Any]], Any]
"""(name, the real call, its arguments) -> what it gives."""


@contextmanager
def faulty(fault: Fault, calls: Sequence[str] = CALLS) -> Iterator[None]:
    """Inside, every file call goes through ``fault``."""

    def wrapped(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **named: fault(name, real, args, named)

    with pytest.MonkeyPatch.context() as patch:
        for name in calls:
            patch.setattr(os, name, wrapped(name, getattr(os, name)))
        yield


def calls_of(work: Callable[[], None]) -> list[str]:
    """The file calls that some work makes, in order."""
    seen: list[str] = []

    def note(name: str, real: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        seen.append(name)
        return real(*args, **named)

    with faulty(note):
        work()
    return seen


def failing_at(number: int, code: int) -> Fault:
    """The call of this number, from 0, is refused; a write that is refused has already written half."""
    count = iter(range(10**9))

    def fail(name: str, real: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        if next(count) != number:
            return real(*args, **named)
        if name == "write":
            real(args[0], memoryview(args[1])[: len(args[1]) // 2])
        if name == "close":
            real(*args, **named)
        raise OSError(code, os.strerror(code))

    return fail


def killed_at(number: int, when: str) -> Fault:
    """The process is killed ``before`` the call of this number, in the ``middle`` of it, or ``after`` it."""
    count = iter(range(10**9))

    def kill(name: str, real: Callable[..., Any], args: tuple[Any, ...], named: dict[str, Any]) -> Any:
        hit = next(count) == number
        if hit and when == "middle" and name == "write":
            real(args[0], memoryview(args[1])[: len(args[1]) // 2])
        if hit and when != "after":
            os.kill(os.getpid(), signal.SIGKILL)
        try:
            return real(*args, **named)
        finally:
            if hit:
                os.kill(os.getpid(), signal.SIGKILL)

    return kill


def in_a_child(work: Callable[[], None]) -> int:
    """Does it in a forked process; returns how that ended: 0, or minus the signal's number."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException:  # noqa: BLE001 - of a copy of the test's process nothing may go on
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
