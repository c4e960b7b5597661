"""Packing when the machine fails: workers that crash, hang or are killed, a cache that cannot be written or lies."""

from __future__ import annotations

import errno
import os
import re
import shutil
import signal
import time
import zlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.data import random_pixels
from helpers.faults import (
    OTHERS,
    Acting,
    Unpickled,
    alive,
    become_nobody,
    children,
    ended,
    faults,
    forked,
    unprivileged,
    until,
)
from PIL import Image
from zoo_data import cache, decode, pack, workers
from zoo_data.decode import View
from zoo_data.folder import folder
from zoo_data.listed import CHANGED, File, signature
from zoo_data.sources import Source, files_source

VIEW = View(8, 3)
CURE = r"set ZOO_CACHE to a folder that has room and can be written"
ACTED = [f"{i}.png" for i in range(10)]


@pytest.fixture(autouse=True, scope="module")
def others() -> None:
    """What runs before the first of these tests is none of theirs."""
    OTHERS.update(children(os.getpid()))


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch) -> Path:
    """An empty cache, and chunks of four images."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(pack, "CHUNK", 4)
    return tmp_path / "kept" / "data"


@pytest.fixture
def hasty(monkeypatch) -> None:
    """Two seconds of silence are too long."""
    monkeypatch.setattr(workers, "IMAGE_SECONDS", 2)
    monkeypatch.setattr(workers, "CHUNK_SECONDS", 2)
    monkeypatch.setattr(workers, "TICK_SECONDS", 0.1)


def acting(**acts: str) -> Source:
    """Ten images, of which some act; ``at5="crash"``."""
    arrays = random_pixels(10, 8, 8, 3)

    def items(start: int):
        for i in range(start, 10):
            act = acts.get(f"at{i}", "")
            yield ACTED[i], Acting(Path(act)) if act else arrays[i]

    return Source("set", "train", 10, items, sorted(acts.items()), "images")


def arrays_without(*bad: int) -> torch.Tensor:
    return torch.from_numpy(np.delete(random_pixels(10, 8, 8, 3), bad, 0).transpose(0, 3, 1, 2).copy())


# -- workers ---------------------------------------------------------------------------------------------------


@pytest.mark.promise(
    "A process that decodes images may crash, hang or be killed: a sentence names the image, no process is left."
)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_an_image_that_crashes_its_process_is_bad_and_no_other_is_lost(count, record_property):
    packed = pack.pack(acting(at0="crash", at5="abort", at9="crash"), VIEW, count + 1)
    assert [str(bad) for bad in packed.bad] == [
        "0.png (crashes the decoder, SIGSEGV)",
        "5.png (crashes the decoder, SIGABRT)",
        "9.png (crashes the decoder, SIGSEGV)",
    ]
    assert torch.equal(packed.pixels, arrays_without(0, 5, 9))
    assert children(os.getpid()) == []
    record_property("cases", 3)


ENDS = {
    "killed": "6.png was being decoded when its process was killed (SIGKILL), by the system for want of memory or by "
    "hand; set workers to 1 for one process and little memory, or remove the image.",
    "exit": "6.png was being decoded when its process ended (exit status 3); set workers to 1 for one",
    "hang": "6.png has not been decoded in 2 s: its disk is away, or it has no end; see that it can be read, or rem",
    "stopped": "6.png has not been decoded in 2 s: ",
    "memory": "6.png needs more memory than there is; set workers to 1, or remove it.",
    "disk": "6.png cannot be read (Input/output error), and not through a fault of its own; run again when it can.",
}


@pytest.mark.promise(
    "A process that decodes images may crash, hang or be killed: a sentence names the image, no process is left."
)
@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("act", ENDS)
def test_a_process_that_dies_hangs_or_meets_a_failure_is_a_sentence_with_the_image(act, record_property):
    with pytest.raises(OSError, match=f"^set: {re.escape(ENDS[act])}"):
        pack.pack(acting(at6=act), VIEW, 2)
    assert children(os.getpid()) == []
    record_property("cases", 1)


@pytest.mark.promise(
    "A process that decodes images may crash, hang or be killed: a sentence names the image, no process is left."
)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_ends_through_no_image_of_its_own_costs_nothing(end, monkeypatch, record_property):
    """Killed by hand, or by the system for what the others take: its images are decoded again."""
    start, ends = workers._start, [end]

    def ending(*arguments):
        process = start(*arguments)
        if ends:
            process.send_signal(ends.pop())
        return process

    monkeypatch.setattr(workers, "_start", ending)
    packed = pack.pack(acting(), VIEW, 2)
    assert (packed.bad, ends) == ((), [])
    assert torch.equal(packed.pixels, arrays_without())
    record_property("cases", 1)


STARTS = {
    "os._exit(3)": "exit status 3",
    "os.kill(os.getpid(), 11)": "SIGSEGV",
    "import time; time.sleep(1000)": "it hangs",
}
"""What Python runs first, and how that ends."""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("act", STARTS)
def test_a_process_that_never_decodes_is_a_sentence(act, monkeypatch, record_property):
    monkeypatch.setattr(workers, "START", f"import os; {act}; ")
    says = rf"^set: no process can be started to decode images \({STARTS[act]}\); set workers to 1 to do without\.$"
    with pytest.raises(OSError, match=says):
        pack.pack(acting(), VIEW, 2)
    assert children(os.getpid()) == []
    record_property("cases", 1)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    ("act", "says"),
    [
        ("exit", "a was being decoded when its process ended (exit status 3); set workers to 1 for"),
        ("hang", "a has not been decoded in 2 s: its disk is away"),
    ],
)
def test_an_image_that_ends_its_process_before_it_is_begun_is_named(act, says, record_property):
    of = Source("set", "train", 1, lambda _: iter([("a", Unpickled(act))]), [act], "images")
    with pytest.raises(OSError, match=f"^set: {re.escape(says)}"):
        pack.pack(of, VIEW, 2)
    record_property("cases", 1)


@pytest.mark.usefixtures("hasty")
def test_a_process_that_takes_nothing_is_a_sentence(monkeypatch):
    """Stopped before it reads its task, which is more than the socket holds."""
    start = workers._start

    def stopped(*arguments):
        process = start(*arguments)
        process.send_signal(signal.SIGSTOP)
        return process

    monkeypatch.setattr(workers, "_start", stopped)
    of = Source("set", "train", 1, lambda _: iter([("a", bytes(4 << 20))]), [], "images")
    with pytest.raises(OSError, match=r"^set: no process can be started to decode images \(it hangs\); set workers"):
        pack.pack(of, VIEW, 2)


def test_what_an_image_raises_is_its_reason_even_if_it_cannot_travel(record_property):
    packed = pack.pack(acting(at3="unpicklable"), VIEW, 2)
    assert [bad.name for bad in packed.bad] == ["3.png"]
    assert packed.bad[0].reason.startswith("('a lambda:', <function")
    assert torch.equal(packed.pixels, arrays_without(3))
    record_property("cases", 1)


def test_a_process_that_cannot_be_started_is_a_sentence(monkeypatch):
    def refusing(*_):
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(workers, "_start", refusing)
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(OSError, match=r"^set: no process can be started to decode images \(Resource temporarily un"):
        pack.pack(acting(), VIEW, 2)
    assert len(os.listdir("/proc/self/fd")) == descriptors


@pytest.mark.usefixtures("hasty")
def test_time_in_which_we_were_suspended_is_not_silence(monkeypatch):
    now = time.monotonic
    monkeypatch.setattr(workers.time, "monotonic", lambda: now() * 1e6)
    assert torch.equal(pack.pack(acting(), VIEW, 2).pixels, arrays_without())


@pytest.mark.promise(
    "A process that decodes images may crash, hang or be killed: a sentence names the image, no process is left."
)
def test_no_process_or_descriptor_is_left(record_property):
    before = len(os.listdir("/proc/self/fd"))
    for name in ("crash", "unpicklable"):
        pack.pack(acting(at1=name), VIEW, 3)
    assert (children(os.getpid()), len(os.listdir("/proc/self/fd"))) == ([], before)
    record_property("cases", 2)


@pytest.mark.promise(
    "A process that decodes images may crash, hang or be killed: a sentence names the image, no process is left."
)
@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_process_outlives_its_parent(end, record_property):
    """Even those that hang in an image, whatever ends the parent."""

    def act() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        pack.pack(acting(at0="hang", at4="hang"), VIEW, 2)

    parent = forked(act)
    until(lambda: len(children(parent)) == 2)
    time.sleep(0.5)  # both are in their image
    orphans = children(parent)
    os.kill(parent, end)
    assert ended(parent) != 0
    until(lambda: not any(map(alive, orphans)), 10)
    assert len(orphans) == 2
    record_property("cases", 2)


def test_ctrl_c_is_for_the_parent_alone(record_property, capfd):
    """A terminal sends it to all of a group: the processes say nothing, and end with their parent."""

    def act() -> None:
        os.setpgid(0, 0)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            pack.pack(acting(at0="hang", at4="hang"), VIEW, 2)
        except KeyboardInterrupt:
            assert children(os.getpid()) == []

    parent = forked(act)
    until(lambda: len(children(parent)) == 2)
    for _ in range(3):
        os.kill(children(parent)[0], signal.SIGINT)
    time.sleep(0.3)
    assert len(children(parent)) == 2
    os.killpg(parent, signal.SIGINT)
    assert ended(parent) == 0
    assert capfd.readouterr().err == ""
    record_property("cases", 3)


# -- the cache: calls that fail, and kills -----------------------------------------------------------------------


def ten() -> Source:
    return acting()


def calls() -> int:
    """How many calls of packing reach a file, in a cache that has packed before."""
    pack.pack(ten(), VIEW, 1)
    shutil.rmtree(cache.cache_folder())
    with faults(-1, lambda: None) as seen:
        pack.pack(ten(), VIEW, 1)
    shutil.rmtree(cache.cache_folder())
    return len(seen)


def failing(number: int) -> Callable[[], None]:
    def fault() -> None:
        raise OSError(number, os.strerror(number))

    return fault


FULL_OR_BROKEN = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room there"),
    **dict.fromkeys((errno.EIO, errno.EROFS), "make it writable"),
}
"""Error -> cure."""


@pytest.mark.promise("A cache of images that is killed or refused a file call anywhere is never taken for whole.")
@pytest.mark.parametrize("number", FULL_OR_BROKEN)
def test_every_call_may_fail(kept, number, monkeypatch, record_property):
    """The right pixels, or a sentence with place and cure where memory is too small; and the right ones afterwards."""
    count, sentences, descriptors = calls(), [], len(os.listdir("/proc/self/fd"))
    for at in range(count):
        monkeypatch.setattr(pack, "MEMORY_SHARE", at % 2)
        try:
            with faults(at, failing(number)) as seen:
                packed = pack.pack(ten(), VIEW, 1)
        except OSError as error:
            sentences.append((at % 2, str(error)))
        else:
            assert torch.equal(packed.pixels, arrays_without()), seen
            assert all(re.fullmatch(rf"set: .*{CURE}; the images are in mem.* again\.", note) for note in packed.notes)
        after = pack.pack(ten(), VIEW, 1)
        assert torch.equal(after.pixels, arrays_without()), seen
        assert after.notes == (), seen
        shutil.rmtree(kept)
    says = rf"packed images cannot be kept in {kept} \({os.strerror(number)}\); {FULL_OR_BROKEN[number]}, or {CURE}"
    assert [one for one in sentences if one[0] or not re.fullmatch(says, one[1])] == []
    assert len(sentences) > 10
    del packed, after  # a mapped file is an open one
    assert len(os.listdir("/proc/self/fd")) == descriptors
    record_property("cases", count)


@pytest.mark.promise("A cache of images that is killed or refused a file call anywhere is never taken for whole.")
def test_killed_at_every_call_nothing_is_taken_for_whole(kept, record_property):
    """Nor does the lock of the dead stop anybody."""
    count = calls()
    for at in range(count):
        child = forked(partial(_pack_until, at))
        assert ended(child) == -signal.SIGKILL
        after = pack.pack(ten(), VIEW, 1)
        assert torch.equal(after.pixels, arrays_without()), at
        assert after.notes == (), at
        shutil.rmtree(kept, ignore_errors=True)
    assert count > 40
    record_property("cases", count)


def _pack_until(at: int) -> None:
    with faults(at, lambda: os.kill(os.getpid(), signal.SIGKILL)):
        pack.pack(ten(), VIEW, 1)


@pytest.mark.promise("Sixteen processes with one cold cache pack it once.")
def test_sixteen_at_once_on_a_cold_cache_pack_once(tmp_path, monkeypatch, record_property):
    log = tmp_path / "log"

    def logging(items, view):
        with log.open("a") as file:
            file.write("a chunk\n")
        time.sleep(0.02)
        return decode.decode_chunk(items, view)

    monkeypatch.setattr(pack, "decode_chunk", logging)

    def act() -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        packed = pack.pack(ten(), VIEW, 1)
        assert torch.equal(packed.pixels, arrays_without())
        assert packed.notes == ()

    assert [ended(child) for child in [forked(act) for _ in range(16)]] == [0] * 16
    assert log.read_text().splitlines() == 3 * ["a chunk"]
    record_property("cases", 16)


# -- the cache: what lies ----------------------------------------------------------------------------------------


def spoil(path: Path, how: Callable[[bytearray], object]) -> None:
    """Changes a file's bytes, and not its times."""
    times, content = path.stat(), bytearray(path.read_bytes())
    how(content)
    path.write_bytes(content)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.promise("A damaged cache of images is noticed and packed again.")
