"""CIFAR-10 and -100 from miniature archives and folders in the true format, whole, damaged and hostile."""

from __future__ import annotations

import hashlib
import io
import os
import pickle
import subprocess
import tarfile
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.data import (
    CIFAR,
    cifar_archive,
    cifar_batches,
    cifar_folder,
    cifar_labels,
    python2_pickle,
    random_pixels,
    served,
)
from torchvision import datasets
from zoo_data import cifar
from zoo_data.pickles import read_batch

from zoo.recipe import load_recipe

COUNT = 20
NAMES = pytest.mark.parametrize("name", ["cifar10", "cifar100"])


def read(root: Path, name: str = "cifar10", **options):
    return getattr(cifar, name)(root=str(root), **({"check": False} | options))


def expected(name: str, split: str) -> torch.Tensor:
    batches = [
        rows for batch, rows in cifar_batches(name, COUNT).items() if batch.startswith("test") == (split == "test")
    ]
    return torch.from_numpy(np.concatenate(batches).reshape(-1, 3, 32, 32))


# -- what is packed --------------------------------------------------------------------------------------------


def test_the_miniature_is_what_pickle_itself_reads():
    rows = random_pixels(3, 3072)
    batch = pickle.loads(python2_pickle({"data": rows, "labels": [1, 2, 3], "batch_label": "b"}), encoding="bytes")
    assert batch[b"labels"] == [1, 2, 3]
    assert np.array_equal(batch[b"data"], rows)
    pixels, labels = read_batch(python2_pickle({"data": rows, "labels": [1, 2, 3]}), "labels")
    assert np.array_equal(pixels, rows)
    assert labels == [1, 2, 3]


@NAMES
@pytest.mark.parametrize("make", [cifar_archive, cifar_folder])
def test_images_are_the_publishers_in_their_order(tmp_path, name, make):
    make(tmp_path, name)
    images = read(tmp_path, name)
    assert torch.equal(images.train, expected(name, "train"))
    assert torch.equal(images.test, expected(name, "test"))
    assert images.notes == ()
    labels = cifar_labels(name, COUNT)
    of_train, of_test = (
        [label for batch in labels if batch.startswith("test") == held_out for label in labels[batch]]
        for held_out in (False, True)
    )
    for again in (images, read(tmp_path, name)):  # the second time from the cache
        assert again.fields["label"][0].tolist() == of_train
        assert again.fields["label"][1].tolist() == of_test


def test_a_folder_of_its_own_below_the_root_will_do(tmp_path):
    (tmp_path / "cifar10").mkdir()
    cifar_archive(tmp_path / "cifar10", "cifar10")
    assert len(read(tmp_path).train) == 5 * COUNT


def test_sizes_channels_and_counts(tmp_path):
    cifar_folder(tmp_path, "cifar100")
    images = read(tmp_path, "cifar100", size=16, channels=1, train=7, test=3)
    assert (images.train.shape, images.test.shape) == ((7, 1, 16, 16), (3, 1, 16, 16))
    assert images.fields["label"][0].tolist() == cifar_labels("cifar100", COUNT)["train"][:7]
    for option, wanted in (("train", 21), ("test", -1)):
        says = rf"^cifar100: option '{option}' is {wanted}; choose from 1 to 20, or 0 for all of them\.$"
        with pytest.raises(ValueError, match=says):
            read(tmp_path, "cifar100", **{option: wanted})


def test_arrays_pickled_by_numpy_2_are_read_too():
    rows = random_pixels(2, 3072)
    assert np.array_equal(read_batch(pickle.dumps({"data": rows, "labels": [0, 9]}, 3), "labels").pixels, rows)


@NAMES
def test_a_recipe_takes_it(tmp_path, name):
    recipe = load_recipe("vae", [f"data={{use: {name}, root: {tmp_path}}}"])
    assert (recipe.sizes.size, recipe.sizes.channels) == (32, 3)


# -- what is refused -------------------------------------------------------------------------------------------


