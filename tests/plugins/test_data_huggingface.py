"""Data sets of Hugging Face's library, built on this disk in each form it reads. No network."""

from __future__ import annotations

import sys
from pathlib import Path

import datasets
import pytest
from helpers.data import encoded
from PIL import Image
from zoo_data.huggingface import huggingface

from zoo.recipe import load_recipe


@pytest.fixture(autouse=True)
def _apart(tmp_path, monkeypatch):
    """The library's own cache is in this test's folder, and it says nothing; no process is started."""
    monkeypatch.setitem(huggingface.__kwdefaults__, "workers", 1)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "hf"))
    datasets.disable_progress_bars()


def greys(levels: range, sides: tuple[int, int] = (12, 8)) -> list[dict[str, object]]:
    return [{"bytes": encoded(Image.new("RGB", sides, (level,) * 3), "png"), "path": None} for level in levels]


def made(images: list[object], column: str = "image") -> object:
    features = datasets.Features({column: datasets.Image(), "label": datasets.Value("int64")})
    return datasets.Dataset.from_dict({column: images, "label": list(range(len(images)))}, features)


def saved(path: Path, **splits: list[object]) -> str:
    datasets.DatasetDict({name: made(images) for name, images in splits.items()}).save_to_disk(str(path))
    return str(path)


def levels(images) -> list[int]:
    return images[:, 0, 0, 0].tolist()


def read(name: object, **options):
    return huggingface(name=str(name), **({"size": 8} | options))


# -- what is packed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("test_split", ["test", "validation", "val"])
def test_splits_saved_to_disk_are_found(tmp_path, test_split):
    images = read(saved(tmp_path / "set", **{"train": greys(range(9)), test_split: greys(range(50, 53))}))
    assert (levels(images.train), levels(images.test)) == (list(range(9)), [50, 51, 52])
    assert images.train.shape == (9, 3, 8, 8)
    assert images.notes == ()


def test_images_that_the_library_passes_over_are_told(tmp_path):
    place = tmp_path / "set"
    place.mkdir()
    for name in [*(f"train_{i}" for i in range(5)), *(f"other{i}" for i in range(15))]:
        Image.new("RGB", (8, 8)).save(place / f"{name}.png")
    images = read(place)
    assert len(images.train) + len(images.test) == 5
    (note,) = images.notes
    assert note.startswith(
        f"huggingface: of 20 images in {place} 5 are taken: the library goes by names such as train_1."
    )


def test_splits_that_are_not_used_are_told(tmp_path):
    images = read(saved(tmp_path / "set", train=greys(range(9)), test=greys(range(3)), val=greys(range(2))))
    assert images.notes == (f"huggingface: not used of {tmp_path / 'set'}: val (2).",)


def test_splits_and_columns_by_name(tmp_path):
    both = datasets.Features({"near": datasets.Image(), "far": datasets.Image()})
    sets = {n: datasets.Dataset.from_dict({"near": greys(range(3)), "far": greys(range(7, 10))}, both) for n in "ab"}
    datasets.DatasetDict(sets).save_to_disk(str(tmp_path / "set"))
    images = read(tmp_path / "set", split="b", test_split="a", column="far", train=2, channels=1)
    assert (levels(images.train), levels(images.test)) == ([7, 8], [7, 8, 9])


def test_without_a_test_split_a_random_share_is_held_out(tmp_path):
    made(greys(range(40))).save_to_disk(str(tmp_path / "set"))
    images = read(tmp_path / "set", held_out=0.25)
    assert (len(images.train), len(images.test)) == (30, 10)
    assert sorted(levels(images.train) + levels(images.test)) == list(range(40))
    assert levels(images.test) == sorted(levels(images.test)) != list(range(30, 40))
    assert levels(read(tmp_path / "set", held_out=0.25, seed=1).test) != levels(images.test)


