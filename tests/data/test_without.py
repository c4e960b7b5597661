"""``without``: classes that are kept out of training, and told by the field ``novel`` in the test split."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo import api
from zoo.data.batches import load_images
from zoo.errors import RecipeError
from zoo.recipe import Recipe, load_recipe, write_recipe

SPRITES = {"use": "sprites", "size": 16, "train": 60, "test": 40}


def recipe(data: dict[str, Any], *asked: str) -> Recipe:
    """A VAE of data that something asks for fields of."""
    metrics = {name: {"use": "auroc", "with": {"anomaly_score": name, "novel": name}} for name in asked}
    return load_recipe({"extends": "vae", "data": data, "evaluate": metrics})


def labels(examples: api.Examples, name: str) -> tuple[Tensor, Tensor]:
    return examples.fields[name]


def test_training_has_none_of_them_and_the_test_split_tells_them() -> None:
    whole = load_images(recipe({"use": "digits", "size": 16}, "label"))
    less = load_images(recipe({"use": "digits", "size": 16, "without": {"label": [0, "7"]}}, "label", "novel"))
    gone = [torch.isin(split, torch.tensor([0, 7])) for split in labels(whole, "label")]
    assert torch.equal(less.train, whole.train[~gone[0]])
    assert torch.equal(labels(less, "label")[0], labels(whole, "label")[0][~gone[0]])
    assert torch.equal(less.test, whole.test)
    assert torch.equal(labels(less, "novel")[1].bool(), gone[1])
    assert not labels(less, "novel")[0].any()
    assert len(labels(less, "novel")[0]) == len(less.train)
    assert less.notes == (*whole.notes, "label has no training item of class '0', '7'")


def test_classes_go_by_names_and_several_labels_add_up() -> None:
    data = {**SPRITES, "without": {"shape": "ring", "texture": 0}}
    written = recipe(data, "shape", "texture", "novel")
    shape, texture = (written.fields[name] for name in ("shape", "texture"))
    assert written.data.without == {"shape": (shape.names.index("ring"),), "texture": (0,)}
    less = load_images(written)
    shapes, textures = labels(less, "shape")[1], labels(less, "texture")[1]
    expected = (shapes == shape.names.index("ring")) | (textures == 0)
    assert torch.equal(labels(less, "novel")[1].bool(), expected)
    assert 0 < len(less.train) < 60
    assert texture.names


def test_a_run_has_it_and_it_is_another_run(tmp_path: Any) -> None:
    plain, less = recipe(SPRITES), recipe({**SPRITES, "without": {"shape": ["ring"]}})
    file = tmp_path / "recipe.yaml"
    file.write_text(write_recipe(less))
    assert load_recipe(file).plain() == less.plain()
    assert less.data.identity() != plain.data.identity()
    assert load_recipe(file, ["data.without=null"]).plain() == plain.plain()


def test_nothing_left_is_told() -> None:
    with pytest.raises(RecipeError, match="has no training item that is of none of the classes in 'without'"):
        load_images(recipe({"use": "digits", "size": 16, "without": {"label": list(range(10))}}))


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ({"label": [0, 12]}, "label of data 'digits' has no class 12"),
        ({"lable": 1}, "'without' names 'lable', and data 'digits' has no such label; did you mean 'label'"),
        ({"novel": 1}, "'without' names 'novel', and data 'digits' has no such label"),
        ({"label": True}, "label of data 'digits' has no class true"),
        ({"label": []}, r"label of data 'digits' has no class \[\]"),
        (3, "'data.without' must be a mapping, not 3"),
    ],
)
def test_what_is_wrong_is_a_sentence(written: Any, told: str) -> None:
    with pytest.raises(RecipeError, match=told):
        load_recipe({"extends": "vae", "data": {"use": "digits", "without": written}})


def test_novel_is_offered_where_it_is_not() -> None:
    with pytest.raises(RecipeError, match=r"'novel' is asked for, .*; data with a label has it with 'without: "):
        load_recipe({"extends": "egbad", "data": {"without": None}})


def test_each_set_has_its_own() -> None:
    digits = {"use": "digits", "size": 16, "channels": 3, "without": {"label": 0}}
    two = recipe({"x": SPRITES, "drawn": digits}, "drawn_novel", "drawn_label")
    examples = load_images(two)
    novel, label = (examples.fields[name] for name in ("drawn_novel", "drawn_label"))
    assert torch.equal(novel[1].bool(), label[1] == 0)
    assert not (label[0] == 0).any()
    assert len(examples.train) == 60


def test_a_model_says_nothing_of_it_where_it_samples() -> None:
    narrow = [f"slots.{slot}.width=4" for slot in ("encoder", "decoder", "second_encoder", "critic")]
    model = zoo.build("ganomaly", overrides=["data.size=16", *narrow])
    assert model.reconstruct(torch.zeros(2, 1, 16, 16)).shape == (2, 1, 16, 16)
