"""Forks builds in milliseconds: it has torch and the zoo in memory, warm, and one thread only.

``python -m helpers.server SOCKET``. A request is a line of JSON on a connection of its own. A supervisor, forked for
it, forks ``zoo ARGUMENTS``, or another module, sends the signals asked for, samples what the process holds, and
answers with what became of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import runpy
import select
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000  # linux/sched.h
MS_RDONLY, MS_REMOUNT, MS_REC, MS_PRIVATE = 1, 32, 1 << 14, 1 << 18  # linux/mount.h
_namespaces: list[str] = []
LOOK = 0.002
"""Seconds between two looks at a log that a signal waits for."""
GRACE = 2.0
"""Seconds that processes a build has started may outlive it."""
LONGEST = 120.0
"""Seconds after which a build counts as hung."""


def serve(path: str, recipe: str) -> None:
    """Builds a recipe once, so that whatever is imported and remembered is there, and forks from then on."""
    from zoo.cli import main

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "warm.yaml")
        file.write_text(recipe)
        with contextlib.redirect_stdout(sys.stderr):
            assert main(["build", str(file), "--out", str(Path(folder, "run"))]) == 0
    gc.collect()
    gc.freeze()  # a child that collects garbage would copy every page otherwise
    assert threading.active_count() == 1, threading.enumerate()
    assert len(os.listdir("/proc/self/task")) == 1, "forking beside other threads is not safe"
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors leave no zombies
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{path}.new")
        listening.listen(64)
        os.rename(f"{path}.new", path)
        while True:
            connection, _ = listening.accept()
            with connection, connection.makefile("rw") as lines:
                request = json.loads(lines.readline())
                if "mount" in request:  # here, where every later build is forked from
                    lines.write(json.dumps({"error": mounted(**request)}) + "\n")
                elif os.fork() == 0:
                    listening.close()
                    _answer(request, connection, lines)
                    os._exit(0)


def _answer(request: dict[str, Any], connection: socket.socket, lines: TextIO) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    lines.write(json.dumps(_supervised(request, connection)) + "\n")
    lines.flush()


# -- disks -------------------------------------------------------------------------------------------------


def mounted(mount: str, options: str, again: bool, read_only: bool) -> str:
    """Mounts a tmpfs that only this server and its builds see, in namespaces of their own.

    Args:
        mount: where.
        options: such as ``size=1m``.
        again: whether it is there and only changes.
        read_only: whether nothing may be written.

    Returns:
        why it could not be done; empty if it was.
    """
    if not _namespaces:
        if LIBC.unshare(CLONE_NEWNS | (CLONE_NEWUSER if os.getuid() else 0)):
            return os.strerror(ctypes.get_errno())
        _namespaces.append("mount")
        if uid := os.getuid():
            Path("/proc/self/setgroups").write_text("deny")
            Path("/proc/self/uid_map").write_text(f"0 {uid} 1")
        LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None)
    flags = MS_REMOUNT * again | MS_RDONLY * read_only
    failed = LIBC.mount(b"tmpfs", mount.encode(), b"tmpfs", flags, options.encode())
    return os.strerror(ctypes.get_errno()) if failed else ""


# -- the supervisor ----------------------------------------------------------------------------------------


def _supervised(request: dict[str, Any], connection: socket.socket) -> dict[str, Any]:
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        connection.close()
        _build(request)
    handle = os.pidfd_open(pid)
    ended = select.poll()
    ended.register(handle, select.POLLIN)
    samples: list[dict[str, float]] = []
    stop_sampling = _sampled(pid, request.get("sample", 0), begun, samples)
    for planned in request.get("signals", ()):
        if not _awaited(planned, Path(request["log"]), Path(request["cwd"]), ended):
            break
        os.kill(pid, planned["signal"])
    longest = request.get("longest", LONGEST)
    hung = not ended.poll(max(0.0, longest - (time.monotonic() - begun)) * 1000)
    if hung:
        os.kill(pid, signal.SIGKILL)
    stop_sampling()
    _, status, used = os.wait4(pid, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "hung": hung,
        "seconds": time.monotonic() - begun,
        "cpu": used.ru_utime + used.ru_stime,
        "orphans": _orphans(),
        "samples": samples,
    }


def _sampled(pid: int, every: float, begun: float, samples: list[dict[str, float]]) -> Callable[[], None]:
    """Samples what a process holds, from a thread; gives back what ends that."""
    over = threading.Event()

    def look() -> None:
        while not over.wait(every):
            if held := _held(pid):
                samples.append({"seconds": time.monotonic() - begun, **held})

    thread = threading.Thread(target=look)
    if every:
        thread.start()

    def end() -> None:
        over.set()
        if every:
            thread.join()

    return end


def _awaited(planned: dict[str, Any], log: Path, folder: Path, ended: select.poll) -> bool:
    """Waits for a word in the log and a file, then some seconds; whether the build is still there."""
    begun, made = time.monotonic(), planned.get("made")
    while planned.get("on", "") not in log.read_text(errors="replace") or (made and not list(folder.glob(made))):
        if ended.poll(LOOK * 1000) or time.monotonic() - begun > LONGEST:
            return False
    return not ended.poll(planned.get("after", 0.0) * 1000)


def _held(pid: int) -> dict[str, float]:
    """Resident MB, open files, threads."""
    try:
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        files = len(os.listdir(f"/proc/{pid}/fd"))
        return {"rss": int(status["VmRSS"].split()[0]) / 1024, "files": files, "threads": int(status["Threads"])}
    except (OSError, KeyError):  # it has just ended
        return {}


def _orphans() -> int:
    """How many processes of the build's live on; none of them does afterwards."""
    until = time.monotonic() + GRACE
    while time.monotonic() < until:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(LOOK)
        except ChildProcessError:
            return 0
    left = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    for pid in left:
        os.kill(int(pid), signal.SIGKILL)
    return len(left)


# -- the build ---------------------------------------------------------------------------------------------


def _build(request: dict[str, Any]) -> None:
    """``zoo ARGUMENTS`` as in a process of its own; does not return."""
    code = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
        os.chdir(request["cwd"])
        os.environ.update(request.get("env", {}))
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND)
        for number, fd in enumerate((os.open(os.devnull, os.O_RDONLY), log, log)):
            os.dup2(fd, number)
        for number in request.get("unheard", ()):
            _unheard(number)
        for number in request.get("ignored", ()):
            signal.signal(number, signal.SIG_IGN)
        for name, limit in request.get("limits", {}).items():
            resource.setrlimit(getattr(resource, name), (limit, limit))
        if growth := request.get("growth"):
            limit = int(_address_space() * (1 + growth))
            resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        code = _ran(request.get("module", "zoo"), request["arguments"])
        sys.stdout.flush()
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 1
    except BaseException:  # noqa: BLE001 - as an interpreter would: on stderr, 1
        import traceback

        traceback.print_exc()
        code = 1
    finally:
        os._exit(code)


def _ran(module: str, arguments: list[str]) -> int:
    """Runs a module as a program; its exit code."""
    if module == "zoo":
        from zoo.cli import main

        return main(arguments)
    sys.argv[1:] = arguments
    runpy.run_module(module, run_name="__main__", alter_sys=True)
    return 0


def _address_space() -> int:
    """Of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _unheard(number: int) -> None:
    """A descriptor becomes a pipe that nobody reads."""
    read, write = os.pipe()
    os.dup2(write, number)
    os.close(read)
    os.close(write)


if __name__ == "__main__":
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # no server outlives its tests
    serve(sys.argv[1], sys.stdin.read())
