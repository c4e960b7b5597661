"""SVHN from miniature MATLAB files as published (version 5, compressed), whole and damaged."""

from __future__ import annotations

import hashlib
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.data import random_pixels, served
from scipy.io import loadmat, savemat
from torchvision.datasets import SVHN
from zoo_data.svhn import read_mat, svhn

from zoo.recipe import load_recipe

COUNTS = {"train": 20, "extra": 30, "test": 6}
BYTES = "32 x 32 x 3 x N bytes, of 73,257 images at most"


def pixels(part: str) -> np.ndarray:
    """uint8 (N, 32, 32, 3)."""
    return random_pixels(COUNTS[part], 32, 32, 3, seed=len(part))


def put(root: Path, part: str, **content: object) -> Path:
    path = root / f"{part}_32x32.mat"
    savemat(path, content, do_compression=True)
    return path


def miniature(root: Path) -> Path:
    for part in COUNTS:
        put(root, part, X=pixels(part).transpose(1, 2, 3, 0), y=classes(part)[:, None])
    return root


def classes(part: str) -> np.ndarray:
    """1 to 10, as published: 10 is the digit 0."""
    return np.random.default_rng(COUNTS[part]).integers(1, 11, COUNTS[part]).astype(np.uint8)


def packed(*parts: str) -> torch.Tensor:
    return torch.from_numpy(np.concatenate([pixels(part) for part in parts]).transpose(0, 3, 1, 2))


def read(root: Path, **options):
    return svhn(root=str(root), **({"check": False} | options))


@pytest.mark.parametrize(
    ("train_on", "parts"), [("train", ["train"]), ("extra", ["extra"]), ("both", ["train", "extra"])]
)
def test_images_are_the_publishers_in_their_order(tmp_path, train_on, parts):
    images = read(miniature(tmp_path), train_on=train_on)
    assert torch.equal(images.train, packed(*parts))
    assert torch.equal(images.test, packed("test"))
    for again in (images, read(tmp_path, train_on=train_on)):  # the second time from the cache
        assert again.fields["label"][0].tolist() == [int(one) % 10 for part in parts for one in classes(part)]
        assert again.fields["label"][1].tolist() == [int(one) % 10 for one in classes("test")]


def test_only_the_files_asked_for_are_needed(tmp_path):
    (miniature(tmp_path) / "extra_32x32.mat").unlink()
    images = read(tmp_path, train=5)
    assert [len(images.train), len(images.fields["label"][0])] == [5, 5]
    says = r"^svhn: extra_32x32\.mat is not in .* or .*/svhn; put it there \(http://ufldl\.stanford\.edu/housenumbers,"
    with pytest.raises(FileNotFoundError, match=says):
        read(tmp_path, train_on="both")


def test_luma_at_another_size(tmp_path):
    flat = np.broadcast_to(np.array([200, 30, 90], np.uint8)[:, None], (32, 32, 3, 20))
    put(miniature(tmp_path), "train", X=flat, y=classes("train")[:, None])
    images = read(tmp_path, size=8, channels=1)
    assert images.train.shape == (20, 1, 8, 8)
    assert images.train.unique().tolist() == [88]


def test_a_recipe_takes_it(tmp_path):
    recipe = load_recipe("vae", [f"data={{use: svhn, train_on: extra, root: {tmp_path}}}"])
    assert (recipe.sizes.size, recipe.sizes.channels) == (32, 3)


# -- what is refused -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [0, 60, 200, 0.5, 0.999])
def test_a_file_cut_short_is_a_sentence(tmp_path, kept):
    path = miniature(tmp_path) / "train_32x32.mat"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(ValueError, match=r"^svhn: .*train_32x32\.mat (is damaged or cut short|holds no array 'X').*fe"):
        read(tmp_path)


