"""What lies beside images in a folder: classes of sub-folders, and partners of one name."""

import shutil
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image
from zoo_data import pack
from zoo_data.decode import classes_of
from zoo_data.folder import folder

from zoo import api
from zoo.data.augment import augmentations
from zoo.data.batches import Batches, load_images
from zoo.data.fields import check_field, items
from zoo.data.given import read_images
from zoo.errors import RequestError
from zoo.recipe import load_recipe, registry_for
from zoo.recipe.yaml.read import write
from zoo.report.neighbours import nearest
from zoo.types import to_model


@pytest.fixture(autouse=True)
def _one_process(monkeypatch):
    monkeypatch.setattr(pack, "MOST_WORKERS", 1)


def grey(path: Path, level: int, size=(8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).save(path)
    return path


def shelves(root: Path, **classes: int) -> Path:
    """A sub-folder for each class, images of its level and of those that follow."""
    for name, level in classes.items():
        for i in range(8):
            grey(root / name / f"{i}.png", level + i)
    return root


def read(path: Path, **options) -> api.Examples:
    return folder(path=str(path), size=8, channels=1, workers=1, **options)


def levels(images: torch.Tensor) -> list[int]:
    return images.flatten(1)[:, 0].tolist()


# -- classes of sub-folders ------------------------------------------------------------------------------------


def test_a_sub_folder_is_a_class(tmp_path):
    root = shelves(tmp_path / "in", cat=0, bird=100, dog=200)
    grey(root / "bird/deeper/x.png", 109)
    grey(root / "stray.png", 250)
    found = read(root, labels="folders", test=0.3)
    assert found.notes == (f"folder: not used: 1 of 26 images in {root}, which is in no sub-folder that is named.",)
    for images, labels in zip((found.train, found.test), found.fields["label"], strict=True):
        assert [level // 100 for level in levels(images)] == [{0: 1, 1: 0, 2: 2}[label] for label in labels.tolist()]
    assert len(found.train) + len(found.test) == 25
    chosen = read(root, labels=("dog", "cat"), test=0.3)
    numbers = {
        level // 100: label
        for level, label in zip(levels(chosen.train), chosen.fields["label"][0].tolist(), strict=True)
    }
    assert numbers == {0: 1, 2: 0}
    with ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in root.rglob("*.png"):
            archive.write(path, path.relative_to(root))
    zipped = read(tmp_path / "in.zip", labels="folders", test=0.3)
    assert torch.equal(zipped.train, found.train)
    assert torch.equal(zipped.fields["label"][1], found.fields["label"][1])


def test_splits_have_the_same_classes(tmp_path):
    shelves(tmp_path / "train", cat=0, dog=100)
    shelves(tmp_path / "val", dog=108, owl=200)
    found = read(tmp_path, labels="folders")
    assert found.fields["label"][0].tolist() == [0] * 8 + [1] * 8
    assert found.fields["label"][1].tolist() == [1] * 8 + [2] * 8
    assert levels(found.test)[:8] == [*range(108, 116)]
    apart = read(tmp_path / "train", labels="folders", test="../val")
    assert torch.equal(apart.fields["label"][1], found.fields["label"][1])
    path = tmp_path / "vae.yaml"
    path.write_text("extends: vae\ndata: {use: folder, path: ., size: 8, labels: folders}\n")
    recipe = load_recipe(path, (), registry_for({}))
    said = ("label has no training item of class 'owl'",)
    assert load_images(recipe, ["label"]).notes == load_images(recipe).notes + said


def test_a_bad_image_takes_its_label_with_it(tmp_path):
    shelves(tmp_path, cat=0, dog=100)
    (tmp_path / "cat/3.png").write_bytes(b"no image")
    found = read(tmp_path, labels="folders", test=1e-9)
    assert [level // 100 for level in levels(found.train)] == found.fields["label"][0].tolist()
    assert len(found.train) + len(found.test) == 15


def test_a_run_keeps_the_names_of_its_classes(tmp_path):
    root = shelves(tmp_path / "in", cat=0, dog=100)
    path = tmp_path / "vae.yaml"
    path.write_text("extends: vae\ndata: {use: folder, path: in, size: 8, labels: folders}\n")
    recipe = load_recipe(path, (), registry_for({}))
    assert recipe.data.options["labels"] == ["cat", "dog"]
    assert recipe.fields["label"].names == ("cat", "dog")
    shutil.rmtree(root)
    assert load_recipe(recipe.plain(), (), registry_for({})).fields["label"] == recipe.fields["label"]


# -- partners ---------------------------------------------------------------------------------------------------


def partners(root: Path, count: int = 9) -> Path:
    for i in range(count):
        grey(root / "photos" / f"a/{i}.jpg", 10 * i)
        grey(root / "maps" / f"a/{i}.png", 10 * i + 5, (16, 16))
        grey(root / "masks" / f"a/{i}.png", i % 3)
    return root


PAIRS = {"x": "photos", "y": "maps", "mask": "masks"}


def test_images_of_one_name_belong_together(tmp_path):
    partners(tmp_path)
    found = read(tmp_path, pairs=PAIRS, masks={"mask": 3}, test=0.3)
    assert found.notes == ()
    assert len(found.train) + len(found.test) == 9
    assert len(found.test) > 1
    for split, images in enumerate((found.train, found.test)):
        numbers = (images.flatten(1).float().mean(1) / 10).round().int()
        assert levels(found.fields["y"][split]) == [10 * n + 5 for n in numbers.tolist()]
        assert found.fields["mask"][split].shape == (len(images), 8, 8)
        assert found.fields["mask"][split][:, 0, 0].tolist() == [n % 3 for n in numbers.tolist()]
    again = read(tmp_path, pairs={"x": "photos", "y": "maps/"}, test=0.3)
    assert torch.equal(again.fields["y"][1], found.fields["y"][1])


def test_what_has_no_partner_is_told_or_refused(tmp_path):
    partners(tmp_path, 6)
    (tmp_path / "maps/a/2.png").unlink()
    grey(tmp_path / "maps/a/7.png", 0)
    grey(tmp_path / "photos/a/3.png", 0)
    (tmp_path / "photos/a/4.jpg").write_bytes(b"no image")
    grey(tmp_path / "other.png", 0)
    pairs = {"x": "photos", "y": "maps"}
    found = read(tmp_path, pairs=pairs, test=1e-9)
    assert sorted(levels(found.fields["y"][0]) + levels(found.fields["y"][1])) == [5, 15, 35, 55]
    unused, skipped = found.notes
    assert unused == f"folder: not used: 7 of 20 images in {tmp_path}, which are in no sub-folder that is named."
    assert skipped == (
        f"folder: skipped 5 of 13 files in {tmp_path}: maps/a/7.png (no partner in photos/), photos/a/2.jpg (no "
        "partner in maps/), photos/a/3.png (photos/a/3.jpg has its name too, but for the extension), photos/a/4.jpg "
        "(not an image, or damaged at its start), maps/a/4.png (its partner photos/a/4.jpg is bad)."
    )
    with pytest.raises(ValueError, match=r"^folder: 5 of 13 files in .* cannot be used, first maps/a/7.png"):
        read(tmp_path, pairs=pairs, on_error="error")


def test_partners_that_show_other_parts_of_a_scene_are_bad(tmp_path):
    partners(tmp_path, 6)
    grey(tmp_path / "photos/a/1.jpg", 10, (100, 80))
    grey(tmp_path / "maps/a/1.png", 15, (40, 80))
    grey(tmp_path / "masks/a/1.png", 1, (50, 40))
    grey(tmp_path / "photos/a/2.jpg", 20, (100, 75))
    grey(tmp_path / "maps/a/2.png", 25, (33, 25))  # what a third of it rounds to
    grey(tmp_path / "masks/a/3.png", 0, (8, 16))
    turned = Image.new("L", (80, 40), 45)
    turned.getexif()[0x0112] = 6  # upright it is 40 x 80
    turned.save(tmp_path / "maps/a/4.png", exif=turned.getexif())
    grey(tmp_path / "photos/a/4.jpg", 40, (20, 40))
    grey(tmp_path / "masks/a/4.png", 1, (20, 40))
    grey(tmp_path / "masks/a/2.png", 2, (200, 150))
    found = read(tmp_path, pairs=PAIRS, masks={"mask": 3}, test=1e-9)
    assert [levels(part) for part in found.fields["y"]] == [[5, 25, 45], [55]]
    odd = "maps/a/1.png (40 x 80 pixels, and its x has 100 x 80: other proportions), masks/a/3.png (8 x 16 pixels, "
    also = (
        "and its x has 8 x 8: other proportions), maps/a/3.png (its partner masks/a/3.png is bad), masks/a/1.png (its"
    )
    assert found.notes[0].startswith(f"folder: skipped 6 of 18 files in {tmp_path}: {odd}{also}")
    squeezed = read(tmp_path, pairs=PAIRS, masks={"mask": 3}, crop="none")
    assert len(squeezed.train) + len(squeezed.test) == 6  # each shows all of the scene
    with pytest.raises(
        ValueError, match=r"none of the 18 .* first maps/a/0.png \(16 x 16 pixels, and its x has 8 x 8: other size"
    ):
        read(tmp_path, pairs=PAIRS, masks={"mask": 3}, crop=8)


def test_a_mask_may_have_any_name(tmp_path):
    partners(tmp_path)
    found = read(tmp_path, pairs={"x": "photos", "label": "masks"}, masks={"label": ("a", "b", "c")}, test=1e-9)
    assert found.fields["label"][0].shape == (8, 8, 8)


def test_pairs_lie_in_the_directories_of_their_splits(tmp_path):
    for split in ("train", "test"):
        partners(tmp_path / split, 3 if split == "train" else 2)
    found = read(tmp_path, pairs=PAIRS, masks={"mask": ("a", "b", "c")})
    assert (levels(found.fields["y"][0]), levels(found.fields["y"][1])) == ([5, 15, 25], [5, 15])


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)), [[0, 1], [2, 3]]),
        (Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).convert("RGB"), [[0, 1], [2, 3]]),
        (Image.fromarray(np.array([[0, 1], [2, 3]], np.uint8)).convert("P"), [[0, 1], [2, 3]]),
        (Image.fromarray(np.array([[False, True], [True, False]])), [[0, 1], [1, 0]]),
        (Image.fromarray(np.array([[0, 1], [2, 200]], np.uint16)), [[0, 1], [2, 200]]),
    ],
)
def test_a_pixel_of_a_mask_is_its_class(image, expected):
    assert classes_of(image, 2).tolist() == [expected]
    larger = image.resize((4, 8), Image.Resampling.NEAREST)
    assert classes_of(larger, (2, 2)).tolist() == [expected]  # nothing between two classes


