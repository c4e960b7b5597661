"""Packing once: what is kept, what makes it anew, and every way of being interrupted, damaged or refused."""

from __future__ import annotations

import errno
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.data import encoded, random_pixels, smooth
from PIL import Image
from zoo_data import cache, decode, pack, part
from zoo_data.bad import Bad
from zoo_data.decode import View, decode_chunk
from zoo_data.folder import folder
from zoo_data.sources import Source

from zoo.machine import progress

VIEW = View(8, 3)


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch) -> Path:
    """An empty cache, chunks of four images, and no process but this one if none is asked for."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "kept"))
    monkeypatch.setattr(pack, "CHUNK", 4)
    monkeypatch.setitem(folder.__kwdefaults__, "workers", 1)
    return tmp_path / "kept" / "data"


def source(count: int = 10, bad: tuple[int, ...] = (), **changes) -> Source:
    arrays = random_pixels(count, 8, 8, 3)

    def items(start):
        for i in range(start, count):
            yield str(i), Bad(str(i), "spoilt") if i in bad else arrays[i]

    return Source(**({"name": "set", "split": "train", "count": count, "items": items} | KNOWN | changes))


KNOWN = {"identity": ["v1"], "where": "images"}


def expected(count: int = 10, bad: tuple[int, ...] = ()) -> torch.Tensor:
    arrays = np.delete(random_pixels(count, 8, 8, 3), bad, 0)
    return torch.from_numpy(arrays.transpose(0, 3, 1, 2).copy())


def packed(of: Source | None = None, view: View = VIEW, workers: int = 1) -> cache.Packed:
    return pack.pack(of or source(), view, workers)


@pytest.fixture
def decoded(monkeypatch) -> list[int]:
    """How many images each chunk had that was decoded in this process."""
    counts: list[int] = []

    def counting(items, view):
        counts.append(len(items))
        return decode_chunk(items, view)

    monkeypatch.setattr(pack, "decode_chunk", counting)
    return counts


def only(kept: Path, extension: str) -> Path:
    (path,) = kept.glob(f"*{extension}")
    return path


# -- what is kept ----------------------------------------------------------------------------------------------


def test_images_are_decoded_once(kept, decoded):
    first, second = packed(), packed()
    assert torch.equal(first.pixels, expected())
    assert torch.equal(second.pixels, expected())
    assert decoded == [4, 4, 2]
    assert sorted(path.suffix for path in kept.iterdir()) == [".json", ".lock", ".u8"]
    assert only(kept, ".u8").read_bytes() == expected().numpy().tobytes()


def test_pixels_are_mapped_and_written_to_by_nobody(kept):
    pixels = packed().pixels
    assert str(only(kept, ".u8")) in Path("/proc/self/maps").read_text()
    pixels.zero_()
    assert torch.equal(packed().pixels, expected())


@pytest.mark.parametrize(
    ("changes", "view"),
    [
        ({"identity": ["v2"]}, VIEW),
        ({"split": "test"}, VIEW),
        ({"name": "other"}, VIEW),
        ({}, View(16, 3)),
        ({}, View(8, 1)),
        ({}, View(8, 3, 4)),
        ({}, View(8, 3, "none")),
        ({}, View(8, 3, "square", "published")),
    ],
)
def test_anything_that_matters_makes_another_entry(decoded, changes, view):
    packed()
    packed(source(**changes), view)
    assert decoded == 2 * [4, 4, 2]


def test_a_folder_is_packed_again_where_a_file_changed(tmp_path, decoded):
    for level in range(3):
        Image.new("RGB", (8, 8), (level, 0, 0)).save(tmp_path / f"{level}.png")
    options = {"path": str(tmp_path), "size": 8, "test": 0.4}
    before = folder(**options)
    assert torch.equal(folder(**options).train, before.train)
    assert decoded == [3]
    Image.new("RGB", (8, 8), (77, 0, 0)).save(tmp_path / "1.png")
    os.utime(tmp_path / "1.png", ns=(1, 1))
    after = folder(**options)
    assert 77 in torch.cat([after.train, after.test])[:, 0]
    assert decoded == [3, 3]


def test_bad_images_are_on_the_page_and_remembered(kept, decoded):
    of = source(bad=(2, 9))
    first, second = packed(of), packed(of)
    assert torch.equal(second.pixels, expected(bad=(2, 9)))
    assert first.bad == second.bad == (Bad("2", "spoilt"), Bad("9", "spoilt"))
    assert json.loads(only(kept, ".json").read_text())["bad"] == [["2", "spoilt"], ["9", "spoilt"]]
    assert sum(decoded) == 10


def test_one_policy_does_not_pack_what_another_packed(decoded):
    of, other = source(bad=(2,)), source(split="test")
    with pytest.raises(ValueError, match=r"^set: 1 of 10 images cannot be used, first 2 \(spoilt\); repair or remove"):
        pack.pack_splits(of, other, VIEW, workers=1, on_error="error")
    images = pack.pack_splits(of, other, VIEW, workers=1, on_error="skip")
    assert images.notes == ("set: skipped 1 of 10 images: 2 (spoilt).",)
    assert sum(decoded) == 20


def test_a_set_with_no_good_image_is_a_sentence():
    for of, says in (
        (source(bad=tuple(range(10))), "none of the 10 images can be used"),
        (source(0, identity=[]), "there are no"),
    ):
        with pytest.raises(ValueError, match=f"^set: {says}"):
            pack.pack_splits(of, source(split="test"), VIEW, workers=1, on_error="skip")


@pytest.mark.parametrize(
    ("environment", "place"),
    [
        ({"ZOO_CACHE": "/a"}, "/a/data"),
        ({"XDG_CACHE_HOME": "/b"}, "/b/zoo/data"),
        ({"HOME": "/c"}, "/c/.cache/zoo/data"),
        ({"ZOO_CACHE": "~/d", "HOME": "/c"}, "/c/d/data"),
    ],
)
def test_where_the_cache_is(monkeypatch, environment, place):
    for name in ("ZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache.cache_folder() == Path(place)


# -- processes -------------------------------------------------------------------------------------------------


def test_processes_give_the_same_bytes_in_the_same_order():
    files = {f"{i}.jpg": encoded(smooth(i, (40 + i, 30))) for i in range(30)} | {"bad.jpg": b"nothing"}

    def of(name: str) -> Source:
        return source(31, name=name, items=lambda start: iter(list(files.items())[start:]))

    alone, together = packed(of("alone")), packed(of("together"), workers=2)
    assert torch.equal(alone.pixels, together.pixels)
    assert alone.bad == together.bad == (Bad("bad.jpg", "not an image, or damaged at its start"),)


def test_a_number_of_processes_below_zero_is_refused():
    with pytest.raises(ValueError, match=r"^folder: option 'workers' is -1; choose 0 for one a core, or a num"):
        folder(path="/", workers=-1)


def test_a_disk_that_fails_ends_the_work_and_leaves_no_image_out(monkeypatch):
    def failing(*_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(decode, "_opened", failing)
    says = (
        r"^set: a cannot be read \(Input/output error\), and not through a fault of its own; run again when it can\.$"
    )
    with pytest.raises(OSError, match=says):
        packed(source(1, items=lambda _: iter([("a", b"an image")])))


# -- interrupted -----------------------------------------------------------------------------------------------


def interrupted(after: int, count: int = 10, bad: tuple[int, ...] = ()) -> Source:
    whole = source(count, bad)

    def items(start):
        for position, item in enumerate(whole.items(start), start):
            if position == after:
                raise KeyboardInterrupt
            yield item

    return source(count, items=items)


def test_packing_goes_on_where_it_was_interrupted(decoded):
    with pytest.raises(KeyboardInterrupt):
        packed(interrupted(9, bad=(1,)))
    assert decoded == [4, 4]
    assert packed(source(bad=(1,))).bad == (Bad("1", "spoilt"),)
    assert torch.equal(packed().pixels, expected(bad=(1,)))
    assert decoded == [4, 4, 2]


def cut(path: Path, by: int) -> None:
    path.write_bytes(path.read_bytes()[:-by])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"more than the lines say")


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("harm", "again"),
    [
        (lambda kept: cut(only(kept, ".part.jsonl"), 3), [4, 2]),  # the last line is torn
        (lambda kept: cut(only(kept, ".part"), 1), [4, 2]),  # the last pixels never reached the disk
        (lambda kept: flip(only(kept, ".part"), 4 * 192 + 5), [4, 2]),
        (lambda kept: flip(only(kept, ".part"), 5), [4, 4, 2]),
        (lambda kept: only(kept, ".part").unlink(), [4, 4, 2]),
        (lambda kept: only(kept, ".part.jsonl").write_text("{}\n[]\n"), [4, 4, 2]),
        (lambda kept: lengthen(only(kept, ".part")), [2]),
    ],
)
def test_chunks_that_are_not_whole_are_decoded_again(kept, decoded, harm: Callable, again):
    with pytest.raises(KeyboardInterrupt):
        packed(interrupted(9))
    harm(kept)
    decoded.clear()
    assert torch.equal(packed().pixels, expected())
    assert decoded == again


def test_an_end_between_page_and_pixels_costs_nothing(decoded, monkeypatch):
    replace = os.replace

    def dying(old, new):
        if str(new).endswith(".u8"):
            raise KeyboardInterrupt
        replace(old, new)

    monkeypatch.setattr(os, "replace", dying)
    with pytest.raises(KeyboardInterrupt):
        packed()
    monkeypatch.setattr(os, "replace", replace)
    assert (torch.equal(packed().pixels, expected()), packed().notes, decoded) == (True, (), [4, 4, 2])


CHILD = """
import time
from pathlib import Path
from zoo_data import pack
from zoo_data.decode import decode_chunk
from zoo_data.folder import folder
def slowly(items, view):
    with open("log", "a") as log:
        log.write(f"{len(items)}\\n")
    while not Path(f"go{Path('log').read_text().count('4')}").exists():
        time.sleep(0.01)
    return decode_chunk(items, view)
