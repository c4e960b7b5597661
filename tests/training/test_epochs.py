"""``train.epochs``: so many passes over the training set, in steps once it is known."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY, Run
from safetensors.torch import load_file

import zoo
from zoo.errors import RecipeError
from zoo.recipe import lasting, load_recipe, write_recipe
from zoo.recipe.yaml.read import read
from zoo.registry import load_registry

EPOCHS = TINY.replace("steps: 3, batch: 4", "epochs: 2, batch: 24").replace(
    "rate: 1.0", "rate: {from: 1, to: 0, shape: linear}"
)
"""64 images in batches of 24: 128 / 24 is 5 1/3, so 6 steps."""
STEPS = EPOCHS.replace("epochs: 2", "steps: 6")


def steps(text: str, size: int) -> int:
    return lasting(load_recipe(read(text, "r").plain()), size, load_registry()).train.steps


def test_steps_are_what_the_passes_take() -> None:
    assert [steps(EPOCHS, size) for size in (12, 13, 24, 25, 64)] == [1, 2, 2, 3, 6]
    rows = "{rows: {critic: {discriminate: 1}}, repeat: 2, fresh: true}"
    fresh = f"phases: [{{encoder + decoder: {{reconstruction: 1}}}}, {rows}]"
    assert steps(EPOCHS + fresh, 720) == 20  # 1440 images, three batches a step


def test_a_schedule_without_steps_follows() -> None:
    recipe = load_recipe(read(EPOCHS, "r").plain())
    [open_end] = {optimizer.rate for optimizer in recipe.train.optimizers.values()}
    assert (recipe.train.steps, str(open_end)) == (0, "1 to 0 over the rest of the training")
    known = lasting(recipe, 64, load_registry())
    [rate] = {optimizer.rate for optimizer in known.train.optimizers.values()}
    assert [rate(step) for step in (0, 3, 6)] == [1.0, 0.5, 0.0]
    assert known.train.plain()["steps"] == 6
    assert load_recipe(read(write_recipe(recipe), "written").plain()).plain() == recipe.plain()


def test_one_of_both(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"so many steps or so many epochs long; write one of both"):
        load_recipe({"extends": "vae", "train": {"steps": 3, "epochs": 2}})
    assert load_recipe({"extends": "vae", "train": {"epochs": 2}}).train.epochs == 2
    (tmp_path / "base.yaml").write_text(EPOCHS)
    over = load_recipe(tmp_path / "base.yaml", ["train.steps=7"])
    assert (over.train.steps, over.train.epochs) == (7, 0)
    back = load_recipe(tmp_path / "base.yaml", ["train.steps=7", "train.epochs=3"])
    assert (back.train.steps, back.train.epochs) == (0, 3)


@pytest.mark.usefixtures("here")
def test_a_run_has_its_steps_and_goes_on_by_them(run_zoo: Run) -> None:
    """The run of as many steps, bit for bit; it says its steps, and knows them without its images."""
    Path("tiny.yaml").write_text(EPOCHS)
    Path("steps.yaml").write_text(STEPS)
    assert run_zoo("build", "steps.yaml", "--no-tensorboard").code == 0
    done = run_zoo("build", "tiny.yaml", "--no-tensorboard")
    assert done.code == 0, done.err
    assert "training 6 steps of 24 images" in done.err
    runs = [load_file(f"runs/{name}/model.safetensors") for name in ("steps", "tiny")]
    assert all(torch.equal(tensor, runs[1][name]) for name, tensor in runs[0].items())
    written = read(Path("runs/tiny/recipe.yaml").read_text(), "r").plain()["train"]
    assert (written["steps"], written["epochs"]) == (6, 0)
    assert json.loads(Path("runs/tiny/data.json").read_text())["train"]["images"] == 64
    assert "up to date" in run_zoo("build", "tiny.yaml").out
    assert "up to date" in run_zoo("build", "runs/tiny").out
    shutil.rmtree("runs/tiny")
    assert run_zoo("check", "tiny.yaml").code == 0
    assert "over the rest of the training" in run_zoo("explain", "tiny.yaml").out


def test_in_python_they_are_passes_over_what_is_given() -> None:
    """A scheduled option of a term, and the rate, end with the training."""
    model = zoo.build(read(EPOCHS, "r").plain())
    pixels = torch.randint(256, (48, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    engine = zoo.train(model, pixels, progress=False)
    assert (engine.step_index, model.recipe.train.steps) == (4, 4)
    assert {player.rate(4) for player in engine.players.values()} == {0.0}