def test_masks_with_classes_that_there_are_not_are_bad(tmp_path):
    partners(tmp_path)
    pairs = {"x": "photos", "mask": "masks"}
    found = read(tmp_path, pairs=pairs, masks={"mask": 2}, test=1e-9)
    assert found.fields["mask"][0][:, 0, 0].tolist() == [0, 1, 0, 1, 0]
    assert levels(found.train) == [0, 10, 30, 40, 60]
    said = "masks/a/2.png (a mask with class 2, and mask has 2, the values of its pixels: 0 to 1), "
    assert said in found.notes[1]
    assert "photos/a/2.jpg (its partner masks/a/2.png is bad)" in found.notes[1]
    with pytest.raises(ValueError, match=r"6 of 18 files in .* cannot be used, first masks/a/2.png"):
        read(tmp_path, pairs=pairs, masks={"mask": 2}, on_error="error")
    for i in range(9):
        grey(tmp_path / f"masks/a/{i}.png", 255 * (i % 2))
    found = read(tmp_path, pairs=pairs, masks={"mask": ("dark", "bright")}, test=1e-9)
    assert found.fields["mask"][0][:, 0, 0].tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    for i in range(9):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"masks/a/{i}.png")
    with pytest.raises(ValueError, match=r"masks/a/1.png \(a mask in colour; save it grey or with a palette"):
        read(tmp_path, pairs=pairs, masks={"mask": 9}, on_error="error")


