"""LSUN bedroom from miniature databases and exported folders, whole, cut short and damaged."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import lmdb
import numpy as np
import pytest
import torch
from conftest import python
from helpers.data import encoded, smooth
from PIL import Image
from zoo_data.lsun import lsun_bedroom, open_database

from zoo.recipe import load_recipe


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    """No process is started for a few small images."""
    monkeypatch.setitem(lsun_bedroom.__kwdefaults__, "workers", 1)


COUNTS = {"train": 20, "val": 5}


def database(path: Path, values: dict[str, bytes]) -> Path:
    with lmdb.open(str(path), map_size=1 << 24) as made, made.begin(write=True) as transaction:
        for key, value in values.items():
            transaction.put(key.encode(), value)
    (path / "lock.mdb").unlink()
    return path


def bedrooms(part: str, kind: str) -> dict[str, bytes]:
    """Key -> file; the key order is not the order they are put in."""
    keys = [f"{(7 * i) % 100:040x}" for i in range(COUNTS[part])]
    return {key: encoded(smooth(i, (48, 32)), kind) for i, key in enumerate(keys)}


def miniature(root: Path, kind: str = "webp") -> Path:
    for part in COUNTS:
        database(root / f"bedroom_{part}_lmdb", bedrooms(part, kind))
    return root


def read(root: Path, **options):
    return lsun_bedroom(root=str(root), **({"size": 16} | options))


def expected(part: str, kind: str, size: int) -> np.ndarray:
    images = []
    for _, content in sorted(bedrooms(part, kind).items()):
        with Image.open(io.BytesIO(content)) as image:
            square = image.convert("RGB").crop((8, 0, 40, 32)).resize((size, size), Image.Resampling.BICUBIC)
        images.append(np.asarray(square).transpose(2, 0, 1))
    return np.stack(images)


# -- what is packed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["webp", "jpeg"])
def test_images_are_those_of_the_database_in_key_order(tmp_path, kind):
    images = read(miniature(tmp_path, kind))
    assert np.array_equal(images.train.numpy(), expected("train", kind, 16))
    assert np.array_equal(images.test.numpy(), expected("val", kind, 16))
    assert not list(tmp_path.rglob("lock.mdb"))


def test_folders_of_exported_images_give_the_same(tmp_path):
    whole = read(miniature(tmp_path))
    for part in COUNTS:
        for key, content in bedrooms(part, "webp").items():  # as the publisher's data.py exports them
            path = tmp_path / "exported" / f"bedroom_{part}" / key[0] / key[1] / f"{key}.webp"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    images = read(tmp_path / "exported")
    assert torch.equal(images.train, whole.train)
    assert torch.equal(images.test, whole.test)


def test_the_first_images_are_taken_and_squeezed(tmp_path):
    images = read(miniature(tmp_path), train=3, test=1, crop="none", channels=1)
    assert (images.train.shape, images.test.shape) == ((3, 1, 16, 16), (1, 1, 16, 16))
    with pytest.raises(ValueError, match=r"^lsun-bedroom: option 'train' is 21; choose from 1 to 20, or 0 for all of"):
        read(tmp_path, train=21)


def test_a_database_that_others_have_open_is_read(tmp_path):
    place = miniature(tmp_path) / "bedroom_train_lmdb"
    command = f"import lmdb; print(lmdb.open({str(place)!r}, readonly=True, lock=False).stat())"
    with open_database(place) as held, held.begin() as transaction:
        assert next(iter(transaction.cursor()))
        assert "'entries': 20" in python("-c", command).out


def test_a_recipe_takes_it(tmp_path):
    recipe = load_recipe("vae", [f"data={{use: lsun-bedroom, root: {tmp_path}}}"])
    assert (recipe.sizes.size, recipe.sizes.channels) == (64, 3)


# -- what is refused -------------------------------------------------------------------------------------------


def test_missing_files_say_what_to_fetch(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read(tmp_path)
    url = "http://dl.yf.io/lsun/scenes/bedroom_train_lmdb.zip"
    assert str(error.value) == (
        f"lsun-bedroom: neither bedroom_train_lmdb nor bedroom_train is in {tmp_path} or {tmp_path}/lsun-bedroom; "
        f"fetch {url} into {tmp_path} (curl -O {url}) and unpack it there (unzip bedroom_train_lmdb.zip)."
    )


@pytest.mark.parametrize("kept", [0.3, 0.9, -1])
def test_a_database_cut_short_is_a_sentence_and_not_a_crash(tmp_path, kept):
    file = miniature(tmp_path) / "bedroom_train_lmdb/data.mdb"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if kept > 0 else kept])
    with pytest.raises(ValueError, match=r"^lsun-bedroom: .*data\.mdb is cut short: [\d,]+ bytes of [\d,]+; unpack it"):
        read(tmp_path)


@pytest.mark.parametrize("content", [b"", b"x" * 100, b"<!doctype html>" * 1000])
def test_what_is_no_database_is_a_sentence(tmp_path, content):
    (miniature(tmp_path) / "bedroom_train_lmdb/data.mdb").write_bytes(content)
    with pytest.raises(ValueError, match=r"^lsun-bedroom: .*_lmdb cannot be opened \(.*\); fetch and unpack it a"):
        read(tmp_path)


def test_bad_values_are_named_by_their_key(tmp_path):
    values = bedrooms("train", "jpeg") | {"dead": b"no image", "beef": b""}
    database(tmp_path / "bedroom_train_lmdb", values)
    database(tmp_path / "bedroom_val_lmdb", bedrooms("val", "jpeg"))
    with pytest.raises(ValueError, match=r"^lsun-bedroom: 2 of 22 images in .* cannot be used, first beef \(an em"):
        read(tmp_path)
    images = read(tmp_path, on_error="skip")
    assert np.array_equal(images.train.numpy(), expected("train", "jpeg", 16))
    (note,) = images.notes
    assert note.endswith("beef (an empty file), dead (not an image, or damaged at its start).")


def test_without_lmdb_it_says_what_to_install(tmp_path, monkeypatch):
    miniature(tmp_path)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    with pytest.raises(OSError, match=r"lmdb, which is not installed; pip install 'generative-zoo\[lsun\]', or export"):
        read(tmp_path)
