"""What stands in the place of a run's files, and recipes that ask for what they should not."""

from __future__ import annotations

import os
import pickle
import shutil
from pathlib import Path

import pytest
from helpers.runs import STEPS, put_file

import zoo
from hostile_runs.crafted import Bomb, archive, refused
from zoo.errors import ZooError
from zoo.runs.checkpoint import tensors_path
from zoo.runs.manifest import sealed
from zoo.runs.run import Run

PROMISE = "A run from elsewhere runs no code, reads no file but its own, and asks for no more memory than it may."


def linked(path: Path, secret: Path) -> None:
    shutil.copy(path, secret)
    path.unlink()
    path.symlink_to(secret)


def looped(path: Path, _: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def piped(path: Path, _: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def a_folder(path: Path, _: Path) -> None:
    path.unlink()
    path.mkdir()


def endless(path: Path, _: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def sparse(path: Path, _: Path) -> None:
    """A terabyte that takes no room."""
    with path.open("r+b") as file:
        file.truncate(2**40)


def a_pickle(path: Path, _: Path) -> None:
    put_file(path, pickle.dumps(Bomb()))


def an_archive(path: Path, _: Path) -> None:
    put_file(path, archive())


PLACED = (linked, looped, piped, a_folder, endless, sparse, a_pickle, an_archive)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("attack", PLACED)
@pytest.mark.parametrize("file", ["recipe.yaml", "ema.safetensors"])
def test_what_is_no_file_of_the_run_is_not_read(copy, tmp_path, file, attack, record_property):
    attack(copy / file, tmp_path / "secret")
    with pytest.raises(ZooError):
        zoo.load(copy)
    record_property("cases", 1)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("attack", PLACED)
def test_who_provided_what_is_unknown_then(copy, tmp_path, attack, record_property):
    attack(copy / "plugins.json", tmp_path / "secret")
    with pytest.warns(UserWarning, match=r"plugins\.json: cannot be read") as said:
        zoo.load(copy)
    assert len(said) == 1
    record_property("cases", 1)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("attack", PLACED)
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_checkpoint_that_is_none_is_not_taken_up(copy, engine, tmp_path, suffix, attack, record_property):
    attack(tensors_path(copy, STEPS).with_suffix(suffix), tmp_path / "secret")
    assert str(tensors_path(copy, STEPS)) in refused(copy, engine)
    record_property("cases", 1)


@pytest.mark.promise(PROMISE)
def test_a_state_that_lies_elsewhere_is_not_written_to(copy, tmp_path):
    shutil.move(copy / "state", tmp_path / "elsewhere")
    (copy / "state").symlink_to(tmp_path / "elsewhere")
    before = sorted(path.name for path in (tmp_path / "elsewhere").iterdir())
    with pytest.raises(ZooError, match="state: leads out of the run"):
        Run(copy)
    assert sorted(path.name for path in (tmp_path / "elsewhere").iterdir()) == before


def test_a_run_may_be_a_link_itself_and_hold_links_within(copy, tmp_path):
    (tmp_path / "link").symlink_to(copy)
    (copy / "ema.safetensors").rename(copy / "weights.safetensors")
    (copy / "ema.safetensors").symlink_to("weights.safetensors")
    assert zoo.load(tmp_path / "link").sample(1).shape == (1, 3, 8, 8)


# -- recipes -------------------------------------------------------------------------------------------------

RECIPES = {
    "a network of the moon's width": (
        "width: 4",
        "width: 1000000000",
        "B of memory here; make it smaller, or set ZOO_ME",
    ),
    "a code of the moon's size": ("latent: 5", "latent: 100000000000000", "one code would take"),
    "noise of the moon's size": ("noise: 0", "noise: 100000000000000", "one code would take"),
    "images of the moon's size": ("size: 8", "size: 67108864", "one image would take"),
    "a class": ("use: generative-zoo/dcgan", "use: os:system", "os:system"),
    "a tag": ("seed: 0", "seed: !!python/object/apply:os.system ['true']", "tag"),
    "another recipe": ("seed: 0", "seed: 0\nextends: /etc/passwd", "extends another recipe"),
    "nothing": (None, "", "empty"),
}


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_that_asks_too_much_is_refused_though_its_digest_is_right(copy, name, record_property):
    old, new, said = RECIPES[name]
    text = (copy / "recipe.yaml").read_text()
    assert old is None or old in text
    (copy / "recipe.yaml").write_text(sealed(text.replace(old, new, 1) if old else new))
    with pytest.raises(ZooError) as error:
        zoo.load(copy)
    assert said in str(error.value)
    record_property("cases", 1)


def test_how_much_a_model_may_take_can_be_said(copy, monkeypatch):
    monkeypatch.setenv("ZOO_MEMORY", "1KB")
    with pytest.raises(ZooError, match=r"its weights would take \d+ KB, more than the 1 KB of memory here"):
        zoo.load(copy)
    monkeypatch.setenv("ZOO_MEMORY", "1GB")
    zoo.load(copy)
    monkeypatch.setenv("ZOO_MEMORY", "much")
    with pytest.raises(ZooError, match="ZOO_MEMORY=much: is no number of bytes; write it as 64GB"):
        zoo.load(copy)
