"""What of a directory, or a zip, is taken for training, what for test, and what is passed over."""

import os
import random
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from zoo_data import cache, pack
from zoo_data.decode import View
from zoo_data.folder import folder
from zoo_data.sources import Source


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    monkeypatch.setattr(pack, "MOST_WORKERS", 1)


def grey(path: Path, level: int, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (level, level, level)).save(path, **options)
    return path


def levels(images: torch.Tensor) -> list[int]:
    """What each image is painted with."""
    return sorted(images[:, 0, 0, 0].tolist())


def read(path, **options):
    images = folder(path=str(path), size=8, workers=1, **options)
    return levels(images.train), levels(images.test), images.notes


def test_files_without_extension_are_read_by_their_first_bytes(tmp_path):
    for level, kind in enumerate(("PNG", "JPEG", "WEBP", "GIF", "AVIF", "JPEG2000")):
        grey(tmp_path / kind, 40 * level, format=kind)
    (tmp_path / "README").write_text("no image")
    (tmp_path / "empty").touch()
    (tmp_path / "photo.heic").write_bytes(b"unread")
    train, test, notes = read(tmp_path)
    assert np.abs(np.array(sorted([*train, *test])) - 40 * np.arange(6)).max() <= 2
    counted = "2 without extension, 1 .heic; .heic cannot be read: save them as PNG or JPEG"
    assert notes == (f"folder: found 6 images in {tmp_path}, passed over files ({counted}).",)


def test_runs_of_the_zoo_are_passed_over(tmp_path):
    for level in range(5):
        grey(tmp_path / f"{level}.png", level)
    for name in ("runs/a", "runs/b"):
        grey(tmp_path / name / "samples.png", 200)
        (tmp_path / name / "recipe.yaml").touch()
        (tmp_path / name / "plugins.json").touch()
    train, test, notes = read(tmp_path)
    assert sorted([*train, *test]) == [0, 1, 2, 3, 4]
    assert notes == (f"folder: found 5 images in {tmp_path}, passed over 2 runs of the zoo (runs/a, runs/b).",)
    grey(tmp_path / "runs/a/other.png", 100)
    train, test, _ = read(tmp_path / "runs/a")  # asked for by name
    assert sorted([*train, *test]) == [100, 200]


def test_directories_of_splits_are_not_mixed(tmp_path):
    for split, level in (("Train", 0), ("test", 100), ("val", 200)):
        for i in range(4):
            grey(tmp_path / split / "deeper" / f"{i}.png", level + i)
    train, test, notes = read(tmp_path)
    assert (train, test) == ([0, 1, 2, 3], [100, 101, 102, 103])
    said = "Train/ with 4 images for training and test/ with 4 for test; 4 images besides these are not used."
    assert notes == (f"folder: {tmp_path} has {said}",)


@pytest.mark.parametrize("absolute", [False, True])
def test_test_may_be_a_directory(tmp_path, absolute):
    for split, level in (("a", 0), ("b", 100)):
        for i in range(3):
            grey(tmp_path / split / f"{i}.png", level + i)
    assert read(tmp_path, test=str(tmp_path / "b") if absolute else "b") == ([0, 1, 2], [100, 101, 102], ())
    assert read(tmp_path / "a", test="../b")[:2] == ([0, 1, 2], [100, 101, 102])
    with pytest.raises(ValueError, match=r"^folder: option 'test' is '\.'; .* holds no image, or "):
        read(tmp_path, test=".")
    with pytest.raises(FileNotFoundError, match=r"^folder: .*/none does not exist"):
        read(tmp_path / "a", test="../none")


def test_a_zip_is_read_as_the_directory_that_was_packed(tmp_path):
    for i in range(9):
        grey(tmp_path / "in" / f"{i}.png", i)
    (tmp_path / "in/note.txt").write_text("no image")
    with ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in sorted((tmp_path / "in").iterdir()):
            archive.write(path, path.name)
        archive.writestr("__MACOSX/._0.png", b"what macOS leaves behind")
        archive.writestr("bad.png", b"no image")
    train, test, notes = read(tmp_path / "in.zip", test=0.3)
    assert (train, test) == read(tmp_path / "in", test=0.3)[:2]
    assert len(notes) == 2
    assert "passed over files (1 .txt)" in notes[0]
    assert "bad.png (not an image" in notes[1]


def test_home_and_environment_are_known_in_paths(tmp_path, monkeypatch):
    for i in range(2):
        grey(tmp_path / f"{i}.png", i)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("~") == read("$HOME") == read(tmp_path)


def test_other_images_of_the_same_names_sizes_and_times_are_not_the_first_ones(tmp_path):
    def fill(where: str, level: int) -> list[int]:
        for i in range(20):
            os.utime(grey(tmp_path / where / f"{i}.bmp", level), (0, 0))
        train, test, _ = read(tmp_path / where)
        return sorted({*train, *test})

    assert [fill("v1", 1), fill("v2", 2), fill("v1", 3)] == [[1], [2], [3]]


def test_a_sample_of_contents_is_compared_where_a_disk_tells_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo_data.sources.signature", lambda _: [])
    monkeypatch.setattr("zoo_data.listed.signature", lambda _: [])
    for level in (1, 2):
        for i in range(20):
            grey(tmp_path / f"{i}.bmp", level)
        assert set(read(tmp_path)[0]) == {level}


def test_a_large_entry_is_read_whole_within_a_number_of_openings(tmp_path, monkeypatch):
    view = View(8, 3)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path))
    monkeypatch.setattr(pack, "CHUNK", 4)
    monkeypatch.setattr(cache, "SAMPLE_BYTES", 5 * 4 * view.bytes)  # both ends, and three of the eight between
    arrays = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), np.uint8)
    of = Source("set", "train", 40, lambda start: ((str(i), arrays[i]) for i in range(start, 40)), [], "images")
    for chunk in range(1, 9):
        pack.pack(of, view, 1)
        (path,) = (tmp_path / "data").glob("*.u8")
        for _ in range(random.Random(chunk).randrange(4)):
            pack.pack(of, view, 1)
        status, content = path.stat(), bytearray(path.read_bytes())
        content[chunk * 4 * view.bytes] ^= 1
        path.write_bytes(content)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        assert sum(bool(pack.pack(of, view, 1).notes) for _ in range(3)) == 1
