"""The client of ``server.py``: processes that have torch and the zoo at once, for the price of a fork."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

START = 120.0
"""Seconds that the server may take to start."""


@dataclass(frozen=True)
class Life:
    """What became of a process.

    Args:
        code: its exit code; a signal that ended it, negative.
        log: what it printed, on stdout and stderr.
        seconds: how long it lived.
        cpu: how much of a processor it used, in seconds.
        orphans: processes it left behind.
        samples: what it held, now and then: ``seconds``, ``rss`` in MB, ``files``, ``threads``.
    """

    code: int
    log: str
    seconds: float
    cpu: float
    orphans: int
    samples: tuple[dict[str, float], ...]


class Forks:
    """A server of forks; a context manager. Threads may ask it at the same time.

    Args:
        warm: the recipe it builds once before it forks.
    """

    def __init__(self, warm: str) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="zoo-")  # a socket's path must be short
        self._path = str(Path(self._folder.name, "forks"))
        self._said = Path(self._folder.name, "said")
        with self._said.open("w") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "helpers.server", self._path],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.PIPE,
                stdout=said,
                stderr=said,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
        assert self._process.stdin
        self._process.stdin.write(warm.encode())
        self._process.stdin.close()
        until = time.monotonic() + START
        while not Path(self._path).exists():
            assert self._process.poll() is None, self._said.read_text()
            assert time.monotonic() < until, "the server of forks does not start"
            time.sleep(0.01)

    def __enter__(self) -> Forks:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def zoo(self, *arguments: object, cwd: Path, signals: Sequence[dict[str, Any]] = (), **more: Any) -> Life:
        """``zoo ARGUMENTS``, to its end.

        Args:
            arguments: of the command line.
            cwd: where.
            signals: sent one after the other: ``signal``, ``after`` so many seconds, first waiting until the log
                holds ``on`` and a file ``made`` is there, by a pattern below ``cwd``.
            more: ``module``, another program, as ``python -m MODULE ARGUMENTS``; ``env``; ``ignored``, signals;
                ``limits``, ``RLIMIT_...`` -> number; ``growth``, by what share its address space may grow;
                ``unheard``, descriptors whose reader has left; ``sample``, seconds between two samples; ``longest``,
                seconds after which it counts as hung.
        """
        descriptor, log = tempfile.mkstemp(dir=self._folder.name)
        os.close(descriptor)
        request = {"arguments": list(map(str, arguments)), "cwd": str(cwd), "log": log, "signals": list(signals)}
        answer = self._ask({**request, **more})
        said = Path(log).read_text(errors="replace")
        Path(log).unlink()
        assert not answer.pop("hung"), f"zoo {' '.join(map(str, arguments))} hangs: {said}"
        return Life(log=said, **{**answer, "samples": tuple(answer["samples"])})

    def ranks(self, count: int, *arguments: object, cwd: Path, **more: Any) -> list[Life]:
        """``zoo ARGUMENTS`` as ``torchrun --nproc-per-node COUNT`` starts it: what became of each, by its rank.

        Args:
            count: of processes.
            arguments: of the command line.
            cwd: where.
            more: as ``zoo`` takes it, but for ``env``.
        """
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free.getsockname()[1]), "WORLD_SIZE": str(count)}

        def one(rank: int) -> Life:
            env = {**shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "LOCAL_WORLD_SIZE": str(count)}
            return self.zoo(*arguments, cwd=cwd, env=env, **more)

        with ThreadPoolExecutor(count) as together:
            return list(together.map(one, range(count)))

    def mount(self, folder: Path, options: str, *, again: bool = False, read_only: bool = False) -> str:
        """Mounts a tmpfs that only builds see, or changes it; tells why it could not be done, if so."""
        return self._ask({"mount": str(folder), "options": options, "again": again, "read_only": read_only})["error"]

    def seen(self, path: Path) -> Path:
        """A file as builds see it."""
        return Path(f"/proc/{self._process.pid}/root{path}")

    def _ask(self, request: dict[str, Any]) -> Any:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(self._path)
            with connection.makefile("rw") as lines:
                lines.write(json.dumps(request) + "\n")
                lines.flush()
                return json.loads(lines.readline())