# -- wrong use ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ("labels: folders, pairs: {x: cat}", "a set has 'labels' or 'pairs', not both; leave one out"),
        ("pairs: {y: cat, x: dog}", "the first field of 'pairs' is x, images: {x: photos, y: maps}"),
        (
            "pairs: {x: cat, y: cat/}",
            "option 'pairs' is {'x': 'cat', 'y': 'cat/'}; give each field a sub-folder of its",
        ),
        ("pairs: {x: cat, y: ../dog}", "give each field a sub-folder of its own"),
        ("pairs: {x: cat}, masks: {y: 2}", "option 'masks' has 'y', which 'pairs' does not; give its sub-folder there"),
        (
            "pairs: {x: cat, y: dog}, masks: {y: 1}",
            "option 'masks' says 1 of 'y'; give 2 to 256 classes, or their names",
        ),
        (
            "pairs: {x: cat, y: dog}, masks: {y: [a, b, a]}",
            "option 'masks' says ['a', 'b', 'a'] of 'y'; name each class once",
        ),
        ("path: in/cat, labels: folders", "in/cat has no sub-folders, and 'labels' makes a class of each"),
        ("path: none, labels: folders", "none does not exist; give a directory of images"),
        ("labels: [cat, cat]", "option 'labels' is ['cat', 'cat']; name each sub-folder once"),
    ],
)
def test_options_that_do_not_go_together_are_told_with_their_place(tmp_path, run_zoo, options, says):
    shelves(tmp_path / "in", cat=0, dog=100)
    path = "" if "path" in options else "path: in, "
    (tmp_path / "vae.yaml").write_text(f"extends: vae\ndata:\n  {{use: folder, {path}{options}, size: 8}}\n")
    outcome = run_zoo("check", tmp_path / "vae.yaml")
    assert outcome.code == 2
    assert outcome.err.startswith(f"{tmp_path / 'vae.yaml'}:2:1: error: data 'folder': folder: ")
    assert says in outcome.err
    assert outcome.err.count("\n") == 1