def test_parquet_files_are_read(tmp_path):
    (tmp_path / "set").mkdir()
    made(greys(range(6))).to_parquet(str(tmp_path / "set/train.parquet"))
    made(greys(range(20, 23))).to_parquet(str(tmp_path / "set/test.parquet"))
    images = read(tmp_path / "set")
    assert (levels(images.train), levels(images.test)) == (list(range(6)), [20, 21, 22])


def test_folders_of_images_are_read(tmp_path):
    for split, of in (("train", range(5)), ("test", range(30, 32))):
        (tmp_path / "set" / split).mkdir(parents=True)
        for level in of:
            Image.new("RGB", (9, 9), (level,) * 3).save(tmp_path / "set" / split / f"{level:02}.png")
    images = read(tmp_path / "set")
    assert (levels(images.train), levels(images.test)) == (list(range(5)), [30, 31])


def test_what_is_added_is_seen(tmp_path):
    assert len(read(saved(tmp_path / "one", train=greys(range(4)), test=greys(range(2)))).train) == 4
    assert len(read(saved(tmp_path / "one" / "two", train=greys(range(5)), test=greys(range(2)))).train) == 5


def test_a_recipe_takes_it(tmp_path):
    recipe = load_recipe("vae", [f"data={{use: huggingface, name: {tmp_path}, size: 32}}"])
    assert (recipe.sizes.size, recipe.sizes.channels) == (32, 3)


# -- columns that are fields ------------------------------------------------------------------------------------


def wide(path: Path, count: int = 6) -> str:
    """Rows whose every column says which they are; depth is missing in the last for training, and high before it."""
    kinds = {"animal": datasets.ClassLabel(names=["cat", "dog", "owl"]), "big": datasets.Value("bool")}
    kinds |= {"pose": datasets.List(datasets.Value("float64"), length=2), "age": datasets.Value("int32")}
    kinds |= {"words": datasets.Value("string"), "photo": datasets.Image(), "depth": datasets.Image()}

    def rows(first: int) -> dict[str, list[object]]:
        numbers = range(first, first + count)
        depths = greys(range(first + 100, first + 100 + count))
        return {
            "animal": [n % 3 for n in numbers],
            "big": [n > 2 for n in numbers],
            "pose": [[n, -n] for n in numbers],
            "age": [*numbers],
            "words": [str(n) for n in numbers],
            "photo": greys(numbers),
            "depth": depths if first else [*depths[:-2], *greys(range(1), (8, 12)), None],
        }

    made = {split: datasets.Dataset.from_dict(rows(n), datasets.Features(kinds)) for split, n in SPLITS.items()}
    datasets.DatasetDict(made).save_to_disk(str(path))
    return str(path)


SPLITS = {"train": 0, "test": 50}


def test_columns_are_fields(tmp_path):
    columns = ("animal", "big", "pose", "age", "depth")
    found = read(wide(tmp_path / "set"), columns=columns, train=6)
    for split, numbers in enumerate((range(4), range(50, 56))):
        assert levels((found.train, found.test)[split]) == [*numbers]
        assert levels(found.fields["depth"][split]) == [n + 100 for n in numbers]
        assert found.fields["animal"][split].tolist() == [n % 3 for n in numbers]
        assert found.fields["big"][split].tolist() == [int(n > 2) for n in numbers]
        assert found.fields["pose"][split].tolist() == [[n, -n] for n in numbers]
        assert found.fields["age"][split].tolist() == [[n] for n in numbers]
    (note,) = found.notes
    assert "skipped 4 of 12 images of" in note
    assert (
        "train[5] (no image), train[4] (8 x 12 pixels, and its x has 12 x 8: other proportions), train[4] (its" in note
    )