@pytest.mark.parametrize("extension", [".u8", ".json"])
def test_every_damage_to_a_small_entry_is_noticed(kept, extension, record_property):
    """Bit flips, zeros and cuts that leave the times as they were."""
    rng = np.random.default_rng(0)
    pack.pack(ten(), VIEW, 1)
    (path,) = kept.glob(f"*{extension}")
    whole = path.read_bytes()
    for case in range(150):
        at, bit = int(rng.integers(len(whole))), 1 << int(rng.integers(8))
        if case % 3 == 0:
            spoil(path, lambda content, at=at, bit=bit: content.__setitem__(at, content[at] ^ bit))
        elif case % 3 == 1:
            spoil(
                path, lambda content, at=at: content.__setitem__(slice(at, at + 64), bytes(len(content[at : at + 64])))
            )
        else:
            spoil(path, lambda content, at=at: content.__delitem__(slice(at, None)))
        packed = pack.pack(ten(), VIEW, 1)
        assert torch.equal(packed.pixels, arrays_without())
        (note,) = packed.notes
        assert " was damaged (" in note
        (path,) = kept.glob(f"*{extension}")
    record_property("cases", 150)


def test_of_a_large_entry_a_sample_is_compared_and_all_of_it_when_asked(kept, monkeypatch, record_property):
    monkeypatch.setattr(cache, "SAMPLE_BYTES", 5 * 4 * VIEW.bytes)  # five chunks of ten
    monkeypatch.setattr(pack, "CHUNK", 4)
    arrays = random_pixels(40, 8, 8, 3)
    of = Source("set", "train", 40, lambda start: ((str(i), arrays[i]) for i in range(start, 40)), [], "images")

    def noticed(chunk: int) -> bool:
        pack.pack(of, VIEW, 1)
        (path,) = kept.glob("*.u8")
        spoil(path, lambda content: content.__setitem__(chunk * 4 * VIEW.bytes, content[chunk * 4 * VIEW.bytes] ^ 1))
        return bool(pack.pack(of, VIEW, 1).notes)

    assert noticed(0)
    assert noticed(9)
    shutil.rmtree(kept)
    assert not noticed(8)  # of the eight in between, each opening compares the next three
    assert pack.pack(of, VIEW, 1).notes
    monkeypatch.setenv("ZOO_CACHE_CHECK", "full")
    assert all(noticed(chunk) for chunk in range(10))
    record_property("cases", 14)