MAPS = "pairs: {x: maps, %s: maps2}"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (MAPS % "draw", "2:48: error: field 'draw' has the name of what the zoo provides; call it something else"),
        (MAPS % "train_size", "2:48: error: field 'train_size' has the name of what the zoo provides"),
        (MAPS % "x_held", "2:48: error: field 'x_held' has the name of 'x' with its gradient stopped"),
        (MAPS % "a b", "2:48: error: field 'a b' is not a name; write it with letters, digits and '_'"),
        (MAPS % "1m", "2:48: error: field '1m' is not a name"),
        ("x: {use: sprites}, shape: {use: digits}", "'shape' of set 'x' and 'x' of set 'shape'; call set 'shape' "),
        ("label: {use: digits}", "two fields are called 'label', 'x' of set 'label' and 'label' of set 'label'"),
        ("use: folder, path: in, labels: folder", "error: data 'folder' option 'labels' must be"),
        (
            "use: folder, path: in, labels: [10, 2, 0]",
            "or a list of texts, not [10, 2, 0]; write what is text in quotes: ['10', '2', '0']",
        ),
        ("pairs: [cat, dog]", "option 'pairs' must be a mapping or null"),
        ("pairs: {x: cat, m: dog}, masks: {m: [a, b, 3]}", "write what is text in quotes: ['a', 'b', '3']"),
        ("use: folder, path: in, size: 0", "error: 'size' must be at least 1, not 0"),
        ("use: folder, path: in", "nor a value; data 'folder' may have it with 'labels: folders'"),
    ],
)
def test_names_of_fields_and_options_that_bring_them(tmp_path, run_zoo, data, says):
    data = f"use: folder, path: in, {data}" if data.startswith("pairs") else data
    (tmp_path / "r.yaml").write_text(
        f"extends: vae\ndata: {{{data}}}\nvalues: {{reconstruction: {{with: {{z_posterior: label}}}}}}\n"
    )
    outcome = run_zoo("check", tmp_path / "r.yaml")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert outcome.err.startswith(f"{tmp_path / 'r.yaml'}:")
    assert says in outcome.err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"labels": ("cat", "owl")}, "class 'owl' has no image; sub-folders with images: cat, dog"),
        ({"pairs": {"x": "cat", "y": "cow"}}, "cow/ of y has no image; there are cat, dog"),
        ({"pairs": {"x": "cat", "y": "dog"}}, "no image has a partner of its name, but for the extension: first cat/0"),
    ],
)
def test_folders_that_are_not_as_said_are_told(tmp_path, options, says):
    shelves(tmp_path, cat=0, dog=100)
    for file in (tmp_path / "dog").iterdir():
        file.rename(file.with_name(f"dog{file.name}"))
    with pytest.raises(ValueError, match=rf"^folder: {says}"):
        read(tmp_path, **options)


# -- files that a user gives ------------------------------------------------------------------------------------


