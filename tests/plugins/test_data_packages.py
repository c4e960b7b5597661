"""What installed packages carry: cut or resized once, kept, and known again; nothing of them is imported."""

from __future__ import annotations

import re
import zlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import torch
from helpers.data import random_pixels
from PIL import Image
from sklearn.datasets import load_digits
from zoo_data import photos as photos_module
from zoo_data.digits import digits
from zoo_data.photos import Crops, Photograph, cut, photos

from zoo.api import Images

FEW = {"size": 16, "train": 24, "test": 12, "crop": (20, 40)}


@pytest.fixture(autouse=True)
def kept(tmp_path, monkeypatch) -> Path:
    """An empty cache."""
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "kept"))
    return tmp_path / "kept" / "data"


def equal(one: Images, other: Images) -> bool:
    return torch.equal(one.train, other.train) and torch.equal(one.test, other.test)


def entries(kept: Path) -> set[str]:
    return {path.stem for path in kept.glob("*.u8")}


@pytest.mark.parametrize(
    "load",
    [
        partial(photos, **FEW),
        partial(photos, **FEW | {"channels": 1, "size": 1, "flip": False}),
        partial(photos, **FEW | {"contrast": 0.2, "train": 300, "seed": 3}),
        partial(digits, size=8),
        partial(digits, size=17, channels=3, test=5, seed=2),
    ],
)
def test_what_is_kept_is_what_would_be_made_anew(kept, monkeypatch, load):
    cold, warm = load(), load()
    assert all(str(kept / f"{name}.u8") in Path("/proc/self/maps").read_text() for name in entries(kept))
    monkeypatch.setenv("ZOO_CACHE", "/proc/nowhere")
    anew = load()
    assert equal(cold, anew)
    assert equal(warm, anew)
    assert cold.notes == warm.notes == tuple(note for note in anew.notes if "are in memory" not in note)
    assert len(cold.notes) < len(anew.notes)


def test_photographs_are_decoded_and_cut_once(monkeypatch):
    photos(**FEW)
    monkeypatch.setattr(Photograph, "strips", None)
    monkeypatch.setattr(Crops, "drawn", None)
    photos(**FEW)


@pytest.mark.parametrize(
    ("option", "value", "splits"),
    [
        *(("size", 8, 2), ("channels", 1, 2), ("crop", (20, 41), 2), ("contrast", 0.1, 2), ("seed", 1, 2)),
        *(("train", 25, 1), ("test", 13, 1), ("flip", False, 1)),
    ],
)
def test_an_option_cuts_anew_what_it_changes_and_no_more(kept, option, value, splits):
    photos(**FEW)
    before = entries(kept)
    photos(**FEW | {option: value})
    assert len(entries(kept) - before) == splits


def test_another_photograph_is_cut_anew_and_one_that_was_only_moved_is_not(kept, tmp_path):
    def cut_again(path: Path, level: int) -> set[str]:
        Image.new("L", (200, 120), level).save(path)
        cut([Photograph(path)], channels=1, contrast=0.0, flip=True, seed=0, **FEW)
        return entries(kept)

    first = cut_again(tmp_path / "a.png", 0)
    assert cut_again(tmp_path / "b.png", 0) == first
    assert len(cut_again(tmp_path / "a.png", 1)) == 4


def test_digits_are_packed_for_their_size_channels_and_order_alone(kept):
    digits(size=8)
    assert equal(digits(size=8, test=5), digits(size=8, test=5))
    assert len(entries(kept)) == 1
    for options in ({"size": 9}, {"size": 8, "channels": 3}, {"size": 8, "seed": 1}):
        digits(**options)
    assert len(entries(kept)) == 4


@pytest.mark.parametrize(
    ("options", "checksums"),
    [
        ({}, (790554101, 2971773948)),
        ({"contrast": 0.3}, (348633820, 3850136015)),
        ({"channels": 1, "size": 24, "flip": False}, (3258076780, 2109097022)),
    ],
)
def test_crops_are_those_that_were_always_cut(tmp_path, options, checksums):
    """Whoever changes how crops are drawn changes ``photos.VERSION`` too, or old entries are taken for new ones.

    Pillow 13 rounds otherwise than 12.
    """
    checksum = checksums[int(Image.__version__.partition(".")[0]) >= 13]
    coarse = Image.fromarray(random_pixels(20, 30, 3))
    coarse.resize((300, 200), Image.Resampling.BICUBIC).save(tmp_path / "a.png")
    defaults = {"channels": 3, "contrast": 0.0, "flip": True, "seed": 0, **FEW}
    images = cut([Photograph(tmp_path / "a.png")], **defaults | options)
    assert zlib.crc32(torch.cat([images.train, images.test]).numpy().tobytes()) == checksum
    assert photos_module.VERSION == 1


def test_no_package_is_imported_for_what_it_carries():
    """scikit-learn alone would take a second."""
    modules = Path(photos_module.__file__).parent.glob("*.py")
    imported = {name for path in modules for name in re.findall(r"^ *(?:from|import) (\w+)", path.read_text(), re.M)}
    assert "numpy" in imported
    assert not imported & {"sklearn", "skimage"}


def test_sixteen_builds_at_once_cut_once(kept, monkeypatch):
    drawn, drawing = [], Crops.drawn

    def counting(crops, photographs):
        drawn.append(crops.split)
        yield from drawing(crops, photographs)

    monkeypatch.setattr(Crops, "drawn", counting)
    with ThreadPoolExecutor(16) as threads:  # each locks a file that it opened itself, as a process does
        images = list(threads.map(lambda _: photos(**FEW), range(16)))
    assert sorted(drawn) == ["test", "train"]
    assert all(equal(one, images[0]) for one in images)
    assert len(entries(kept)) == 2


@pytest.mark.parametrize(("seed", "test"), [(0, 297), (3, 40)])
def test_digits_have_the_labels_of_their_images(seed, test):
    known = load_digits()
    label = {
        (rows * 255 / 16).round().astype("u1").tobytes(): name
        for rows, name in zip(known.images, known.target, strict=True)
    }
    assert len(label) == len(known.target)
    given = digits(size=8, test=test, seed=seed)
    for images, labels in zip((given.train, given.test), given.fields["label"], strict=True):
        assert [label[image.numpy().tobytes()] for image in images] == labels.tolist()
