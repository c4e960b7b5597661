"""What people who come from elsewhere write first, and the one line that they are told."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoo.errors import RecipeError, RequestError, did_you_mean
from zoo.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("here")

OPTIMIZER = "it is 'lr' of the optimizer: 'train: {optimizer: {lr: 0.0002}}'"
LENGTH = "a training's length is train.steps, each of train.batch images"
RUNS = "where it runs is no part of a recipe: zoo build RECIPE --device cuda"
NAMED = "a part is named, not imported by a path; give a file that brings it, --plugin FILE.py"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("train: {optimizer: {lr: 0,001}}", "2:25: error: '0,001' is no number: write 0.001"),
        ("train:\n  optimizer:\n    lr: 0,001", "not '0,001' (text); write 0.001"),
        ("train:\n  optimizer:\n    lr: zero,001", "must be a number, not 'zero,001' (text)"),
        ("train: {iterations: 10}", f"2:9: error: 'train' has no option 'iterations'; {LENGTH}"),
        ("epochs: 10", "2:1: error: a recipe has no option 'epochs'; write it under 'train'"),
        ("train: {learning_rate: 0.1}", f"2:9: error: 'train' has no option 'learning_rate'; {OPTIMIZER}"),
        ("learning_rate: 0.1", f"2:1: error: a recipe has no option 'learning_rate'; {OPTIMIZER}"),
        ("train: {optimizer: {learning_rate: 1}}", f"optimizer 'adam' has no option 'learning_rate'; {OPTIMIZER}"),
        ("device: cuda", f"2:1: error: a recipe has no option 'device'; {RUNS}"),
        ("train: {batch_size: 4}", "2:9: error: 'train' has no option 'batch_size'; it is train.batch"),
        (
            "phases:\n  - encoder + decoder: {reconstruction: 1, kl: {start: 0, end: 1}}",
            "term 'kl' has no option 'end'; a weight that changes is {from: 0, to: 1, steps: 1000}",
        ),
        ("slots: {encoder: {use: torchvision.models.resnet18}}", f"no encoder 'torchvision.models.resnet18': {NAMED}"),
        ("slots: {encoder: 'mine:Encoder'}", f"there is no encoder 'mine:Encoder': {NAMED}"),
        ("slots: {encoder: ./mine.py}", f"there is no encoder './mine.py': {NAMED}"),
        ("train:\n\tsteps: 4", "3:1: error: a tab is no indentation; indent with spaces"),
    ],
)
def test_the_sentence(text: str, said: str) -> None:
    Path("r.yaml").write_text(f"extends: vae\n{text}\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe("r.yaml")
    assert said in str(caught.value)
    assert str(caught.value).count("\n") == text.count("start")  # one for each word that is wrong


@pytest.mark.parametrize("path", ["extends", "extends.use", "'extends'"])
def test_what_a_recipe_extends_is_not_set(path: str) -> None:
    with pytest.raises(RecipeError, match="what a recipe extends cannot be set; build that recipe, or write a file"):
        load_recipe("avae", [f"{path}=vae"])
    assert did_you_mean("extends", ["extends"]) == ""
    assert did_you_mean("extend", ["extends"]) == "; did you mean 'extends'?"


def test_a_value_is_shown_as_a_recipe_writes_it() -> None:
    with pytest.raises(RecipeError, match=re.escape("must be a whole number, not {a: [1, true, null, 'b']}")):
        load_recipe("avae", ["train.steps={a: [1, true, null, b]}"])


def test_a_metric_of_reconstructions_where_there_are_none() -> None:
    Path("r.yaml").write_text("extends: gan\nevaluate: [mse]\n")
    with pytest.raises(
        RecipeError, match=r"r.yaml:2:12: error: metric 'mse': .* leave the metric out .*, or give it a decoder"
    ):
        load_recipe("r.yaml")


@pytest.mark.parametrize("name", ["absent.yaml", "absent.yml"])
def test_a_file_that_is_not_there(name: str) -> None:
    with pytest.raises(
        RequestError, match=f"^there is no file '{name}', and there is no recipe '{name}'; choices: aae, "
    ):
        load_recipe(name)
