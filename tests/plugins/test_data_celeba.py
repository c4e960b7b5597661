"""CelebA from miniature archives and folders: the crops, the splits, and every damage."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest
import torch
from helpers.data import encoded, random_pixels, smooth
from PIL import Image
from zoo_data import celeba as module
from zoo_data import sources
from zoo_data.celeba import celeba
from zoo_data.decode import View

from zoo.recipe import load_recipe


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    """No process is started for a few small images."""
    monkeypatch.setitem(celeba.__kwdefaults__, "workers", 1)


PARTS = "0000000000" * 2 + "111" + "2222222"
"""Of thirty images: twenty for training, three for validation, seven for test."""
NAMES = [f"{number:06}.jpg" for number in range(1, len(PARTS) + 1)]


def faces() -> dict[str, bytes]:
    """Grey levels that say which image it is."""
    return {name: encoded(Image.new("RGB", (178, 218), (8 * i,) * 3)) for i, name in enumerate(NAMES)}


def miniature(root: Path, *, archive: bool = True) -> Path:
    lines = [f"{name} {part}" for name, part in zip(NAMES, PARTS, strict=True)]
    (root / "list_eval_partition.txt").write_text("\n".join(lines) + "\n")
    if archive:
        with ZipFile(root / "img_align_celeba.zip", "w", ZIP_STORED) as zipped:
            zipped.writestr("img_align_celeba/", b"")
            for name, content in faces().items():
                zipped.writestr(f"img_align_celeba/{name}", content)
    else:
        (root / "img_align_celeba").mkdir()
        for name, content in faces().items():
            (root / "img_align_celeba" / name).write_bytes(content)
    return root


def read(root: Path, **options):
    return celeba(root=str(root), **({"check": False, "size": 8} | options))


def which(images: torch.Tensor) -> list[int]:
    return (images[:, 0, 4, 4].float() / 8).round().int().tolist()


# -- what is packed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("archive", [True, False])
def test_the_official_split_is_the_partition_file(tmp_path, archive):
    images = read(miniature(tmp_path, archive=archive))
    assert (which(images.train), which(images.test)) == (list(range(20)), list(range(23, 30)))
    assert images.notes == ()


def test_the_layout_of_kaggle(tmp_path):
    """A folder within a folder of its name, and a table with a header: the same images; its checksum is its own."""
    inner = miniature(tmp_path, archive=False) / "img_align_celeba"
    inner.rename(tmp_path / "inner")
    inner.mkdir()
    (tmp_path / "inner").rename(inner / "img_align_celeba")
    (tmp_path / "list_eval_partition.txt").unlink()
    lines = [f"{name},{part}" for name, part in zip(NAMES, PARTS, strict=True)]
    (tmp_path / "list_eval_partition.csv").write_text("\n".join(["image_id,partition", *lines]) + "\n")
    images = read(tmp_path, check=True)
    assert (which(images.train), which(images.test)) == (list(range(20)), list(range(23, 30)))


def attributes(root: Path, kaggle: bool) -> np.ndarray:
    """A file of them, and what it says: 1 and -1, (30, 40)."""
    said = np.random.default_rng(0).choice([-1, 1], (len(NAMES), 40))
    header = " ".join(f"Attribute_{number}" for number in range(40))
    lines = [f"{len(NAMES)}", header, *(" ".join([n, *map(str, row)]) for n, row in zip(NAMES, said, strict=True))]
    text = "\n".join([f"image_id {header}", *lines[2:]]).replace(" ", ",") if kaggle else "\n".join(lines)
    (root / f"list_attr_celeba.{'csv' if kaggle else 'txt'}").write_text(text + "\n")
    return said


@pytest.mark.parametrize("kaggle", [True, False])
def test_attributes_are_those_of_the_images(tmp_path, kaggle):
    miniature(tmp_path, archive=False)
    said = torch.from_numpy(attributes(tmp_path, kaggle))
    (tmp_path / "img_align_celeba/000003.jpg").write_bytes(b"no image")
    images = read(tmp_path, on_error="skip", train=5)
    train, test = images.fields["attributes"]
    assert torch.equal(2 * train.long() - 1, said[[0, 1, 3, 4]])
    assert torch.equal(2 * test.long() - 1, said[23:])


def test_attributes_that_are_not_there_are_missed_by_who_asks_for_them(tmp_path):
    images = read(miniature(tmp_path))
    with pytest.raises(
        FileNotFoundError, match=r"neither list_attr_celeba\.txt nor list_attr_celeba\.csv is in .*fetch it"
    ):
        images.fields["attributes"]
    attributes(tmp_path, kaggle=False)
    file = tmp_path / "list_attr_celeba.txt"
    text = file.read_text()
    for damaged, says in (
        (
            text.replace("000002.jpg -1", "000002.jpg 7", 1).replace("000002.jpg 1", "000002.jpg 7", 1),
            r"txt:4: '000002.jpg 7",
        ),
        (text.replace("000002.jpg", "000099.jpg"), "says nothing of 000002.jpg; fetch it again"),
    ):
        file.write_text(damaged)
        with pytest.raises(ValueError, match=says):
            read(tmp_path).fields["attributes"]
    with pytest.raises(ValueError, match="is not the publisher's file"):
        module.read_attributes(file, NAMES, check=True)


def test_the_papers_split_is_nine_tenths(tmp_path):
    images = read(miniature(tmp_path), split="paper")
    assert (which(images.train), which(images.test)) == (list(range(27)), [27, 28, 29])


def test_the_first_images_are_taken(tmp_path):
    images = read(miniature(tmp_path), train=4, test=2)
    assert (which(images.train), which(images.test)) == ([0, 1, 2, 3], [23, 24])
    with pytest.raises(ValueError, match=r"^celeba: option 'test' is 8; choose from 1 to 7, or 0 for all of them\.$"):
        read(tmp_path, test=8)


@pytest.mark.parametrize(
    ("crop", "box"),
    [
        (178, (0, 20, 178, 198)),
        (148, (15, 35, 163, 183)),
        (108, (35, 55, 143, 163)),
        ("none", (0, 0, 178, 218)),
        ("paper", (35, 43, 143, 175)),  # int((178 - 0.6 * 178) / 2) on both sides, as tf.image.central_crop
    ],
)
def test_crops_are_central_and_of_the_size_said(tmp_path, crop, box):
    face = smooth(3, (178, 218))
    miniature(tmp_path, archive=False)
    face.save(tmp_path / "img_align_celeba/000001.png")
    (tmp_path / "list_eval_partition.txt").write_text("000001.png 0\n000002.jpg 2\n")
    left, top, right, bottom = box
    expected = np.asarray(face.crop(box).resize((64, 64), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert View(64, 3, crop).box(178, 218) == box
    assert np.array_equal(read(tmp_path, crop=crop, size=64).train[0].numpy(), expected)
    published = read(tmp_path, crop=crop, size=64, resize="published").train
    part = torch.from_numpy(np.asarray(face)[top:bottom, left:right].transpose(2, 0, 1).copy())
    plain = torch.nn.functional.interpolate(part[None].double(), (64, 64), mode="bilinear", antialias=False)
    assert (published - plain).abs().max() <= 0.5 + 1e-6


@pytest.mark.parametrize(("side", "size"), [(40, 64), (64, 64), (200, 7), (3, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_published_resizing_is_torchs_bilinear_without_antialias(side, size, channels):
    array = random_pixels(1, side, side + 1, 3)[0]
    image = Image.fromarray(array).convert("L" if channels == 1 else "RGB")
    pixels = torch.from_numpy(np.atleast_3d(np.asarray(image)).transpose(2, 0, 1).copy())
    expected = torch.nn.functional.interpolate(pixels[None].double(), (size, size), mode="bilinear", antialias=False)
    found = torch.from_numpy(View(size, channels, "none", "published").square(image).copy())
    assert (found - expected[0]).abs().max() <= 0.5 + 1e-6


def test_a_crop_larger_than_an_image_is_a_bad_image(tmp_path):
    with pytest.raises(ValueError, match=r"first 000001\.jpg \(178 x 218 pixels, too small for a crop of 180\)\.$"):
        read(miniature(tmp_path), crop=180)
    with pytest.raises(ValueError, match=r"^celeba: option 'crop' is 1; choose a side of at least 2 pixels\.$"):
        read(tmp_path, crop=1)


def test_a_recipe_takes_it_and_its_crops(tmp_path):
    for crop in ("paper", "none", 148):
        recipe = load_recipe("vae", [f"data={{use: celeba, root: {tmp_path}, crop: {crop}, size: 32}}"])
        assert (recipe.sizes.size, recipe.sizes.channels) == (32, 3)


# -- what is refused -------------------------------------------------------------------------------------------


def test_missing_files_say_which_go_where(tmp_path):
    cure = (
        f"fetch img_align_celeba.zip and list_eval_partition.txt by hand from "
        "https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html (Align&Cropped Images; Train/Val/Test Partitions) "
        f"and put both into {tmp_path}."
    )
    with pytest.raises(FileNotFoundError) as error:
        read(tmp_path)
    names = "neither img_align_celeba.zip nor img_align_celeba"
    assert str(error.value) == f"celeba: {names} is in {tmp_path} or {tmp_path}/celeba; {cure}"
    (tmp_path / "img_align_celeba").mkdir()
    with pytest.raises(FileNotFoundError, match=r"^celeba: list_eval_partition\.txt is not in .*; fetch img_align_"):
        read(tmp_path)


def test_files_are_the_publishers_unless_told_otherwise(tmp_path, monkeypatch):
    miniature(tmp_path)
    with pytest.raises(ValueError, match=r"list_eval_partition\.txt is not the publisher's file .* not d32c9cbf5e"):
        read(tmp_path, check=True)
    partition = hashlib.md5((tmp_path / "list_eval_partition.txt").read_bytes()).hexdigest()
    monkeypatch.setitem(module.MD5, "list_eval_partition.txt", partition)
    with pytest.raises(ValueError, match=r"img_align_celeba\.zip is not the publisher's file .* not 00d2c5bc6d"):
        read(tmp_path, check=True)


@pytest.mark.parametrize("kept", [0, 100, 0.5, 0.99])
def test_an_archive_cut_short_is_a_sentence(tmp_path, kept):
    path = miniature(tmp_path) / "img_align_celeba.zip"
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content)) if kept < 1 else kept])
    with pytest.raises(ValueError, match=r"^celeba: .*\.zip is damaged or cut short \(.*\); fetch it again\.$"):
        read(tmp_path)


def test_damage_within_the_archive_is_a_bad_image(tmp_path):
    path = miniature(tmp_path) / "img_align_celeba.zip"
    content = path.read_bytes()
    jpeg = faces()["000002.jpg"]
    path.write_bytes(content.replace(jpeg, jpeg[:-40] + bytes(40)))
    says = r"^celeba: 1 of 20 images in .*zip .*, first 000002\.jpg \(damaged in the archive: Bad CRC-32.*\)"
    with pytest.raises(ValueError, match=says):
        read(tmp_path)
    images = read(tmp_path, on_error="skip")
    assert which(images.train) == [0, *range(2, 20)]
    (note,) = images.notes
    assert note.startswith(f"celeba: skipped 1 of 20 images in {path}: 000002.jpg (damaged in the archive: Bad CRC-32")


@pytest.mark.parametrize("archive", [True, False])
def test_an_image_that_lacks_is_a_bad_image(tmp_path, archive):
    miniature(tmp_path, archive=archive)
    with (tmp_path / "list_eval_partition.txt").open("a") as file:
        file.write("999999.jpg 2\n")
    with pytest.raises(ValueError, match=r"^celeba: 1 of 8 .* cannot be used, first 999999\.jpg \(missing.*\); repair"):
        read(tmp_path)


@pytest.mark.parametrize("line", ["../../etc/passwd 0", "/etc/passwd 0", "000001.jpg 3", "000001.jpg", "a/b.jpg 1"])
def test_a_partition_file_names_images_and_nothing_else(tmp_path, line):
    (miniature(tmp_path, archive=False) / "list_eval_partition.txt").write_text(f"000001.jpg 0\n{line}\n")
    with pytest.raises(ValueError, match=r"^celeba: .*list_eval_partition\.txt:2: '.*' is not 'NAME\.jpg' and 0, 1 or"):
        read(tmp_path)


def test_an_archive_that_would_escape_writes_nothing(tmp_path):
    miniature(tmp_path)
    with ZipFile(tmp_path / "img_align_celeba.zip", "w") as zipped:
        for name in ("../evil.jpg", "/tmp/evil.jpg", "img_align_celeba/../000001.jpg"):
            zipped.writestr(name, b"evil")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"none of the 20 images in .*, first 000001\.jpg \(missing from the ar"):
        read(tmp_path)
    assert sorted(tmp_path.iterdir()) == before


def test_an_image_that_unpacks_to_too_much_is_bad(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "LARGEST_FILE", 1 << 20)
    miniature(tmp_path)
    archive = tmp_path / "img_align_celeba.zip"
    with ZipFile(archive, "w", ZIP_DEFLATED) as zipped:
        for name, content in faces().items():
            zipped.writestr(f"img_align_celeba/{name}", bytes(2 << 20) if name == "000003.jpg" else content)
    with pytest.raises(ValueError, match=r"first 000003\.jpg \(more than 1 MiB\)"):
        read(tmp_path)
    lying = archive.read_bytes().replace(struct.pack("<I", 2 << 20), struct.pack("<I", 99))
    archive.write_bytes(lying)
    with pytest.raises(ValueError, match=r"first 000003\.jpg \(damaged in the archive: "):
        read(tmp_path)
