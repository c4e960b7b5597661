"""Processes that decode images, so that an image that crashes, hangs or fills the memory is named.

They are started afresh, with no thread, lock or open file of this process, and import neither torch nor the user's
script. Forking a process that has torch's threads may hang; multiprocessing's spawn runs the user's script again;
concurrent.futures' pool hangs in Python 3.11.2 when it is killed with work in its pipe, and misses some crashes.
Each is spoken to through a socket of its own. It leaves when that closes, or when its parent is gone.
"""

import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

import numpy as np

from zoo_data.bad import Bad, printable
from zoo_data.decode import Chunk, Content, MachineError, View, decode_chunk

Items = list[tuple[str, Content]]

IMAGE_SECONDS = 120
"""Longest that an image may take by itself, and a process to start."""
CHUNK_SECONDS = 300
"""Longest that a chunk of images may take, before it is decoded again image by image."""
TICK_SECONDS = 0.5
"""How often that is looked for."""
LEAVE_SECONDS = 2
"""How long a killed process is waited for; one that reads from a dead disk may not even die."""
AHEAD = 2
"""Chunks handed out for each process beyond the one that is due."""
CRASHES = {"SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGABRT"}
"""How a decoder ends that an image led astray."""
NO_PROCESS = "no process can be started to decode images ({}); set workers to 1 to do without"
START = "import json, sys; path, *rest = json.loads(sys.argv[1]); sys.path[:] = path; from zoo_data import workers; "


def decoded(chunks: Iterator[Items], view: View, workers: int) -> Generator[Chunk, None, None]:
    """Decodes chunks of images in several processes; gives them in order. To be closed.

    A chunk whose process ended or was silent for too long is decoded again image by image.

    Raises:
        MachineError: if an image's process is killed or hangs, or none can be started.
    """
    tasks, done, due, handed = enumerate(chunks), dict[int, Chunk](), 0, 0
    pool: list[_Process] = []
    try:
        while True:
            while due in done:
                yield done.pop(due)
                due += 1
            busy = sum(process.busy for process in pool)
            todo = list(islice(tasks, min(workers - busy, due + AHEAD * workers - handed)))
            while len(pool) < busy + len(todo):
                pool.append(_Process(view))
            for task, process in zip(todo, [process for process in pool if not process.busy], strict=False):
                process.give(*task)
            handed += len(todo)
            if due == handed:
                return
            working = [process for process in pool if process.busy]
            ready = wait(working, TICK_SECONDS)
            for process in working:
                if process in ready and (chunk := process.take()):
                    done[process.index] = chunk
                elif process in ready or time.monotonic() > process.late:
                    process.end()
                    pool.remove(process)
                    done[process.index] = _one_by_one(process.items, view)
    finally:
        for process in pool:
            process.end()


def _one_by_one(items: Items, view: View) -> Chunk:
    """A chunk decoded an image at a time, in a process of its own that is replaced when it crashes."""
    chunks, process = [decode_chunk([], view)], None
    try:
        for name, content in items:
            if process is None:
                process = _Process(view)
                if process.ask([]) is None:
                    raise MachineError(NO_PROCESS.format(process.how() or "it hangs"))
            chunk = process.ask([(name, content)])
            if chunk is None:
                bad = _judged(name, process.how())
                process.end()
                chunk, process = decode_chunk([(name, bad)], view), None
            chunks.append(chunk)
    finally:
        if process:
            process.end()
    pixels = np.concatenate([chunk.pixels for chunk in chunks])
    return Chunk(pixels, [bad for chunk in chunks for bad in chunk.bad], len(items))


def _judged(name: str, how: str) -> Bad:
    """An image whose process ended, or hangs where ``how`` is empty: bad, if it crashed.

    Raises:
        MachineError: else; it may not be the image's fault.
    """
    if how in CRASHES:
        return Bad(name, f"crashes the decoder, {how}")
    if not how:
        why = f"has not been decoded in {IMAGE_SECONDS} s: its disk is away, or it has no end"
        raise MachineError(f"{printable(name)} {why}; see that it can be read, or remove it")
    by = ", by the system for want of memory or by hand"
    ended = f"was killed ({how}){by}" if how.startswith("SIG") else f"ended ({how})"
    cure = "set workers to 1 for one process and little memory, or remove the image"
    raise MachineError(f"{printable(name)} was being decoded when its process {ended}; {cure}")


class _Process:
    """A process that decodes one chunk after another."""

    def __init__(self, view: View) -> None:
        self.busy, self.index, self.items, self.late = False, 0, Items(), 0.0
        self._socket, theirs = socket.socketpair()
        with theirs:
            try:
                self._process = _start(theirs.fileno(), view)
            except OSError as error:
                self._socket.close()
                raise MachineError(NO_PROCESS.format(error.strerror)) from None
        self._socket.settimeout(IMAGE_SECONDS)
        self._link = self._socket.makefile("rwb")
        self.fileno = self._socket.fileno

    def ask(self, items: Items) -> Chunk | None:
        """Has images decoded; None if the process ended or is silent."""
        self.give(0, items)
        return self.take()

    def give(self, index: int, items: Items) -> None:
        """Hands out a chunk, to one that is not busy."""
        self.busy, self.index, self.items, self.late = True, index, items, time.monotonic() + CHUNK_SECONDS
        with suppress(OSError):  # it is gone, or takes nothing: so there will be no answer
            pickle.dump(items, self._link)
            self._link.flush()

    def take(self) -> Chunk | None:
        """Its answer; None if it ended or is silent.

        Raises:
            MachineError: if that is the answer.
        """
        try:
            answer: Chunk | MachineError = pickle.load(self._link)
        except (OSError, EOFError, pickle.UnpicklingError):
            return None
        self.busy = False
        if isinstance(answer, MachineError):
            raise answer
        return answer

    def end(self) -> None:
        """Ends it, whatever it is at."""
        self._process.kill()
        with suppress(OSError):  # what it was never told
            self._link.close()
        self._socket.close()
        self.how()

    def how(self) -> str:
        """How it ended: a signal's name or ``exit status 3``; empty if it goes on."""
        try:
            code = self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        return signal.Signals(-code).name if code < 0 else f"exit status {code}"


def _start(link: int, view: View) -> subprocess.Popen[bytes]:
    """A process that listens; Ctrl-C is not for it, and is kept from it before it could say so itself."""
    about = json.dumps([list(map(str, sys.path)), link, os.getpid(), asdict(view)])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-c", f"{START}workers.serve(*rest)", about],
            pass_fds=(link,),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(link: int, parent: int, view: dict[str, Any]) -> None:
    """Answers each list of items with a chunk, until there is nobody to ask for one."""
    Thread(target=_leave_after, args=(parent,), daemon=True).start()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff's remarks on every damaged file
    with socket.socket(fileno=link) as ours, ours.makefile("rwb") as file, suppress(EOFError):
        while True:
            items = pickle.load(file)
            try:
                answer: Chunk | MachineError = decode_chunk(items, View(**view))
            except MachineError as error:
                answer = error
            pickle.dump(answer, file)
            file.flush()


def _leave_after(parent: int) -> None:
    """Ends this process when its parent is gone: what waits for an image would not see that the socket is closed."""
    while os.getppid() == parent:
        time.sleep(TICK_SECONDS)
    os._exit(1)
