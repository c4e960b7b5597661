"""Fashion-MNIST from miniature files in the true format, whole and damaged, and what each damage is called."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.data import served
from zoo_data import fashion_mnist as module
from zoo_data.fashion_mnist import DEBIAN, fashion_mnist, read_idx

from zoo.data.batches import load_images
from zoo.recipe import load_recipe

COUNTS = {"train": 20, "t10k": 6}
FEW = {"train": 20, "test": 6}
IMAGES = "train-images-idx3-ubyte"
LABELS = "train-labels-idx1-ubyte"


def idx(array: np.ndarray, magic: int | None = None) -> bytes:
    """An IDX file as LeCun describes it: magic, each dimension big-endian, then the bytes."""
    header = struct.pack(f">{1 + array.ndim}I", magic or 0x0800 + array.ndim, *array.shape)
    return header + array.astype(np.uint8).tobytes()


def pixels(split: str) -> np.ndarray:
    return np.random.default_rng(len(split)).integers(0, 256, (COUNTS[split], 28, 28), np.uint8)


def miniature(root: Path, *, compressed: bool = True) -> Path:
    """The four files, of twenty and six images."""
    for split, count in COUNTS.items():
        put(root, f"{split}-images-idx3-ubyte", idx(pixels(split)), compressed=compressed)
        put(root, f"{split}-labels-idx1-ubyte", idx(np.arange(count) % 10), compressed=compressed)
    return root


def put(root: Path, name: str, content: bytes, *, compressed: bool = True) -> None:
    (root / f"{name}{'.gz' if compressed else ''}").write_bytes(gzip.compress(content) if compressed else content)


def content_of(root: Path, name: str) -> bytes:
    return gzip.decompress((root / f"{name}.gz").read_bytes())


def read(root: Path, **options):
    return fashion_mnist(path=str(root), **(FEW | options))


# --- MNIST, of the same form


@pytest.mark.parametrize(
    ("place", "path"), [("data/MNIST/raw", ""), ("data/mnist", ""), ("mine/MNIST/raw", "mine"), ("x", "x")]
)
def test_mnist_is_found_where_it_is_at_hand(tmp_path, monkeypatch, place, path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "MNIST", ("absent", *module.MNIST[1:]))
    (tmp_path / place).mkdir(parents=True)
    miniature(tmp_path / place, compressed=False)
    recipe = load_recipe("vae", [f"data={{use: mnist, size: 28, train: 20, test: 6, path: '{path}'}}"])
    recipe.data.load().ready(path=path)
    images = load_images(recipe)
    assert np.array_equal(images.train[:, 0].numpy(), pixels("train"))
    assert np.array_equal(images.test[:, 0].numpy(), pixels("t10k"))


def test_mnist_that_is_not_there(tmp_path):
    with pytest.raises(OSError, match=r"^mnist: neither train-images-idx3-ubyte nor .* is in .*; give option 'path'"):
        module.mnist(path=str(tmp_path))
    with pytest.raises(OSError, match=r"^mnist: neither"):
        module.mnist.ready(path=str(tmp_path))


# --- what is packed


@pytest.mark.parametrize("compressed", [True, False])
def test_images_are_the_files_in_their_order_padded_with_black(tmp_path, compressed):
    images = read(miniature(tmp_path, compressed=compressed))
    for split, packed in (("train", images.train), ("t10k", images.test)):
        assert (packed.dtype, packed.shape) == (torch.uint8, (COUNTS[split], 1, 32, 32))
        assert np.array_equal(packed[:, 0, 2:30, 2:30].numpy(), pixels(split))
        assert packed.sum() == int(pixels(split).sum(dtype=int))
    labels = [read_idx(tmp_path / f"{split}-labels-idx1-ubyte{'.gz' * compressed}", 0x0801) for split in COUNTS]
    assert [of.tolist() for of in images.fields["label"]] == [of.tolist() for of in labels]
    assert labels[0].tolist() == [k % 10 for k in range(20)]


def test_the_first_images_are_taken(tmp_path):
    images = read(miniature(tmp_path), train=3, test=2)
    whole = read(tmp_path)
    assert torch.equal(images.train, whole.train[:3])
    assert [of.tolist() for of in images.fields["label"]] == [[0, 1, 2], [0, 1]]
    assert torch.equal(images.test, whole.test[:2])


@pytest.mark.parametrize("size", [28, 29, 64])
def test_padding_touches_no_pixel_at_any_size(tmp_path, size):
    images = read(miniature(tmp_path), size=size, channels=3)
    start = (size - 28) // 2
    assert images.test.shape == (6, 3, size, size)
    for channel in range(3):
        inside = images.test[:, channel, start : start + 28, start : start + 28]
        assert np.array_equal(inside.numpy(), pixels("t10k"))


def test_small_sizes_are_antialiased_and_resize_fills_the_image(tmp_path):
    miniature(tmp_path)
    checkers = np.broadcast_to(np.indices((28, 28)).sum(0) % 2 * 255, (6, 28, 28))
    put(tmp_path, "t10k-images-idx3-ubyte", idx(checkers))
    assert (read(tmp_path, size=7).test.int() - 127).abs().max() <= 3
    put(tmp_path, "t10k-images-idx3-ubyte", idx(np.full((6, 28, 28), 200)))
    assert read(tmp_path, size=32, fit="resize").test.min() == 200


def test_a_recipe_takes_it(tmp_path):
    recipe = load_recipe("vae", ["data.use=fashion-mnist", f"data.path={tmp_path}"])
    assert (recipe.sizes.size, recipe.sizes.channels) == (32, 1)


@pytest.mark.skipif(not Path(DEBIAN).is_dir(), reason="apt install dataset-fashion-mnist")
def test_the_debian_package_is_read_without_a_path():
    images = fashion_mnist(train=60000, test=10000)
    assert (len(images.train), len(images.test)) == (60000, 10000)
    assert images.train[:, 0, 2:30, 2:30].float().mean() == pytest.approx(72.94, abs=0.01)  # the publisher's 0.2860


# --- what is refused, in a sentence each


def test_a_missing_file_says_where_it_comes_from(tmp_path):
    says = (
        rf"^fashion-mnist: neither {IMAGES} nor {IMAGES}\.gz is in .*; install it \(apt install dataset-fashion-mnist\)"
    )
    with pytest.raises(FileNotFoundError, match=says):
        read(tmp_path)


def test_files_that_lack_are_fetched_and_checked(tmp_path, monkeypatch):
    (tmp_path / "publisher").mkdir()
    files = sorted(miniature(tmp_path / "publisher").iterdir())
    resources = [(file.name, hashlib.md5(file.read_bytes()).hexdigest()) for file in files]
    monkeypatch.setattr(module, "DEBIAN", str(tmp_path / "none"))
    monkeypatch.setattr(module.FashionMNIST, "resources", resources)
    monkeypatch.chdir(tmp_path)
    with served(tmp_path / "publisher") as address:
        monkeypatch.setattr(module.FashionMNIST, "mirrors", [f"{address}/"])
        images = fashion_mnist(**FEW, download=True)
        (tmp_path / "publisher" / files[0].name).write_bytes(b"another file")
        with pytest.raises(OSError, match=rf"^fashion-mnist: {address}/{files[0].name} could not be fetched \(.*\); "):
            read(tmp_path / "mine", download=True)
    assert torch.equal(images.train, read(tmp_path / "data/fashion-mnist").train)
    assert torch.equal(fashion_mnist(**FEW).test, images.test)
    assert list((tmp_path / "mine").iterdir()) == []


def test_no_path_is_the_debian_package(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "DEBIAN", str(tmp_path))
    miniature(tmp_path)
    assert len(fashion_mnist(**FEW).train) == 20


@pytest.mark.parametrize("name", [IMAGES, LABELS, "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
@pytest.mark.parametrize("kept", [0, 3, 7, -1])
def test_a_file_cut_short_is_truncated(tmp_path, name, kept):
    put(miniature(tmp_path), name, content_of(tmp_path, name)[:kept])
    with pytest.raises(ValueError, match=rf"^fashion-mnist: .*{name}\.gz is truncated.*; fetch it again\.$"):
        read(tmp_path)


@pytest.mark.parametrize("kept", [0.02, 0.5, 0.999])
def test_a_download_cut_short_is_truncated(tmp_path, kept):
    path = miniature(tmp_path) / f"{IMAGES}.gz"
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    with pytest.raises(ValueError, match=r"gz is truncated.*; fetch it again\.$"):
        read(tmp_path)


def test_bytes_overwritten_in_a_compressed_file_are_noticed(tmp_path):
    path = miniature(tmp_path) / f"{IMAGES}.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"^fashion-mnist: .*gz (is damaged|is truncated|is longer)"):
        read(tmp_path)


def test_a_web_page_saved_under_the_name_is_damaged(tmp_path):
    (miniature(tmp_path) / f"{IMAGES}.gz").write_bytes(b"<!doctype html><p>404")
    with pytest.raises(ValueError, match=r"gz is damaged \(Not a gzipped file.*\); fetch it again\.$"):
        read(tmp_path)


def test_another_magic_number_is_another_file(tmp_path):
    put(miniature(tmp_path), IMAGES, content_of(tmp_path, LABELS))
    says = rf"{IMAGES}\.gz begins with 0x00000801, not 0x00000803: it is not the IDX file of that name\.$"
    with pytest.raises(ValueError, match=says):
        read(tmp_path)


def test_more_bytes_than_promised_are_refused(tmp_path):
    put(miniature(tmp_path), IMAGES, content_of(tmp_path, IMAGES) + b"\0")
    with pytest.raises(ValueError, match=r"is longer than it says: its header promises 20 x 28 x 28 bytes"):
        read(tmp_path)


def test_a_header_that_promises_terabytes_allocates_none(tmp_path):
    content = bytearray(content_of(miniature(tmp_path), IMAGES))
    content[4:8] = b"\xff" * 4
    put(tmp_path, IMAGES, bytes(content))
    with pytest.raises(ValueError, match=r"is truncated: its header promises 4,294,967,295 x 28 x 28 bytes"):
        read(tmp_path)


def test_images_of_another_size_are_refused(tmp_path):
    put(miniature(tmp_path), IMAGES, idx(np.zeros((20, 16, 16))))
    with pytest.raises(ValueError, match=r"holds images of 16 x 16, not 28 x 28\.$"):
        read(tmp_path)


def test_other_counts_of_images_and_labels_are_refused(tmp_path):
    put(miniature(tmp_path), LABELS, idx(np.zeros(19)))
    says = rf"{IMAGES}\.gz holds 20 images and {LABELS}\.gz 19 labels; the files in .* are not of one set"
    with pytest.raises(ValueError, match=says):
        read(tmp_path)


@pytest.mark.parametrize(("option", "value"), [("train", 0), ("train", 21), ("test", 7), ("test", -1)])
def test_counts_outside_the_file_are_refused(tmp_path, option, value):
    with pytest.raises(ValueError, match=rf"^fashion-mnist: option '{option}' is {value}; .* choose from 1 to that\.$"):
        read(miniature(tmp_path), **{option: value})


@pytest.mark.parametrize(("option", "value"), [("size", 0), ("channels", 2)])
def test_common_options_are_refused_as_elsewhere(option, value):
    with pytest.raises(ValueError, match=rf"^fashion-mnist: option '{option}' is {value}; choose"):
        fashion_mnist(**{option: value})


def test_a_directory_in_place_of_the_folder_is_no_traceback(tmp_path):
    (miniature(tmp_path) / f"{IMAGES}.gz").unlink()
    (tmp_path / f"{IMAGES}.gz").mkdir()
    with pytest.raises(FileNotFoundError, match=r"^fashion-mnist: neither"):
        read(tmp_path)