def test_missing_files_say_which_go_where(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        read(tmp_path)
    assert str(error.value) == (
        f"cifar10: neither cifar-10-batches-py nor cifar-10-python.tar.gz is in {tmp_path} or {tmp_path}/cifar10; "
        "put one there (https://www.cs.toronto.edu/~kriz/cifar.html, the python version), or set download to true."
    )


def test_a_home_that_is_not_there_is_a_sentence():
    with pytest.raises(ValueError, match=r"^cifar10: option 'root' is '~no-such-user/x' \(.*\); give a directory\.$"):
        read(Path("~no-such-user/x"))


@pytest.mark.parametrize("make", [cifar_archive, cifar_folder])
def test_files_are_the_publishers_unless_told_otherwise(tmp_path, monkeypatch, make):
    make(tmp_path, "cifar100")
    says = (
        r"^cifar100: train is not the publisher's file \(MD5 \w+, not 16019d7e3d\w+\): .*; fetch it again, or set check"
    )
    with pytest.raises(ValueError, match=says):
        read(tmp_path, "cifar100", check=True)
    (tmp_path / "unpacked").mkdir()
    files = cifar_folder(tmp_path / "unpacked", "cifar100")
    for split in ("train", "test"):
        digest = hashlib.md5((files / split).read_bytes()).hexdigest()
        monkeypatch.setattr(datasets.CIFAR100, f"{split}_list", [[split, digest]])
    assert torch.equal(read(tmp_path, "cifar100", check=True).train, expected("cifar100", "train"))


@pytest.mark.parametrize("kept", [0, 10, 0.3, 0.999])
def test_an_archive_cut_short_is_a_sentence(tmp_path, kept):
    archive = cifar_archive(tmp_path, "cifar100")
    content = archive.read_bytes()
    archive.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(ValueError, match=r"^cifar100: .*tar\.gz is damaged or cut short \(.*\); fetch it again\.$"):
        read(tmp_path, "cifar100")


def test_a_web_page_under_the_archives_name_is_a_sentence(tmp_path):
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(b"<!doctype html>" + b"x" * 2000)
    with pytest.raises(ValueError, match=r"tar\.gz is damaged or cut short \(not a gzip file\); fetch it again\.$"):
        read(tmp_path)


def test_an_archive_that_would_escape_writes_nothing_and_links_lead_nowhere(tmp_path):
    folder, secret = CIFAR["cifar10"][0], tmp_path / "secret"
    secret.write_bytes(python2_pickle({"data": random_pixels(1, 3072)}))
    with tarfile.open(tmp_path / "cifar-10-python.tar.gz", "w:gz") as tar:
        for name in ("../evil", "/tmp/evil", f"{folder}/../../evil", f"./../{folder}/data_batch_2"):
            member = tarfile.TarInfo(name)
            member.size = 4
            tar.addfile(member, io.BytesIO(b"evil"))
        link = tarfile.TarInfo(f"{folder}/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, str(secret)
        tar.addfile(link)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=rf"holds no file {folder}/data_batch_1, {folder}/data_batch_2, .*; fetch it"):
        read(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_a_batch_missing_from_the_folder_is_a_sentence(tmp_path):
    (cifar_folder(tmp_path, "cifar10") / "data_batch_3").unlink()
    with pytest.raises(OSError, match=r"data_batch_3 cannot be read \(No such file or directory\); fetch the archive"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("batch", "says"),
    [
        (
            {"data": random_pixels(2, 1024), "fine_labels": [0, 1]},
            r"holds an array \(2, 1024\), not rows of 3 x 32 x 32 bytes",
        ),
        ({"data": random_pixels(2, 3072).astype("<i4")}, "cannot be read: its array is not one of unsigned bytes"),
        ({"data": [1, 2]}, "cannot be read: it holds no array 'data'"),
        ({"data": random_pixels(2, 3072)}, "cannot be read: it holds no classes 'fine_labels'"),
        (
            {"data": random_pixels(2, 3072), "fine_labels": [0, 256]},
            "cannot be read: it holds no classes 'fine_labels'",
        ),
        ({"data": random_pixels(2, 3072), "fine_labels": [0]}, "holds 2 images and 1 labels"),
        ([1], "cannot be read: it holds no array 'data'"),
    ],
)
def test_other_content_is_refused(tmp_path, batch, says):
    (cifar_folder(tmp_path, "cifar100") / "train").write_bytes(python2_pickle(batch))
    with pytest.raises(ValueError, match=rf"^cifar100: train {says}\.$"):
        read(tmp_path, "cifar100")


# -- hostile pickles -------------------------------------------------------------------------------------------


class Reduced:
    """Pickled as a call."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


def hostile(ran: Path) -> dict[str, object]:
    command = f"touch {ran}"
    return {
        "posix.system": Reduced(os.system, (command,)),
        "builtins.eval": Reduced(eval, (f"open({str(ran)!r}, 'w')",)),
        "builtins.getattr": Reduced(getattr, ("", "join")),
        "subprocess.Popen": Reduced(subprocess.Popen, (["touch", str(ran)],)),
        "numpy.load": Reduced(np.load, ("/etc/passwd",)),
    }


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("named", hostile(Path("/nowhere")))
def test_no_pickle_runs_anything(tmp_path, named, protocol):
    ran = tmp_path / "ran"
    content = pickle.dumps({"data": hostile(ran)[named]}, protocol, fix_imports=False)
    with pytest.raises(ValueError, match=rf"^it asks for {named}, which no image file needs and which is never given$"):
        read_batch(content, "labels")
    assert not ran.exists()


def test_a_hostile_batch_is_a_sentence_with_its_place(tmp_path):
    ran = tmp_path / "ran"
    content = pickle.dumps({"data": Reduced(os.system, (f"touch {ran}",))}, 2)
    (cifar_folder(tmp_path, "cifar10") / "data_batch_2").write_bytes(content)
    with pytest.raises(ValueError, match=r"^cifar10: data_batch_2 cannot be read: it asks for posix\.system, which no"):
        read(tmp_path)
    assert not ran.exists()


@pytest.mark.parametrize("place", [2**31 - 1, 2**28])
def test_a_pickle_cannot_ask_for_memory(place):
    with pytest.raises(ValueError, match=rf"^it stores something at place {place:,} of its memo$"):
        read_batch(b"\x80\x02]r" + place.to_bytes(4, "little") + b".", "labels")


def test_damaged_pickles_are_sentences_or_arrays():
    """Bytes overwritten at random: never another exception, and no other global."""
    rng = np.random.default_rng(0)
    whole = python2_pickle({"labels": [1, 2], "data": random_pixels(1, 64)})
    for _ in range(400):
        content = bytearray(whole)
        for at in rng.integers(0, len(content), 3):
            content[at] = rng.integers(256)
        with suppress(ValueError):
            assert read_batch(bytes(content), "labels").pixels.dtype == np.uint8
    for kept in range(0, len(whole), 7):
        with pytest.raises(ValueError, match=r"\w"):
            read_batch(whole[:kept], "labels")


# -- downloads -------------------------------------------------------------------------------------------------


def test_the_archive_is_fetched_once_and_checked(tmp_path, monkeypatch):
    (tmp_path / "publisher").mkdir()
    archive = cifar_archive(tmp_path / "publisher", "cifar10")
    monkeypatch.setattr(datasets.CIFAR10, "tgz_md5", hashlib.md5(archive.read_bytes()).hexdigest())
    with served(archive.parent) as address:
        monkeypatch.setattr(datasets.CIFAR10, "url", f"{address}/{archive.name}")
        images = read(tmp_path / "mine", download=True)
    assert torch.equal(images.train, expected("cifar10", "train"))
    assert [file.name for file in (tmp_path / "mine").iterdir()] == [archive.name]
    assert torch.equal(read(tmp_path / "mine", download=True).test, images.test)  # nobody serves it any more


def test_a_download_that_is_not_the_publishers_is_not_kept(tmp_path, monkeypatch):
    archive = cifar_archive(tmp_path, "cifar10")
    with served(tmp_path) as address:
        for file in (archive.name, "none"):
            monkeypatch.setattr(datasets.CIFAR10, "url", f"{address}/{file}")
            says = rf"^cifar10: {address}/{file} could not be fetched \(.*\); fetch it by other means and put it into "
            with pytest.raises(OSError, match=says):
                read(tmp_path / "mine", download=True)
            assert list((tmp_path / "mine").iterdir()) == []