def test_a_check_that_is_none_is_a_sentence(monkeypatch):
    monkeypatch.setenv("ZOO_CACHE_CHECK", "fully")
    with pytest.raises(ValueError, match=r"^ZOO_CACHE_CHECK is 'fully'; choices: sample, full\.$"):
        pack.pack(ten(), VIEW, 1)


def test_pixels_that_turn_out_otherwise_than_written_are_not_taken(monkeypatch):
    """A disk that says yes and keeps something else."""
    crc32 = zlib.crc32
    monkeypatch.setattr(cache.zlib, "crc32", lambda content: crc32(content) ^ (len(content) > 500 and "x" in lying))
    lying = ["x"]
    monkeypatch.setattr("zoo_data.part.zlib", type("", (), {"crc32": staticmethod(crc32)}))
    packed = pack.pack(ten(), VIEW, 1)
    assert torch.equal(packed.pixels, arrays_without())
    assert "(of what was just written, its pixels are not those that were packed)" in packed.notes[0]


def test_more_pixels_than_memory_can_be_mapped(kept):
    entry = cache.Entry("large", (3, 8, 8))
    kept.mkdir(parents=True)
    size = 2 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with entry.file(".u8").open("wb") as file:
        file.truncate(size)
    assert len(entry._mapped(size)) == size