def test_files_are_read_as_the_field_that_they_are_of(tmp_path):
    partners(tmp_path)
    data = {
        "use": "folder",
        "path": str(tmp_path),
        "pairs": PAIRS,
        "masks": {"mask": 3},
        "size": [8, 12],
        "channels": 1,
    }
    other = {"use": "sprites", "size": 16}
    recipe = load_recipe({"extends": "vae", "data": {"x": data, "z_": other}}, (), registry_for({}))
    fields = recipe.fields
    assert read_images([tmp_path / "photos/a/3.jpg"], recipe)[0].shape == (1, 1, 8, 12)
    assert read_images([tmp_path / "photos/a/3.jpg"], recipe, fields["z_"])[0].shape == (1, 3, 16, 16)
    mask, _ = read_images([tmp_path / "masks/a/2.png"], recipe, fields["mask"])
    assert (mask.shape, mask.unique().tolist()) == ((1, 8, 12), [2])
    grey(tmp_path / "four.png", 4)
    with pytest.raises(RequestError, match="its items of mask have classes 4 to 4, and it has 3: 0 to 2"):
        read_images([tmp_path / "four.png"], recipe, fields["mask"])
    with pytest.raises(RequestError, match="z__shape is a label, and files are read of images and masks alone"):
        read_images([tmp_path / "four.png"], recipe, fields["z__shape"])


def test_a_model_of_pairs_is_built_pictured_and_used(tmp_path, run_zoo):
    partners(tmp_path / "town", 12)
    recipe = {
        "data": {"use": "folder", "path": "town", "size": [8, 12], "channels": 1, "pairs": PAIRS, "masks": {"mask": 3}},
        "latent": 2,
        "slots": {"painter": {"kind": "module", "use": "painter"}},
        "values": {"reconstruction": "painted"},
        "phases": [{"painter": {"reconstruction": 1.0}}],
        "outputs": {"sample": "reconstruction", "reconstruction": "reconstruction"},
        "train": {"steps": 2, "batch": 4},
        "evaluate": ["mse"],
    }
    (tmp_path / "pairs.yaml").write_text(write(recipe))
    (tmp_path / "painting.py").write_text(PAINTER)
    plugin, run = ("--plugin", tmp_path / "painting.py"), tmp_path / "run"
    assert run_zoo("build", tmp_path / "pairs.yaml", "--out", run, *plugin).code == 0
    with Image.open(run / "reconstructions.png") as picture:
        scale = picture.height / 38  # four rows of 8 pixels and 2 between: map, mask, photograph, and what is made
        shades = [picture.getpixel((2, round((10 * row + 2) * scale)))[0] for row in range(3)]
    assert shades == load_first(run)
    maps, masks = tmp_path / "town/maps/a", tmp_path / "town/masks/a"
    assert run_zoo("sample", run, *plugin, "--given", f"y={maps}", "--given", f"mask={masks}").code == 0
    with Image.open(run / "sample.png") as picture:
        assert picture.width / picture.height == 40 / 38  # twelve, as many as there are maps, three in a row
    for n in (5, 30):  # one after another, as often as it takes
        several = ("-n", str(n), "--given", f"y={maps}", "--given", f"mask={masks}", "--to", tmp_path / f"{n}.npz")
        assert run_zoo("sample", run, *plugin, *several).code == 0
    (few,), (many,) = (np.load(tmp_path / f"{n}.npz").values() for n in (5, 30))
    assert len(many) == 30
    assert (many == many[np.arange(30) % 12]).all()
    assert (few == many[:5]).all()
    refused = run_zoo("sample", run, *plugin, "--given", f"y={maps / '1.png'}")
    assert "reconstruction cannot be had without masks mask; give them, --given mask=..." in refused.err
    photo = tmp_path / "town/photos/a/1.jpg"
    given = ("--given", f"y={maps / '1.png'}", "--given", f"mask={tmp_path / 'town/masks/a/1.png'}")
    assert run_zoo("reconstruct", run, photo, *given, *plugin).code == 0
    (maps / "1.png").unlink()  # of folders, those of one name belong together
    (tmp_path / "town/photos/a/3.jpg").write_bytes(b"no image")
    grey(masks / "3.png", 1)
    given = ("--given", f"y={maps}", "--given", f"mask={masks}")
    numbers = ("--to", tmp_path / "found.npz")
    paired = run_zoo("reconstruct", run, photo.parent, *given, *plugin, *numbers)
    assert paired.code == 0
    assert f"x: left out 1 without a partner of its name: {photo}\n" in paired.err
    assert f"3: left out: {photo.with_name('3.jpg')}: cannot be read as an image: not an image" in paired.err
    together = np.load(tmp_path / "found.npz")
    one = ("--given", f"y={maps / '2.png'}", "--given", f"mask={masks / '2.png'}")
    assert run_zoo("reconstruct", run, photo.with_name("2.jpg"), *one, *plugin, *numbers).code == 0
    (key,) = together.files
    assert len(together[key]) == 10  # 0, 10, 11, 2, 4 ...
    alone = np.load(tmp_path / "found.npz")[key][0].astype(int)
    assert abs(together[key][3] - alone).max() <= 1 < abs(together[key][2] - alone).max()


