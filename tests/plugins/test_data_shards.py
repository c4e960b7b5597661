"""Tar shards read in place: what is read, in which order, in how much memory, resumed, and damaged."""

from __future__ import annotations

import gc
import gzip
import io
import tarfile
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from helpers.data import encoded
from helpers.runs import goes_on_bit_for_bit
from PIL import Image
from zoo_data.shards import Shards, shards
from zoo_data.unpacked import Unpacked

from zoo.data.batches import Batches, load_images
from zoo.data.fields import items, known_images
from zoo.errors import RequestError
from zoo.recipe import load_recipe, write_recipe
from zoo.report.neighbours import nearest

PER, SIDE = 10, 8


def png(level: int) -> bytes:
    return encoded(Image.new("RGB", (12, SIDE), (level, 255 - level, 0)), "png")


def shard(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def some(folder: Path, count: int = 4) -> Path:
    """``count`` shards of ``PER`` samples, whose images are of levels 0, 1, ...; class: the shard's number."""
    for number in range(count):
        levels = range(number * PER, (number + 1) * PER)
        members = {f"a/{level:04}.{end}": made for level in levels for end, made in sample(level, number).items()}
        shard(folder / f"part-{number}.tar", members)
    return folder


def sample(level: int, number: int) -> dict[str, bytes]:
    return {"cls": str(number).encode(), "json": b"{}", "png": png(level)}


def read(path: Path, **options: Any) -> Any:
    return shards(path=str(path), **({"size": SIDE, "workers": 1} | options))


def levels(images: torch.Tensor) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def recipe(path: Path, *overrides: str, **data: Any) -> Any:
    slots = {name: {"use": "dcgan", "width": 4} for name in ("encoder", "decoder")}
    data = {"use": "shards", "path": str(path), "size": SIDE, "workers": 1} | data
    train = {"steps": 4, "batch": 4, "ema": 0.9, "log_every": 1}
    return load_recipe(
        {"extends": "vae", "data": data, "latent": 4, "slots": slots, "train": train, "augment": ["flip"]}, overrides
    )


# -- what is read --------------------------------------------------------------------------------------------


def test_every_image_is_in_one_split_with_its_class(tmp_path):
    found = read(some(tmp_path), classes=4, test=0.3)
    train, test = levels(found.train), levels(found.test)
    assert sorted(train + test) == list(range(4 * PER))
    assert train == sorted(train)
    assert 0.1 < len(test) / len(train + test) < 0.5
    assert [level // PER for level in train] == found.fields["label"][0].tolist()
    assert [level // PER for level in test] == found.fields["label"][1].tolist()
    assert found.train.shape[1:] == (3, SIDE, SIDE)
    assert levels(read(tmp_path / "part-*.tar", test=0.3).test) == test  # by the key alone


def test_images_are_those_that_pillow_decodes(tmp_path):
    pictures = [Image.fromarray(np.random.default_rng(i).integers(0, 256, (SIDE, SIDE, 3), np.uint8)) for i in range(6)]
    shard(tmp_path / "a.tar", {f"{i}.webp": encoded(picture, "webp") for i, picture in enumerate(pictures)})
    found = read(tmp_path, workers=2)
    whole = {row: images for split in (found.train, found.test) for row, images in zip(split.rows, split, strict=True)}
    for row, picture in enumerate(pictures):
        same = Image.open(io.BytesIO(encoded(picture, "webp"))).convert("RGB")
        assert np.array_equal(whole[row].permute(1, 2, 0).numpy(), np.asarray(same))


def test_directories_of_splits_and_the_ending_that_is_asked_for(tmp_path):
    shard(tmp_path / "train" / "a.tar", {"1.left.png": png(1), "1.png": png(2), "2.png": png(3), ".3.png": png(4)})
    shard(tmp_path / "val" / "a.tar", {"1.left.png": png(5), "1.txt": b"", "9.left.png": png(6)})
    found = read(tmp_path, image="left.png")
    assert (levels(found.train), levels(found.test)) == ([1], [5, 6])
    shard(tmp_path / "val" / "a.tar", {"1.png": png(7)})
    assert (levels(read(tmp_path).train), levels(read(tmp_path).test)) == ([2, 3], [7])


def test_slices_are_views_and_anything_else_reads(tmp_path, monkeypatch):
    images, asked = read(some(tmp_path), test=0.1).train, list[int]()
    monkeypatch.setattr(images.reader, "_contents", lambda rows: asked.extend(rows) or contents(rows))
    contents = Shards(sorted(tmp_path.glob("*.tar")), "").contents
    part = images[3:20:4][1:]
    assert (type(part), len(part), part.nbytes, asked) == (Unpacked, 4, 4 * 3 * SIDE**2, [])
    assert part.to("cpu") is part
    assert levels(part.float().round()) == asked == [int(row) for row in np.asarray(images.rows)[[7, 11, 15, 19]]]
    asked.clear()
    assert type(images[torch.tensor([5, 0])]) is torch.Tensor
    assert asked == [int(images.rows[5]), int(images.rows[0])]
    assert torch.equal(torch.cat([part, part])[:4], part[0:4] + 0)
    assert torch.equal(images[4], images[torch.tensor([4])][0])


def test_pictures_metrics_and_hashes_take_them(tmp_path):
    made = recipe(some(tmp_path))
    found = load_images(made)
    distances, _ = nearest(found.train[:3] + 0, found.train, 1)
    assert distances.tolist() == [[0.0]] * 3
    assert items(found, "test", made, 0, 2)["x"].shape == (2, 3, SIDE, SIDE)
    before = known_images(found)
    assert before == known_images(load_images(made))
    shard(tmp_path / "part-0.tar", {"a/0000.png": png(99)})
    assert known_images(load_images(made))["train"] != before["train"]


# -- memory, order, going on ---------------------------------------------------------------------------------


def held(path: Path) -> int:
    """Bytes that reading an epoch leaves in memory, of what is as large as an image: pixels, contents, tables."""
    made = recipe(path)
    found = load_images(made)
    batches = Batches.of(made, found, "cpu", torch.float32)
    batches(0)
    tracemalloc.start()
    try:
        for turn in range(len(found.train) // 4):
            batches(turn)
        gc.collect()
        ours = [tracemalloc.Filter(True, f"*/{folder}/*") for folder in ("zoo_data", "zoo/data", "PIL")]
        traces = tracemalloc.take_snapshot().filter_traces(ours).traces
        return sum(one.size for one in traces if one.size >= 3 * SIDE * SIDE)
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_set(tmp_path):
    small, large = held(some(tmp_path / "small", 2)), held(some(tmp_path / "large", 60))
    assert large < small + 58 * PER * 16  # 8 bytes for the number of each image, and for its place in an order


@pytest.mark.parametrize("mixed", [0, 2])
def test_the_order_is_a_function_of_seed_and_epoch(tmp_path, mixed):
    def shown(seed: int, turns: range) -> list[int]:
        made = recipe(tmp_path, f"seed={seed}", mixed=mixed, test=0.001)
        found = load_images(made)
        batches = Batches.of(made, found, "cpu", torch.float32)
        return [int(found.train.rows[number]) for turn in turns for number in batches.images_of(turn)]

    some(tmp_path)
    count = 4 * PER - 1  # one is for test
    whole = shown(0, range(20))
    assert shown(0, range(7, 20)) == whole[28:]  # whatever came before
    assert sorted(whole[:count]) == sorted(whole[count : 2 * count])
    assert whole[:count] != whole[count : 2 * count]
    assert shown(1, range(20)) != whole
    halves = {row // PER for row in whole[: count // 2 - 1]}
    assert len(halves) == (2 if mixed else 4)


@pytest.mark.parametrize("mixed", [0, 1])
def test_a_run_goes_on_bit_for_bit(tmp_path, mixed):
    assert goes_on_bit_for_bit(recipe(some(tmp_path / "in"), mixed=mixed), tmp_path)


# -- what is wrong -------------------------------------------------------------------------------------------


def wrong(path: Path, **options: Any) -> str:
    with pytest.raises((ValueError, OSError)) as caught:
        read(path, **options)
    return str(caught.value)


def test_a_damaged_shard_is_named_with_the_cure(tmp_path):
    whole = (some(tmp_path, 2) / "part-1.tar").read_bytes()
    told = f"shards: {tmp_path / 'part-1.tar'} "
    for cut in (len(whole) // 2 // 512 * 512, len(whole) // 2 + 100, 700, 512 * 3):
        (tmp_path / "part-1.tar").write_bytes(whole[:cut])
        assert wrong(tmp_path).startswith(told)
        assert "fetch it again, or remove it" in wrong(tmp_path)
    header = whole.index(b"a/0014.png")
    for junk in (b"\0", b"\xff"):
        (tmp_path / "part-1.tar").write_bytes(whole[:header] + junk * 512 + whole[header + 512 :])
        assert wrong(tmp_path).startswith(f"{told}is damaged or cut short at byte {header:,} of {len(whole):,}; fetch")
    for content in (b"", b"no tar", gzip.compress(whole)):
        (tmp_path / "part-1.tar").write_bytes(content)
        assert wrong(tmp_path).startswith(f"{told}cannot be read as a tar")


def test_a_shard_that_changes_meanwhile_is_not_read(tmp_path):
    images = read(some(tmp_path, 1)).train
    shard(tmp_path / "part-0.tar", {"1.png": png(1)})
    with pytest.raises(OSError, match=r"part-0\.tar changed or is gone since it was looked through; run again"):
        images[:2].float()


def test_what_is_not_there_is_told(tmp_path):
    assert (
        wrong(tmp_path)
        == f"shards: there is no {tmp_path}/*.tar; give a directory of .tar files, or such as pictures/*.tar."
    )
    (tmp_path / "a.tar.gz").touch()
    assert "unpack a.tar.gz to a .tar" in wrong(tmp_path)
    shard(tmp_path / "a.tar", {"1.txt": b"", "2.json": b"{}"})
    assert wrong(tmp_path).startswith(f"shards: there is no image in the 1 shards in {tmp_path}; endings: jpg, jpeg")
    shard(tmp_path / "a.tar", {"1.png": png(1)})
    assert "training and test need one each" in wrong(tmp_path)
    shard(tmp_path / "a.tar", {"1.png": png(1), "1.cls": b"2", "2.png": png(1)})
    assert wrong(tmp_path, classes=3).startswith("shards: a.tar: 2.png has no class beside it")
    shard(tmp_path / "a.tar", {"1.png": png(1), "1.cls": b"cat"})
    assert "1.cls says b'cat', which is no whole number" in wrong(tmp_path)
    assert "'test' is 1.5" in wrong(tmp_path, test=1.5)
    assert "'mixed' is -1" in wrong(tmp_path, mixed=-1)
    with pytest.raises(RequestError, match=r"data 'shards': shards: there is no"):
        load_images(recipe(tmp_path / "none"))


def test_a_bad_image_stops_or_the_next_stands_in(tmp_path, capsys):
    members = {f"{i}.png": png(i) for i in range(9)} | {"3.png": b"no image", "4.png": b""}
    shard(tmp_path / "train" / "a.tar", members)
    shard(tmp_path / "test" / "a.tar", {"1.png": png(50)})
    with pytest.raises(OSError, match=r"shards: a.tar: 3.png \(not an image, .*\) cannot be used; .* on_error to skip"):
        read(tmp_path).train[2:4].float()
    images = read(tmp_path, on_error="skip").train
    for _ in range(2):
        assert levels(images[2:6] + 0) == [2, 5, 5, 5]
    assert capsys.readouterr().err.splitlines() == [
        f"shards: skipped a.tar: {name}; an image after it stands in."
        for name in ("3.png (not an image, or damaged at its start)", "4.png (an empty file)")
    ]
    shard(tmp_path / "train" / "a.tar", {"1.png": b"", "2.png": b""})
    with pytest.raises(OSError, match="nor any of those that follow"):
        read(tmp_path, on_error="skip").train.float()


def test_without_a_cache_shards_are_looked_through_again(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))
    (tmp_path / "file").touch()
    found = read(some(tmp_path / "in", 1))
    assert any("is not kept" in note for note in found.notes)
    assert len(found.train) + len(found.test) == PER
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    read(tmp_path / "in")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo_data.shards._members", lambda *_: pytest.fail("looked through again"))
        assert levels(read(tmp_path / "in").train) == levels(found.train)


def test_the_command_line_says_it_in_a_sentence(here, run_zoo):
    members = {f"{i}.png": png(i) for i in range(30)} | {f"{i}.jpg": b"no image" for i in range(40, 60)}
    shard(here / "a.tar", members)
    (here / "r.yaml").write_text(write_recipe(recipe(here)))
    done = run_zoo("build", "r.yaml", "--out", "run")
    assert done.code == 1
    assert "zoo: error: shards: a.tar: " in done.errors[-1]
    assert "set on_error to skip" in done.errors[-1]
    assert "Traceback" not in done.err