# -- rights ------------------------------------------------------------------------------------------------------


def painted(place: Path, count: int = 6) -> Path:
    place.mkdir(exist_ok=True)
    for i in range(count):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(place / f"{i}.png")
    return place


def reds(images) -> list[int]:
    return sorted(torch.cat([images.train, images.test])[:, 0, 0, 0].tolist())


def test_a_cache_that_can_only_be_read_serves_what_it_has(monkeypatch, record_property):
    with unprivileged() as place:
        monkeypatch.setenv("ZOO_CACHE", str(place / "cache"))
        options = {"path": str(painted(place / "images")), "size": 8, "workers": 1}
        folder(**options)
        for path in (place / "cache", place / "cache/data"):
            path.chmod(0o555)
        become_nobody()
        assert folder(**options).notes == ()
        cold = folder(**options | {"size": 4})
        assert reds(cold) == list(range(6))
        (note,) = cold.notes
        says = (
            rf"folder: packed images cannot be kept in {place}/cache/data \(Permission denied\); make it writable, or "
        )
        assert re.fullmatch(f"{says}{CURE}; the images are in memory, and will be decoded again\\.", note)
    record_property("cases", 2)


def test_files_and_directories_without_rights_are_named(monkeypatch, record_property):
    with unprivileged() as place:
        monkeypatch.setenv("ZOO_CACHE", str(place / "cache"))
        (place / "cache").mkdir()
        (place / "cache").chmod(0o777)
        painted(place / "images")
        painted(place / "images/locked")
        (place / "images/2.png").chmod(0)
        (place / "images/locked").chmod(0)
        become_nobody()
        options = {"path": str(place / "images"), "size": 8, "workers": 1}
        images = folder(**options)
        assert reds(images) == [0, 1, 3, 4, 5]
        (note,) = images.notes
        assert note.endswith("/images: 2.png (permission denied), locked (permission denied).")
        assert "skipped 2 of 7 files" in note
        with pytest.raises(ValueError, match=r"first 2\.png \(permission denied\); repair or remove them, or set on"):
            folder(**options, on_error="error")
    record_property("cases", 2)