PAINTER = """
from torch import nn
from zoo import api


class Painter(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.paint = nn.Conv2d(channels, channels, 1)

    def forward(self, y):
        return self.paint(y)


def painted(painter, y, mask):
    return painter(y + mask[:, None])


@api.hookimpl
def zoo_components():
    return [
        api.Component("module", "painter", f"{__name__}:Painter", "of a map", "B C H W -> B C H W"),
        api.Component("value", "painted", f"{__name__}:painted", "of a map and a mask"),
    ]
"""


def load_first(run: Path) -> list[int]:
    """The grey levels of the first test item: its map, its mask in shades, its photograph."""
    recipe = load_recipe(run / "recipe.yaml", (), registry_for({}, [run.parent / "painting.py"]))
    given = recipe.data.load()(**recipe.data.arguments_for())
    mask = int(given.fields["mask"][1][0, 0, 0])
    return [int(given.fields["y"][1][0, 0, 0, 0]), round(mask * 127.5), int(given.test[0, 0, 0, 0])]


# -- stored larger ---------------------------------------------------------------------------------------------


def larger(root: Path, **also):
    for place, shift in (("a", 0), ("b", 1)):
        for i in range(6):
            ramp = np.add.outer(np.arange(12), np.arange(12)) + 40 * i + shift
            (root / place).mkdir(parents=True, exist_ok=True)
            Image.fromarray(ramp.astype(np.uint8)).save(root / place / f"{i}.png")
    data = {"use": "folder", "path": str(root), "size": 8, "stored": 12, "channels": 1, "pairs": {"x": "a", "y": "b"}}
    slots = {name: {"use": "dcgan", "width": 4} for name in ("encoder", "decoder")}
    return load_recipe({"extends": "vae", "data": data, "latent": 4, "slots": slots, "train": {"batch": 4}, **also})


def test_what_is_stored_larger_is_seen_in_its_central_part(tmp_path):
    recipe = larger(tmp_path)
    found = load_images(recipe, ["y"])
    assert recipe.fields["x"].shape == (1, 8, 8)
    assert found.train.shape[1:] == found.fields["y"][0].shape[1:] == (1, 12, 12)
    middle = to_model(found.test[:, :, 2:10, 2:10])
    assert torch.equal(items(found, "test", recipe, 0, 9)["x"], middle)
    batches = Batches.of(recipe, found, "cpu", torch.float32)
    shown = found.train[batches.images_of(0)]
    assert torch.equal(batches(0)["x"], to_model(shown[:, :, 2:10, 2:10]))
    files = sorted((tmp_path / "a").glob("*.png"))
    assert read_images(files, recipe)[0].shape == (6, 1, 8, 8)
    distances, _ = nearest(shown[:, :, 2:10, 2:10], found.train, 1)
    assert distances.max() == 0


@pytest.mark.parametrize("augment", [["resized-crop"], [{"crop": {"padding": 2}}, "flip"]])
def test_partners_stored_larger_are_cut_alike(tmp_path, augment):
    recipe = larger(tmp_path, augment=augment)
    found = load_images(recipe, ["y"])
    fields = {name: recipe.fields[name] for name in ("x", "y")}
    stored = {"x": found.train, "y": found.fields["y"][0]}
    batches = Batches(stored, fields, 4, 0, augment=augmentations(recipe))
    epochs = [batches(turn) for turn in range(4)]
    for batch in epochs:
        assert batch["x"].shape == (4, 1, 8, 8)
        torch.testing.assert_close(batch["y"] - batch["x"], torch.full_like(batch["x"], 1 / 127.5))
        assert not torch.equal(batch["x"], to_model(found.train[batches.images_of(0)][:, :, 2:10, 2:10]))


def test_sides_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="option 'stored' is 4; choose no less than 'size', or 0 for the same"):
        read(shelves(tmp_path, cat=0), stored=4)
    recipe = larger(tmp_path)
    with pytest.raises(ValueError, match=r"its items of x are torch.uint8 \(2, 1, 9, 9\); numbers \(N, 1, 12, 12\)"):
        check_field(torch.zeros(2, 1, 9, 9, dtype=torch.uint8), recipe.fields["x"])