def test_a_run_s_recipe_says_what_the_columns_are(tmp_path):
    data = {"use": "huggingface", "name": wide(tmp_path / "set"), "columns": ["animal", "pose", "depth"], "size": 8}
    recipe = load_recipe({"extends": "vae", "data": data})
    kept = {"animal": ["cat", "dog", "owl"], "pose": 2, "depth": "image"}
    assert recipe.data.options["columns"] == kept
    assert recipe.fields["animal"].names == ("cat", "dog", "owl")
    again = load_recipe({"extends": "vae", "data": {**data, "name": "gone", "columns": kept}})
    assert again.fields == recipe.fields


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ("[words]", "column 'words' is Value('string'); columns that may be fields are classes (ClassLabel)"),
        ("[anmal]", "there is no column 'anmal'; choices: animal, big, pose, age, words, photo, depth"),
        ("{animal: 0}", "column 'animal' is 0; say image, how many numbers, or its classes"),
        ("{a-b: image}", "column 'a-b' cannot be a field's name: a field is named by letters"),
    ],
)
def test_columns_that_can_be_no_field_are_told_with_their_place(tmp_path, run_zoo, columns, says):
    name = wide(tmp_path / "set")
    (tmp_path / "r.yaml").write_text(f"extends: vae\ndata: {{use: huggingface, name: {name}, columns: {columns}}}\n")
    outcome = run_zoo("check", tmp_path / "r.yaml")
    assert outcome.err.startswith(f"{tmp_path / 'r.yaml'}:2:1: error: data 'huggingface': huggingface: ")
    assert says in outcome.err


def test_numbers_that_are_not_so_many_are_a_sentence(tmp_path):
    with pytest.raises(
        ValueError, match=r"^huggingface: column 'words' has no list of so many numbers in some rows\.$"
    ):
        read(wide(tmp_path / "set"), column="photo", columns={"words": 1})


# -- what is refused -------------------------------------------------------------------------------------------


def test_bad_images_are_skipped_and_named(tmp_path):
    images = [*greys(range(3)), {"bytes": b"nothing", "path": None}, None]
    name = saved(tmp_path / "set", train=images, test=greys(range(2)))
    packed = read(name)
    assert levels(packed.train) == [0, 1, 2]
    (note,) = packed.notes
    assert note == (
        f"huggingface: skipped 2 of 5 images of {name}, train: train[3] (not an image, or damaged at its start), "
        "train[4] (no image)."
    )
    with pytest.raises(ValueError, match=r"^huggingface: 2 of 5 images of .* cannot be used, first train\[3\] \(no"):
        read(name, on_error="error")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "trian"}, r"option 'split' is 'trian'; choices: test, train\."),
        ({"test_split": "dev"}, r"option 'test_split' is 'dev'; choices: test, train\."),
        ({"column": "label"}, r"option 'column' is 'label'; columns of images: image\."),
        ({"held_out": 1.0}, r"option 'held_out' is 1\.0; choose a share between 0 and 1, such as 0\.1\."),
        ({"test": 3}, r"option 'test' is 3; choose from 1 to 2, or 0 for all of them\."),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path, options, says):
    name = saved(tmp_path / "set", train=greys(range(3)), test=greys(range(2)))
    with pytest.raises(ValueError, match=rf"^huggingface: {says}$"):
        read(name, **options)


def test_a_set_without_images_says_what_it_has(tmp_path):
    datasets.Dataset.from_dict({"text": ["a", "b"]}).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(ValueError, match=r"option 'column' is ''; columns of images: none; it has text\.$"):
        read(tmp_path / "set")


@pytest.mark.parametrize("kept", [0, 0.5])
def test_a_damaged_set_is_a_sentence(tmp_path, kept):
    name = saved(tmp_path / "set", train=greys(range(3)), test=greys(range(2)))
    (file,) = (tmp_path / "set/train").glob("*.arrow")
    file.write_bytes(file.read_bytes()[: int(kept * file.stat().st_size)])
    with pytest.raises(OSError, match=r"^huggingface: '.*/set' cannot be loaded: \w"):
        read(name)


def test_a_directory_with_nothing_in_it_is_a_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(OSError, match=r"^huggingface: '.*/empty' cannot be loaded: \w"):
        read(tmp_path / "empty")
    with pytest.raises(ValueError, match=r"^huggingface: option 'name' is empty; give a directory or a data set of "):
        read("")


def test_without_datasets_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(OSError, match=r"'datasets' is not installed; pip install 'generative-zoo\[huggingface\]'\.$"):
        read("anything")