# -- files that change between being listed and being read -------------------------------------------------------


CHANGES: dict[str, Callable[[Path], object]] = {
    "vanishes": lambda path: path.unlink(),
    "shrinks": lambda path: os.truncate(path, 30),
    "empties": lambda path: path.write_bytes(b""),
    "grows": lambda path: path.write_bytes(path.read_bytes() + b"more"),
    "is another": lambda path: Image.new("RGB", (8, 8), (99, 0, 0)).save(path),
    "is a directory": lambda path: (path.unlink(), path.mkdir()),
    "is a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
    "is a loop": lambda path: (path.unlink(), path.symlink_to(path)),
}


@pytest.mark.parametrize(("change", "process"), [*((one, 1) for one in CHANGES), ("vanishes", 2), ("is a pipe", 2)])
def test_a_file_that_changed_is_bad_once_and_not_for_ever(tmp_path, change, process, record_property):
    """By a process of its own too: one that raises, one that could hang."""
    place = painted(tmp_path / "images")
    names = [f"{i}.png" for i in range(6)]
    before, stat = (place / "3.png").read_bytes(), (place / "3.png").stat()
    of = files_source("set", "all", place, names)
    CHANGES[change](place / "3.png")
    packed = pack.pack(of, VIEW, process)
    assert [str(bad) for bad in packed.bad] == [f"3.png ({CHANGED})"]
    assert packed.pixels[:, 0, 0, 0].tolist() == [0, 1, 2, 4, 5]
    assert packed.page is None
    if (place / "3.png").is_dir():
        (place / "3.png").rmdir()
    else:
        (place / "3.png").unlink(missing_ok=True)
    (place / "3.png").write_bytes(before)
    os.utime(place / "3.png", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    again = files_source("set", "all", place, names)
    assert again.identity != of.identity  # a file that was put back has another time of change
    again = replace(again, identity=of.identity)
    assert pack.pack(again, VIEW, 1).pixels[:, 0, 0, 0].tolist() == list(range(6))
    record_property("cases", 1)


def test_what_changed_is_not_remembered_by_a_run_that_was_killed(tmp_path):
    place = painted(tmp_path / "images")
    of = files_source("set", "all", place, [f"{i}.png" for i in range(6)])
    (place / "1.png").rename(place / "away")

    def items(start: int):
        yield from list(of.items(start))[: 4 - start]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack.pack(Source("set", "all", 6, items, of.identity, "images"), VIEW, 1)
    (place / "away").rename(place / "1.png")
    of = replace(files_source("set", "all", place, [f"{i}.png" for i in range(6)]), identity=of.identity)
    assert pack.pack(of, VIEW, 1).pixels[:, 0, 0, 0].tolist() == list(range(6))


def test_a_file_that_becomes_a_pipe_as_it_is_opened_does_not_hang(tmp_path, monkeypatch):
    painted(tmp_path, 1)
    os.mkfifo(tmp_path / "pipe")
    regular = (tmp_path / "0.png").stat()
    monkeypatch.setattr(Path, "stat", lambda *_, **__: regular)
    assert decode.read_square(File(tmp_path / "pipe"), VIEW) == "not a regular file"


def test_a_signature_of_what_cannot_be_is_none(tmp_path):
    assert signature(tmp_path / "a\0b") == signature(tmp_path / "none") == []


def test_a_disk_that_fails_while_listing_ends_the_work(tmp_path, monkeypatch):
    painted(tmp_path / "images")
    painted(tmp_path / "images/away")
    scandir = os.scandir

    def failing_scandir(path):
        if Path(path).name == "away":
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", failing_scandir)
    with pytest.raises(OSError, match=r"images/away cannot be listed \(Stale file handle\); run again when its disk"):
        folder(path=str(tmp_path / "images"), size=8, workers=1)
