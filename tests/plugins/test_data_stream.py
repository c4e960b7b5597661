"""Data sets of Hugging Face that are read when they are used: rows, order, memory, going on, and what is damaged."""

from __future__ import annotations

import io
from itertools import pairwise
from pathlib import Path
from typing import Any

import datasets
import fsspec
import pyarrow
import pytest
import torch
from helpers.data import encoded
from helpers.runs import goes_on_bit_for_bit
from PIL import Image
from zoo_data.huggingface import huggingface
from zoo_data.parquet import Column, Rows
from zoo_data.unpacked import Unpacked

from zoo.data.batches import Batches, load_images
from zoo.errors import RequestError
from zoo.recipe import load_recipe

GROUP, SIDE = 5, 8


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    datasets.disable_progress_bars()


def some(levels: range, bad: int | None = None, noise: bool = False) -> datasets.Dataset:
    def image(level: int) -> dict[str, Any]:
        made = Image.effect_noise((64, 64), 90) if noise else Image.new("RGB", (12, SIDE), (level,) * 3)
        return {"bytes": b"none" if level == bad else encoded(made, "png"), "path": None}

    names = [str(number) for number in range(8)]
    features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=names), "near": datasets.Value("float32")}
    columns = {
        "image": [image(level) for level in levels],
        "label": [level // 20 % 8 for level in levels],
        "near": [level / 4 for level in levels],
    }
    return datasets.Dataset.from_dict(columns, datasets.Features(features))


def parquet(folder: Path, files: int = 2, each: int = 20, **made: Any) -> Path:
    """Files of ``each`` rows in groups of ``GROUP``, levels 0, 1, ..., and 7 rows for test, levels 200, ..."""
    (folder / "data").mkdir(parents=True)
    for number in range(files):
        rows = some(range(number * each, (number + 1) * each), **made)
        rows.to_parquet(folder / "data" / f"train-{number:05}-of-{files:05}.parquet", batch_size=GROUP)
    some(range(200, 207)).to_parquet(folder / "data" / "test-00000-of-00001.parquet", batch_size=GROUP)
    return folder


def read(path: Path, **options: Any) -> Any:
    return huggingface(name=str(path), **({"size": SIDE, "workers": 1, "stream": True, "mixed": 2} | options))


def recipe(path: Path, *overrides: str, **data: Any) -> Any:
    slots = {name: {"use": "dcgan", "width": 4} for name in ("encoder", "decoder")}
    said = {"use": "huggingface", "name": str(path), "size": SIDE, "workers": 1, "stream": True, "mixed": 2} | data
    settings = {"steps": 4, "batch": 4, "ema": 0.0, "log_every": 1}
    return load_recipe({"extends": "vae", "data": said, "latent": 4, "slots": slots, "train": settings}, overrides)


@pytest.mark.parametrize("kind", ["parquet", "saved"])
def test_what_streams_is_what_is_packed(tmp_path, kind):
    place = tmp_path / "in"
    if kind == "parquet":
        parquet(place)
    else:
        datasets.DatasetDict({"train": some(range(40)), "test": some(range(200, 207))}).save_to_disk(str(place))
    streamed, packed = (read(place, stream=stream, columns=("label", "near")) for stream in (True, False))
    assert isinstance(streamed.train, Unpacked)
    assert torch.equal(streamed.train + 0, packed.train)
    assert torch.equal(streamed.test + 0, packed.test)
    for name, both in packed.fields.items():
        assert all(torch.equal(*pair) for pair in zip(both, streamed.fields[name], strict=True))
    held = read(place, test_split="train", held_out=0.25, test=5)
    assert sorted([*held.train.rows, *held.test.rows]) == [*sorted({*held.train.rows, *held.test.rows})]
    assert (held.train[3:4] + 0)[0, 0, 0, 0] == held.train.rows[3]


@pytest.mark.parametrize("held_out", [False, True])
def test_the_order_is_a_function_of_seed_and_epoch_and_mixes_some_groups(tmp_path, held_out):
    place = parquet(tmp_path / "in")

    def shown(seed: int, turns: range) -> list[int]:
        made = recipe(place, f"seed={seed}", **({"test_split": "train", "held_out": 0.2} if held_out else {}))
        found = load_images(made)
        batches = Batches.of(made, found, "cpu", torch.float32)
        return [int(found.train.rows[number]) for turn in turns for number in batches.images_of(turn)]

    count = 32 if held_out else 40
    whole = shown(0, range(count // 2))
    assert shown(0, range(7, count // 2)) == whole[28:]
    first, second = whole[:count], whole[count:]
    assert sorted(first) == sorted(second)
    assert first != second
    assert first != shown(1, range(count // 4))
    windows = [{row // GROUP for row in first[start : start + 2]} for start in range(0, count, 2)]
    assert all(len(window) <= 4 for window in windows)
    if not held_out:
        assert [len({row // GROUP for row in first[start : start + 10]}) for start in range(0, 40, 10)] == [2] * 4
        assert any(row // GROUP != after // GROUP for row, after in pairwise(first[:10]))


def test_memory_is_that_of_the_groups_that_are_mixed(tmp_path):
    def most(files: int) -> int:
        made = recipe(parquet(tmp_path / str(files), files, 40, noise=True))
        batches, before = Batches.of(made, load_images(made), "cpu", torch.float32), pyarrow.total_allocated_bytes()
        held = []
        for turn in range(files * 10):
            batches(turn)
            held.append(pyarrow.total_allocated_bytes() - before)
        return max(held)

    few, many = most(1), most(8)
    one = GROUP * len(encoded(Image.effect_noise((64, 64), 90), "png"))
    assert one < few < 6 * one
    assert many < few + one


def test_a_run_goes_on_bit_for_bit(tmp_path):
    assert goes_on_bit_for_bit(recipe(parquet(tmp_path / "in")), tmp_path)


def test_a_group_is_fetched_once_for_all_of_its_window_from_wherever_it_lies(tmp_path, monkeypatch):
    memory = fsspec.filesystem("memory")
    for file in sorted((parquet(tmp_path / "in") / "data").glob("train*")):
        memory.pipe(f"/set/{file.name}", file.read_bytes())
    rows = Rows([f"memory://{path}" for path in sorted(memory.ls("/set", detail=False))])
    here = Rows([str(path) for path in sorted((tmp_path / "in" / "data").glob("train*"))])
    assert rows.identity == here.identity  # wherever they are
    fetched, group = list[int](), rows.group
    monkeypatch.setattr(rows, "group", lambda number, column: fetched.append(number) or group(number, column))
    column = Column(rows, "image", 3)
    for some_rows in ([0, 6], [1, 7], [8, 2], [12, 3], [9, 4]):
        found = column[some_rows]["image"]
        assert [Image.open(io.BytesIO(one["bytes"])).getpixel((0, 0))[0] for one in found] == some_rows
    assert sorted(fetched) == [0, 1, 2]
    assert len(column[[39, 17]]["image"]) == len(column[[0, 11]]["image"]) == 2
    assert sorted(fetched[3:]) == [2, 3, 7]  # of the three before, the one asked for last is still there


def test_what_is_wrong_is_told(tmp_path):
    place = parquet(tmp_path / "in")
    assert len(read(place).train) == 40
    file = place / "data" / "train-00001-of-00002.parquet"
    whole = file.read_bytes()
    file.write_bytes(whole[:-100])
    with pytest.raises(
        OSError, match=rf"huggingface: {file} cannot be read as Parquet \(.*; fetch it again, or remove"
    ):
        read(place)
    file.write_bytes(whole[:200] + b"\xff" * 400 + whole[600:])
    with pytest.raises(OSError, match=rf"huggingface: {file} cannot be read \(.*; run again when it can"):
        read(place).train[20:40].float()
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.new("RGB", (8, 8)).save(pictures / "train_1.png")
    with pytest.raises(OSError, match=r"'stream' reads Parquet files, and .*train_1.png is none; the hub keeps"):
        read(pictures)
    with pytest.raises(ValueError, match="'mixed' is 0; choose a number of row groups, at least 1"):
        read(place, mixed=0)
    with pytest.raises(RequestError, match="is none; the hub keeps"):
        load_images(recipe(pictures))


def test_a_bad_image_stops_or_the_next_stands_in(tmp_path, capsys):
    place = parquet(tmp_path / "in", bad=7)
    assert (read(place).train[7:8] + 0)[0, 0, 0, 0] == 8
    assert "huggingface: skipped train[7] (not an image, or damaged at its start); an image" in capsys.readouterr().err
    with pytest.raises(OSError, match=r"train\[7\] \(not an image, .*\) cannot be used"):
        read(place, on_error="error").train[7:8].float()
