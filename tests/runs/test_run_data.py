"""A run is of the images it was trained on: others between two halves of it, or under a finished one, are noticed."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import TINY, Outcome, Run
from PIL import Image

from zoo.data import fields
from zoo.errors import RequestError
from zoo.recipe import load_recipe
from zoo.runs import data
from zoo.runs.identity import _free
from zoo.runs.run import Run as Folder
from zoo.types import Images

pytestmark = pytest.mark.usefixtures("here")
TEXT = TINY.replace("{size: 8, train: 64, test: 8}", "{use: folder, path: in, size: 8, test: 0.25, workers: 1}")


CHANGED = "Data that changed under a run, between two halves or under a finished one, are noticed; moved data go on."


def picture(number: int, name: str = "") -> None:
    Path("in").mkdir(exist_ok=True)
    random = np.random.default_rng(number)
    Image.fromarray(random.integers(0, 256, (8, 8, 3), np.uint8)).save(f"in/{name or number}.png")


def pictures(*numbers: int) -> None:
    for number in numbers:
        picture(number)


def build(run_zoo: Run, *options: str) -> Outcome:
    Path("tiny.yaml").write_text(TEXT)
    return run_zoo("build", "tiny.yaml", "--no-tensorboard", *options)


def images(*levels: int) -> Images:
    train = torch.tensor(levels, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8)
    return Images(train, train[:1])


@pytest.mark.promise(CHANGED)
def test_images_that_change_between_two_halves_are_refused(run_zoo: Run) -> None:
    pictures(*range(12))
    assert build(run_zoo, "--stop-after", "assemble").code == 0
    pictures(12)
    assert build(run_zoo, "--set", "train.steps=2", "--stop-after", "train").code == 0  # nothing was trained before
    pictures(*range(13, 20))
    outcome = build(run_zoo, "--set", "train.steps=4")
    said = r"zoo: error: runs/tiny: was trained on other images than its data has now \(8 \+ 5 then, 10 \+ 10 now\)"
    assert outcome.code == 2
    assert_match(
        outcome.err.splitlines()[-1],
        rf"{said}\. Bring them back, choose another --out, or train this run on with ",
    )
    shutil.copytree("runs/tiny", "extended")
    outcome = build(run_zoo, "--set", "train.steps=4", "--out", "extended", "--extend")
    sentence = "the images are others: it was trained on other images than its data has now (8 + 5 then, 10 + 10 now)"
    assert (outcome.code, f"from here on, {sentence}" in outcome.err) == (0, True)
    assert sentence in json.loads(Path("extended/history.json").read_text())[-1]["changes"]
    for number in range(13, 20):
        Path(f"in/{number}.png").unlink()
    assert build(run_zoo, "--set", "train.steps=4").code == 0


@pytest.mark.promise(CHANGED)
def test_images_that_change_under_a_finished_run_are_noticed(run_zoo: Run) -> None:
    pictures(*range(12))
    assert build(run_zoo).code == 0
    assert "up to date" in build(run_zoo).out
    picture(99, "3")  # one is another
    scores = Path("runs/tiny/scores.json").read_bytes()
    assert "they are not of the run's own data and weights" in run_zoo("evaluate", "runs/tiny").err
    assert Path("runs/tiny/scores.json").read_bytes() == scores
    outcome = build(run_zoo)
    assert outcome.code == 2
    assert_match(outcome.err, r"(?s).*was trained on other images than .* \(.* as then, others by content\)")
    shutil.rmtree("in")
    outcome = build(run_zoo)
    assert (outcome.code, "up to date" in outcome.out) == (0, True)
    assert "its images cannot be compared: data 'folder': folder: " in outcome.err
    Path("runs/tiny/data.json").unlink()
    assert "cannot be compared" not in build(run_zoo).err


@pytest.mark.promise(CHANGED)
def test_where_data_lies_is_not_what_it_is(run_zoo: Run) -> None:
    pictures(*range(12))
    assert build(run_zoo, "--set", "train.steps=2").code == 0
    shutil.move("in", "moved")
    assert build(run_zoo, "--set", "train.steps=4", "--set", "data.path=moved").code == 0
    assert "up to date" in build(run_zoo, "--set", "train.steps=4", "--set", "data.path=./moved/").out
    shutil.copytree("moved", "other")
    Path("other/3.png").unlink()
    outcome = build(run_zoo, "--set", "train.steps=4", "--set", "data.path=other")
    assert (outcome.code, "was trained on other images" in outcome.err) == (2, True)


def test_where_each_set_lies_is_not_what_it_is(run_zoo: Run) -> None:
    pictures(*range(12))
    sets = (
        "data={{x: {{use: folder, path: in, size: 8, test: 0.25}}, y: {{use: folder, path: {}, size: 8, test: 0.25}}}}"
    )
    assert build(run_zoo, "--set", sets.format("in"), "--set", "train.steps=2").code == 0
    shutil.copytree("in", "moved")
    moved = build(run_zoo, "--set", sets.format("moved"), "--set", "train.steps=4")
    assert (moved.code, "continuing at step 2" in moved.err) == (0, True), moved.err


@pytest.mark.promise(CHANGED)
def test_a_run_goes_on_with_other_images_if_that_is_asked() -> None:
    recipe = load_recipe("vae")
    with Folder(Path("run")) as run:
        assert data.note_images(run, recipe, images(1, 2)) == []
        run.write("state/0001.json", "{}")
        with pytest.raises(RequestError, match=r"\(2 \+ 1 then, 3 \+ 1 now\)"):
            data.note_images(run, recipe, images(1, 2, 3))
        (sentence,) = data.note_images(run, recipe, images(1, 2, 3), extend=True)
        assert sentence.startswith("the images are others: it was trained on other images")
        assert data.note_images(run, recipe, images(1, 2, 3)) == []


def test_a_run_from_before_its_data_had_a_field_goes_on_and_then_knows_it() -> None:
    recipe = load_recipe("vae")

    def labelled(*labels: int) -> Images:
        return replace(images(1, 2), fields={"label": (torch.tensor(labels), torch.tensor([0]))})

    with Folder(Path("run")) as run:
        data.note_images(run, recipe, images(1, 2))
        run.write("state/0001.json", "{}")
        assert data.note_images(run, recipe, labelled(0, 1)) == []
        assert data.note_images(run, recipe, labelled(0, 1)) == []
        with pytest.raises(RequestError, match="others by content"):
            data.note_images(run, recipe, labelled(1, 1))
        assert data.note_images(run, recipe, images(1, 2)) == []  # nothing asks for the field any more


def test_of_many_images_a_part_is_hashed_that_is_spread_over_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fields, "MOST_BYTES", 3 * 8 * 8 * 10)
    known = fields.known_images(images(*range(30)))
    assert fields.known_images(images(*range(29), 0)) == known  # the last but one of three that are hashed
    assert fields.known_images(images(*range(27), 0, 28, 29)) != known
    assert fields.known_images(images(*range(31))) != known


def assert_match(text: str, pattern: str) -> None:
    assert re.match(pattern, text), text


@pytest.mark.parametrize(
    ("path", "free"),
    [("data.root", True), ("data.root_angle", False), ("watch", True), ("watch.0.use", True), ("train.steps", True)],
)
def test_settings_are_free_by_their_exact_names(path: str, free: bool) -> None:
    recipe = load_recipe("vae")
    with Folder(Path("run")) as run:
        assert _free(path, recipe, run) is free
        assert not _free("data.path", recipe, run)
        data.note_images(run, recipe, images(1, 2))
        assert _free("data.path", recipe, run)
