"""Processes that decode images, so that an image that crashes, hangs or fills the memory is named.

They are started afresh, with no thread, lock or open file of this process, and import neither torch nor the user's
script. Forking a process that has torch's threads may hang; multiprocessing's spawn runs the user's script again.
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
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict
from itertools import islice
from multiprocessing.connection import wait
from threading import Thread
from typing import Any

from zoo_data.bad import Bad, printable
from zoo_data.decode import Chunk, Content, MachineError, View, decode_chunk

Items = list[tuple[str, Content]]

IMAGE_SECONDS = 120
"""Longest silence of a process, between two images or before its first."""
TICK_SECONDS = 0.5
"""How often silence is looked for."""
LEAVE_SECONDS = 2
"""How long a killed process is waited for; one that reads from a dead disk may not even die."""
AHEAD = 2
"""Chunks handed out for each process beyond the one that is due."""
CRASHES = {signal.SIGSEGV, getattr(signal, "SIGBUS", None), signal.SIGFPE, signal.SIGILL, signal.SIGABRT}
"""How a decoder ends that an image led astray."""
CURE = "set workers to 1 for one process and little memory, or remove the image"

START = "import json, sys; path, *rest = json.loads(sys.argv[1]); sys.path[:] = path; from zoo_data import workers; "


def decoded(chunks: Iterator[Items], view: View, workers: int) -> Generator[Chunk, None, None]:
    """What each chunk of images comes to, in order, decoded by several processes. To be closed.

    An image that crashes its process is bad, and the others of its chunk are decoded again.

    Raises:
        MachineError: if a process was killed, hangs, or cannot be started.
    """
    with ExitStack() as stack:
        yield from _in_order(enumerate(chunks), _Pool(view, workers, stack))


def _in_order(tasks: Iterator[tuple[int, Items]], pool: "_Pool") -> Iterator[Chunk]:
    done: dict[int, Chunk] = {}
    due = handed = 0
    while True:
        while due in done:
            yield done.pop(due)
            due += 1
        for task in islice(tasks, max(0, due + AHEAD * pool.most - handed)):
            pool.tasks.append(task)
            handed += 1
        if due == handed:
            return
        done.update(pool.answers())


class _Pool:
    """Up to ``most`` processes, started as they are needed."""

    def __init__(self, view: View, most: int, stack: ExitStack) -> None:
        self.most = most
        self.tasks: deque[tuple[int, Items]] = deque()
        self._view = view
        self._stack = stack
        self._workers: list[_Worker] = []
        self._heard = time.monotonic()

    def answers(self) -> Iterator[tuple[int, Chunk]]:
        """Hands out what there is to do, and waits a tick for what is done."""
        self._hand_out()
        talking = set(wait([worker.socket for worker in self._workers if worker.busy], TICK_SECONDS))
        now = time.monotonic()
        # A process that was suspended finds its clock far ahead.
        passed, self._heard = min(now - self._heard, TICK_SECONDS), now
        for worker in list(self._workers):
            if worker.socket not in talking:
                worker.tick(passed)
            elif (answer := self._answer(worker)) is not None:
                yield answer

    def _hand_out(self) -> None:
        busy = sum(worker.busy for worker in self._workers)
        for _ in range(min(self.most, busy + len(self.tasks)) - len(self._workers)):
            self._workers.append(self._stack.enter_context(_Worker(self._view)))
        for worker in self._workers:
            if self.tasks and not worker.busy:
                worker.give(*self.tasks.popleft())

    def _answer(self, worker: "_Worker") -> tuple[int, Chunk] | None:
        try:
            return worker.take()
        except _Crashed as crash:
            self._workers.remove(worker)
            self.tasks.appendleft((crash.index, crash.items))
            return None


class _Crashed(Exception):
    """A process crashed; the task to do again, with the image that did it known as bad."""

    def __init__(self, index: int, items: Items) -> None:
        self.index, self.items = index, items


class _Worker:
    """One process: busy from its start until it says that it is there, and from each task until its answer."""

    def __init__(self, view: View) -> None:
        self.busy = True
        self._index, self._items = -1, Items()
        self._begun, self._silent = 0, 0.0
        self.socket, theirs = socket.socketpair()
        self._beats, beat = os.pipe()
        try:
            self._process = _start(theirs.fileno(), beat, view)
        except OSError as error:
            self.socket.close()
            os.close(self._beats)
            why = f"no process can be started to decode images ({error.strerror})"
            raise MachineError(f"{why}; set workers to 1 to do without") from None
        finally:
            theirs.close()
            os.close(beat)
        os.set_blocking(self._beats, False)
        self.socket.settimeout(IMAGE_SECONDS)
        self._link = self.socket.makefile("rwb")

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the process, whatever it is at."""
        self._process.kill()
        with suppress(OSError):  # what it was never told
            self._link.close()
        self.socket.close()
        os.close(self._beats)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(LEAVE_SECONDS)

    def give(self, index: int, items: Items) -> None:
        """A task, to one that is not busy."""
        self.busy = True
        self._index, self._items, self._begun, self._silent = index, items, 0, 0.0
        try:
            pickle.dump(items, self._link)
            self._link.flush()
        except TimeoutError:
            raise self._hung() from None
        except OSError:
            pass  # it is gone: what reads its answer finds out how

    def take(self) -> tuple[int, Chunk] | None:
        """Its answer; None for its first word.

        Raises:
            MachineError: if it was killed, or says so.
            _Crashed: if it crashed.
        """
        try:
            answer = pickle.load(self._link)
        except TimeoutError:
            raise self._hung() from None
        except (OSError, EOFError, pickle.UnpicklingError):
            raise self._ended() from None
        self._count()
        self.busy = False
        if isinstance(answer, MachineError):
            raise answer
        return None if answer is None else (self._index, answer)

    def tick(self, seconds: float) -> None:
        """Notices that it has been silent for some more.

        Raises:
            MachineError: if it has been for too long.
        """
        self._silent = 0.0 if self._count() or not self.busy else self._silent + seconds
        if self._silent >= IMAGE_SECONDS:
            raise self._hung()

    def _count(self) -> int:
        """Images begun since the last time."""
        try:
            beats = len(os.read(self._beats, 1 << 16))
        except BlockingIOError:
            beats = 0
        self._begun += beats
        return beats

    @property
    def _at(self) -> str:
        """The image it is at."""
        self._count()
        return printable(self._items[self._begun - 1][0]) if self._begun else "an image"

    def _hung(self) -> MachineError:
        why = f"has not been decoded in {IMAGE_SECONDS} s: its disk is away, or it has no end"
        return MachineError(f"{self._at} {why}; see that it can be read, or remove it")

    def _ended(self) -> Exception:
        try:
            code = self._process.wait(LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            return self._hung()
        at = self._at
        if self._begun and -code in CRASHES:
            items, last = list(self._items), self._begun - 1
            items[last] = (items[last][0], Bad(items[last][0], f"crashes the decoder, {signal.Signals(-code).name}"))
            return _Crashed(self._index, items)
        how = f"ended (exit status {code})"
        if -code in CRASHES:
            how = f"crashed ({signal.Signals(-code).name})"
        elif code < 0:
            how = f"was killed ({signal.Signals(-code).name}), by the system for want of memory or by hand"
        return MachineError(f"{at} was being decoded when its process {how}; {CURE}")


def _start(link: int, beat: int, view: View) -> subprocess.Popen[bytes]:
    """A process that listens; Ctrl-C is not for it, and is kept from it before it could say so itself."""
    about = json.dumps([list(map(str, sys.path)), link, beat, os.getpid(), asdict(view)])
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-c", f"{START}workers.serve(*rest)", about],
            pass_fds=(link, beat),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def serve(link: int, beat: int, parent: int, view: dict[str, Any]) -> None:
    """What a process does: a chunk for each list of items, until there is nobody to ask for one."""
    Thread(target=_leave_after, args=(parent,), daemon=True).start()
    with socket.socket(fileno=link) as ours, ours.makefile("rwb") as file:
        pickle.dump(None, file)
        file.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # libtiff's remarks on every damaged file
        while True:
            try:
                items = pickle.load(file)
            except EOFError:
                return
            pickle.dump(_answer(items, View(**view), beat), file)
            file.flush()


def _answer(items: Items, view: View, beat: int) -> Chunk | MachineError:
    try:
        return decode_chunk(items, view, lambda: os.write(beat, b"."))
    except MachineError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever it is: only its words are sure to reach the parent
        return MachineError(f"a process that decodes images failed ({type(error).__name__}: {error}); {CURE}")


def _leave_after(parent: int) -> None:
    """Ends this process when its parent is gone: what waits for an image would not see that the socket is closed."""
    while os.getppid() == parent:
        time.sleep(TICK_SECONDS)
    os._exit(1)