pack.CHUNK, pack.decode_chunk = 4, slowly
folder(path="images", size=8, workers=1)
"""
"""Packs ten images; waits in its first chunk for a file ``go1``, in its second for ``go2``."""


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_two_processes_pack_once_and_a_killed_one_is_taken_over(tmp_path, monkeypatch, decoded):
    """The other is killed within its second chunk while we wait; we go on after its first."""
    (tmp_path / "images").mkdir()
    for i, pixels in enumerate(random_pixels(10, 8, 8, 3)):
        Image.fromarray(pixels).save(tmp_path / f"images/{i}.png")
    said: list[str] = []
    monkeypatch.setattr(cache, "print", lambda sentence, **_: said.append(sentence), raising=False)
    log = tmp_path / "log"
    with subprocess.Popen([sys.executable, "-c", CHILD], cwd=tmp_path) as other, ThreadPoolExecutor(1) as threads:
        until(log.exists)
        ours = threads.submit(folder, path=str(tmp_path / "images"), size=8, test=0.1, workers=1)
        until(lambda: bool(said))
        (tmp_path / "go1").touch()
        until(lambda: log.read_text() == "4\n4\n")
        other.kill()
        images = ours.result(120)
    assert said[0].startswith("another process is packing folder-all-")
    assert decoded == [4, 2]
    assert sorted(torch.cat([images.train, images.test]).flatten(1).sum(1).tolist()) == sorted(
        random_pixels(10, 8, 8, 3).reshape(10, -1).sum(1, dtype=int).tolist()
    )


# -- damaged ---------------------------------------------------------------------------------------------------


def edit(path: Path) -> None:
    page = json.loads(path.read_text())
    page["bad"] = [["0", "a lie"]]
    path.write_text(json.dumps(page))


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda kept: cut(only(kept, ".u8"), 7), "it has 1,913 bytes, not 1,920"),
        (lambda kept: only(kept, ".u8").write_bytes(b""), "it has 0 bytes, not 1,920"),
        (lambda kept: flip(only(kept, ".u8"), 1000), "its pixels are not those that were packed"),
        (lambda kept: edit(only(kept, ".json")), "its page is not as it was written"),
        (lambda kept: only(kept, ".json").write_text("{"), "its page cannot be read"),
        (lambda kept: only(kept, ".json").write_bytes(b"\xff[]"), "its page cannot be read"),
        (lambda kept: only(kept, ".json").write_text("[]"), "its page cannot be read"),
    ],
)
def test_a_damaged_entry_is_packed_again_with_a_note(kept, decoded, harm: Callable, said):
    packed()
    harm(kept)
    again = packed()
    assert again.notes == (f"set: {only(kept, '.u8')} was damaged ({said}) and has been packed again.",)
    assert torch.equal(again.pixels, expected())
    assert packed().notes == ()
    assert decoded == 2 * [4, 4, 2]


def test_a_note_on_damage_reaches_the_user(kept):
    splits = (source(), source(split="test"))
    pack.pack_splits(*splits, VIEW, workers=1, on_error="error")
    cut(next(kept.glob("set-test-*.u8")), 1)
    (note,) = pack.pack_splits(*splits, VIEW, workers=1, on_error="error").notes
    assert "was damaged" in note


def test_pixels_that_were_only_touched_or_copied_are_taken(kept, decoded):
    packed()
    os.utime(only(kept, ".u8"))
    assert torch.equal(packed().pixels, expected())
    assert decoded == [4, 4, 2]


def test_lost_pixels_are_packed_again(kept, decoded):
    packed()
    only(kept, ".u8").unlink()
    assert torch.equal(packed().pixels, expected())
    assert decoded == 2 * [4, 4, 2]


# -- refused ---------------------------------------------------------------------------------------------------

CURE = r"set ZOO_CACHE to a folder that has room and can be written"


@pytest.fixture
def large(monkeypatch):
    """Every set is too large for memory."""
    monkeypatch.setattr(pack, "MEMORY_SHARE", 0)


@pytest.mark.usefixtures("large")
def test_a_disk_without_room_is_a_sentence_before_anything_is_decoded(kept, monkeypatch, decoded):
    monkeypatch.setattr(part.shutil, "disk_usage", lambda _: SimpleNamespace(free=2**30))
    says = rf"^packed images cannot be kept in {kept} \(9\.2 GiB are needed, 1\.0 GiB are free\); make room there, "
    with pytest.raises(OSError, match=f"{says}or {CURE}$"):
        packed(source(), View(18140, 3))
    assert decoded == []


@pytest.mark.usefixtures("large")
def test_a_disk_that_fills_up_is_a_sentence_and_packing_goes_on_later(kept, decoded):
    packed(source(name="warm"))
    decoded.clear()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OSError, match=rf"^packed images cannot be kept in {kept} \(File too large\); make room"):
            packed()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert torch.equal(packed().pixels, expected())
    assert decoded == [4, 4, 4, 2]


@pytest.mark.usefixtures("large")
def test_a_cache_that_cannot_be_written_is_a_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for place in ("/proc/nowhere", tmp_path / "file"):
        monkeypatch.setenv("ZOO_CACHE", str(place))
        with pytest.raises(
            OSError, match=rf"^packed images cannot be kept in {place}/data \(.*\); make it writ.*{CURE}$"
        ):
            packed()


@pytest.mark.usefixtures("large")
def test_no_home_is_a_sentence(monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", "~no-such-user/x")
    with pytest.raises(OSError, match=r"^packed images have no folder \(.*\); set ZOO_CACHE to one$"):
        packed()


# -- progress --------------------------------------------------------------------------------------------------


def test_short_work_says_nothing(capfd):
    packed()
    assert capfd.readouterr() == ("", "")


def test_long_work_says_lines_on_stderr(capfd, monkeypatch):
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(progress, "LINE_EVERY", 0.0)
    packed()
    out, err = capfd.readouterr()
    assert out == ""
    assert [line.split(" images, ")[0] for line in err.splitlines()] == [
        f"packing set train: {done} of 10" for done in (4, 8, 10)
    ]


def test_on_a_terminal_there_is_a_bar(monkeypatch, capsys):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(progress, "SILENT_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal)
    packed()
    assert "packing set train: 100%" in terminal.getvalue()
    assert capsys.readouterr().out == ""


# -- what others may have put there --------------------------------------------------------------------------


@pytest.mark.promise(
    "Nothing of a cache of images is opened through a link or a pipe; one that others may change says so."
)
@pytest.mark.parametrize("put", ["a link", "a pipe"])
def test_no_part_of_an_entry_leads_elsewhere(kept, tmp_path, monkeypatch, put, record_property):
    monkeypatch.setattr(cache, "SAMPLE_BYTES", 1)
    packed()
    name, secret = only(kept, ".json").stem, tmp_path / "secret"
    extensions = (".json", ".u8", ".part", ".part.jsonl", ".json.tmp", ".turn", ".lock")
    for extension in extensions:
        for path in kept.iterdir():
            path.unlink()
        if extension in (".turn", ".lock"):
            packed()
        secret.write_text("precious")
        path = kept / f"{name}{extension}"
        path.unlink(missing_ok=True)
        path.symlink_to(secret) if put == "a link" else os.mkfifo(path)
        assert torch.equal(packed().pixels, expected())
        assert secret.read_text() == "precious"
    record_property("cases", len(extensions))


def test_a_link_is_named_with_its_cure(kept, tmp_path):
    packed()
    page = only(kept, ".json")
    page.rename(tmp_path / "page")
    page.symlink_to(tmp_path / "page")
    (note,) = packed().notes
    assert f"{kept} (Too many levels of symbolic links); a file there is a link; remove it, or set ZOO_CACHE" in note


@pytest.mark.parametrize(("mode", "said"), [(0o755, False), (0o775, False), (0o777, True), (0o1777, True)])
def test_a_cache_that_others_may_write_to_says_so(kept, mode, said):
    packed()
    kept.chmod(mode)
    note = f"others may write to {kept}, where packed images are kept, and change them; chmod go-w {kept}"
    assert packed().notes == ((note,) if said else ())