def test_damaged_files_are_sentences(tmp_path):
    """Bytes overwritten at random: an image or a sentence, nothing else."""
    path = put(tmp_path, "train", X=pixels("test").transpose(1, 2, 3, 0))
    content, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(content)
        for at in rng.integers(0, 400, 4):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        try:
            found = read_mat(path, "", 6)
        except ValueError as error:
            assert str(error).startswith("svhn: ")  # noqa: PT017
        else:
            assert found.dtype == np.uint8


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ({"Y": np.zeros(3)}, "holds no array 'X': it is not the file of that name"),
        ({"X": np.zeros((32, 32, 3, 4))}, f"holds an 'X' that is no array of {BYTES}"),
        ({"X": np.zeros((32, 32, 3), np.uint8)}, f"holds an 'X' that is no array of {BYTES}"),
        ({"X": "text"}, f"holds an 'X' that is no array of {BYTES}"),
    ],
)
def test_other_content_is_refused(tmp_path, content, says):
    put(miniature(tmp_path), "train", **content)
    with pytest.raises(ValueError, match=rf"^svhn: .*train_32x32\.mat {says}; fetch it again\.$"):
        read(tmp_path)


@pytest.mark.parametrize("compressed", [True, False])
def test_what_scipy_writes_is_read_as_scipy_reads_it(tmp_path, compressed):
    path, x = tmp_path / "x.mat", pixels("train").transpose(1, 2, 3, 0)
    savemat(path, {"y": np.arange(9.0), "X": x, "z": "text"}, do_compression=compressed)
    assert np.array_equal(read_mat(path, "", 20), loadmat(path)["X"])
    with pytest.raises(ValueError, match="of 19 images at most"):
        read_mat(path, "", 19)


def test_a_file_without_labels_is_a_sentence(tmp_path):
    put(miniature(tmp_path), "train", X=pixels("train").transpose(1, 2, 3, 0))
    with pytest.raises(ValueError, match=r"^svhn: .*train_32x32\.mat holds no array 'y': it is not the file"):
        read(tmp_path).fields["label"]
    put(tmp_path, "train", X=pixels("train").transpose(1, 2, 3, 0), y=np.ones((1, 20), np.uint8))
    with pytest.raises(ValueError, match="holds an 'y' that is no array of N x 1 bytes, of 73,257 images at most"):
        read(tmp_path).fields["label"]


def test_damaged_labels_are_packed_again_with_a_note(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    miniature(tmp_path)
    before = read(tmp_path).fields["label"][0].clone()
    (entry,) = (tmp_path / "cache/data").glob("svhn-train-labels-*.u8")
    entry.write_bytes(bytes(20))
    with pytest.warns(UserWarning, match=r"^svhn: .*\.u8 was damaged \(its pixels are not .* packed again\.$"):
        after = read(tmp_path).fields["label"]
    assert torch.equal(after[0], before)


def test_a_bomb_costs_what_it_may_hold(tmp_path):
    """128 MiB of zeros in half a MiB, said to be what is asked for, and said to be something else."""
    zeros = zlib.compressobj(1)
    shape = struct.pack("<II4i", 5, 16, 32, 32, 3, 2**27 // 3072)
    head = struct.pack("<IIIIII", 14, 2**27, 6, 8, 9, 0) + shape + struct.pack("<HHcxxx", 1, 1, b"X")
    bomb = zeros.compress(head + struct.pack("<II", 2, 2**27 // 3072 * 3072))
    bomb += b"".join(zeros.compress(bytes(2**24)) for _ in range(8)) + zeros.flush()
    path = tmp_path / "train_32x32.mat"
    path.write_bytes(b" " * 124 + b"\0\x01IM" + struct.pack("<II", 15, len(bomb)) + bomb)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match="of 99 images at most"):
        read_mat(path, "", 99)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


def test_files_are_the_publishers_unless_told_otherwise(tmp_path):
    with pytest.raises(ValueError, match=r"train_32x32\.mat is not the publisher's file \(MD5 \w+, not e26dedcc\w+\)"):
        read(miniature(tmp_path), check=True)


def test_files_that_lack_are_fetched(tmp_path, monkeypatch):
    (tmp_path / "publisher").mkdir()
    files = miniature(tmp_path / "publisher")
    with served(files) as address:
        names = {part: f"{part}_32x32.mat" for part in COUNTS}
        md5 = {part: hashlib.md5((files / name).read_bytes()).hexdigest() for part, name in names.items()}
        split_list = {part: [f"{address}/{name}", name, md5[part]] for part, name in names.items()}
        monkeypatch.setattr(SVHN, "split_list", split_list)
        images = svhn(root=str(tmp_path / "mine"), download=True)
    assert torch.equal(images.train, packed("train"))
    assert sorted(file.name for file in (tmp_path / "mine").iterdir()) == ["test_32x32.mat", "train_32x32.mat"]
