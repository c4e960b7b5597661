"""Sentences of sizes, fields, runs and files that do not fit, and what takes them as they are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

import zoo
from zoo.errors import RecipeError, RequestError
from zoo.model.model import Model
from zoo.recipe import Recipe, lasting, load_recipe, registry_for
from zoo.recipe.data_fields import Sizes
from zoo.recipe.yaml.read import read_option
from zoo.runs.export import export_model

PARTS = '''
from torch import nn

from zoo import api


class Wide(nn.Module):
    """As it is."""

    def __init__(self, *, reach: int = 4) -> None:
        super().__init__()
        self.scale = nn.Linear(reach, reach)

    def forward(self, z):
        return self.scale(z)


def widened(wide, z):
    return wide(z)


def mean_width(widened):
    return widened.mean()


def odd(*, size: int = 8):
    """Never loaded."""


def exported(model, folder, *, full: bool = False):
    """One file, or a full disk."""
    if full:
        raise OSError(28, "No space left on device")
    (folder / "one.txt").write_text("one")


@api.hookimpl
def zoo_components():
    return [
        api.Component("module", "wide", f"{__name__}:Wide", "as it is", contract="B reach -> B reach"),
        api.Component("value", "widened", f"{__name__}:widened", "z"),
        api.Component("term", "mean_width", f"{__name__}:mean_width", "its mean"),
        api.Component("data", "odd", f"{__name__}:odd", "odd", fields={"x": api.Field("image", "3 size")}),
        api.Component("exporter", "one", f"{__name__}:exported", "one file"),
    ]
'''
SMALL: dict[str, Any] = {"extends": "vae", "data": {"size": 8}, "latent": 4, "slots": {"encoder": {"width": 2}}}


pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("parts") / "told_parts.py"
    file.write_text(PARTS)
    return file


def made(plugin: Path, *overrides: str, **source: Any) -> Recipe:
    return load_recipe({**SMALL, **source}, overrides, registry_for({}, (plugin,)))


def said(plugin: Path, *overrides: str, **source: Any) -> str:
    with pytest.raises(RecipeError) as caught:
        zoo.build({**SMALL, **source}, overrides=overrides, plugins=[plugin])
    return str(caught.value)


def test_sizes_of_a_slot_and_options_of_a_contract_are_named_where_they_do_not_fit(plugin: Path) -> None:
    assert "expects B x 5 (of latent 5) and is handed B x 4 " in said(plugin, "slots.decoder.of={latent: 5}")
    slots, row = {"wide": {"kind": "module", "use": "wide", "reach": 7}}, {"wide": {"mean_width": 1.0}}
    phases = [{"encoder + decoder": {"reconstruction": 1.0}, **row}]
    assert "expects B x 7 (reach is 7, " in said(plugin, slots={**SMALL["slots"], **slots}, phases=phases)


def test_a_field_that_has_not_the_shape_of_its_kind(plugin: Path) -> None:
    with pytest.raises(RecipeError, match="data 'odd' says of its field 'x': image '3 size'; an image has 'channels"):
        made(plugin, data={"use": "odd"})


def test_steps_without_epochs_stay(plugin: Path) -> None:
    recipe = made(plugin)
    assert lasting(recipe, 10, registry_for({})) is recipe


def test_sizes_are_those_there_are() -> None:
    sizes = Sizes.square(3, 16, 8, 4)
    assert (sizes.size, sizes.classes, sizes.latent) == (16, 16, 8)
    with pytest.raises(AttributeError, match="there is no 'tables' here"):
        sizes.tables  # noqa: B018
    with pytest.raises(AttributeError, match="_hidden"):
        sizes._hidden  # noqa: B018


def test_an_option_without_a_value() -> None:
    with pytest.raises(RequestError, match="--set pretrained: has no '='; write it as OPTION=VALUE"):
        read_option("pretrained")


def test_a_place_on_the_hub_that_is_none_or_cannot_be_had(plugin: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "hf://org names no file; write hf://ORG/NAME/FILE.safetensors" in said(
        plugin, "slots.encoder.weights=hf://org"
    )
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    for use in ("dcgan", "diffusers"):
        slots = {"encoder": {"use": use, "weights": "hf://org/name" + "/x.safetensors" * (use == "dcgan")}}
        assert "huggingface_hub, which is not installed: pip install" in said(plugin, slots=slots)


def test_a_run_whose_recipe_cannot_be_used_here(plugin: Path) -> None:
    Path("run").mkdir()
    Path("run/recipe.yaml").write_text("extends: vae\nslots: {encoder: nothing}\n")
    with pytest.raises(RecipeError, match=r"the recipe of run cannot be used here: run/recipe.yaml:1:1: error: "):
        made(plugin, data={"use": "codes", "run": "run"})


def test_an_exporter_fills_an_empty_folder_or_says_why_not(plugin: Path) -> None:
    model, exporter = Model(made(plugin)), registry_for({}, (plugin,)).find("exporter", "one")
    Path("out").mkdir()
    assert export_model(model, exporter, Path("out"), {}) == ["one.txt"]
    with pytest.raises(RequestError, match="full: cannot be written: No space left on device"):
        export_model(model, exporter, Path("full"), {"full": True})
    assert sorted(path.name for path in Path().iterdir()) == ["out"]


def test_a_slot_that_is_wrong_is_told_once_though_it_is_to_be_fitted(plugin: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        made(plugin, slots={"late": {"kind": "prior", "use": "nothing"}}, after=["late"])
    assert str(caught.value).startswith("<recipe>:5:28: error: there is no prior 'nothing'")
    assert len(caught.value.problems) == 1
