"""Recipes: extended, overridden, resolved, written back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from conftest import TINY

from zoo.errors import RecipeError, RequestError
from zoo.recipe import Recipe, load_recipe, write_recipe
from zoo.recipe.yaml.read import read
from zoo.registry import load_registry

BUNDLED = [recipe.name for recipe in load_registry().recipes()]
pytestmark = pytest.mark.usefixtures("here")


def recipe(text: str, *overrides: str, name: str = "r.yaml") -> Recipe:
    Path(name).write_text(text)
    return load_recipe(name, overrides)


def tiny(*overrides: str) -> Recipe:
    return recipe(TINY, *overrides, name="tiny.yaml")


def weights(recipe: Recipe) -> dict[str, Any]:
    """``row/term`` -> weight, as a recipe writes it."""
    rows = [row for phase in recipe.phases for row in phase.rows]
    return {f"{row.label}/{term.label}": term.weight.plain() for row in rows for term in row.terms}


def test_overrides_in_python() -> None:
    betas = {"use": "adam", "lr": 1e-3, "betas": (0.5, 0.9)}
    one = load_recipe("avae", {"latent": 6, "train.optimizer": betas, "slots": {"critic": {"norm": "none"}}})
    texts = ["latent=6", "train.optimizer={use: adam, lr: 1e-3, betas: [0.5, 0.9]}", "slots.critic.norm=none"]
    assert one.plain() == load_recipe("avae", texts).plain()
    with pytest.raises(RequestError, match=r"^a recipe is a file, a name or a mapping, not NoneType"):
        load_recipe(None)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"^overrides is text, 'seed=1'; give a list, \['seed=1'\], or a dict"):
        load_recipe("avae", "seed=1")


# -- the bundled ones ----------------------------------------------------------------------------------------


def test_the_five_systems_are_there() -> None:
    assert {"avae", "bigan", "gan", "vae", "vaegan"} <= set(BUNDLED)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_bundled_recipe_is_short(name: str) -> None:
    entry = load_registry().find_recipe(name)
    assert entry
    assert len(entry.file.read_text().splitlines()) <= 40


@pytest.mark.parametrize("name", BUNDLED)
def test_resolve_write_read_gives_the_same_recipe(name: str) -> None:
    first = load_recipe(name)
    again = recipe(write_recipe(first))
    assert again.plain() == first.plain()
    assert write_recipe(again) == write_recipe(first)


@pytest.mark.parametrize("name", BUNDLED)
def test_a_resolved_recipe_has_every_default(name: str) -> None:
    plain = load_recipe(name).plain()
    assert {"seed", "latent", "noise", "batch_stats"} <= plain.keys()
    assert {"steps", "batch", "ema", "clip", "precision", "save_every", "optimizers"} <= plain["train"].keys()
    sets = [plain["data"]] if "use" in plain["data"] else [*plain["data"].values()]
    for part in [*sets, *plain["slots"].values(), *plain["values"].values()]:
        entry = next(e for e in load_registry().components() if e.id == part["use"])
        assert "/" in part["use"]
        assert entry
    for slot, part in plain["slots"].items():
        entry = load_registry().find(part.get("kind", slot), part["use"])
        entry = entry.variant(part.get(entry.part.by))
        assert {option.name for option in entry.signature.options} <= part.keys()
    for optimizer in plain["train"]["optimizers"].values():
        assert {"use", "lr", "rate"} <= optimizer.keys()


def test_a_name_with_and_without_its_suffix_is_the_same_recipe() -> None:
    assert load_recipe("vae.yaml").plain() == load_recipe("vae").plain()


def test_a_file_comes_before_a_bundled_recipe() -> None:
    Path("vae.yaml").write_text("extends: vae\nlatent: 3\n")
    assert load_recipe("vae.yaml").sizes.latent == 3
    assert load_recipe("vae").sizes.latent == 64


# -- extends -------------------------------------------------------------------------------------------------


def test_extends_a_bundled_recipe_and_a_file_beside_it() -> None:
    Path("sub").mkdir()
    Path("sub/base.yaml").write_text("extends: vae\nlatent: 7\nseed: 1\n")
    Path("sub/over.yaml").write_text("extends: base.yaml\nseed: 2\n")
    found = load_recipe("sub/over.yaml")
    assert (found.name, found.sizes.latent, found.seed) == ("over", 7, 2)


def test_a_recipe_may_extend_the_bundled_one_of_its_own_name() -> None:
    assert recipe("extends: avae\nlatent: 5\n", name="avae.yaml").sizes.latent == 5


def test_recipes_that_extend_each_other_in_a_circle() -> None:
    Path("a.yaml").write_text("extends: b.yaml\n")
    Path("b.yaml").write_text("seed: 1\nextends: a.yaml\n")
    with pytest.raises(RecipeError) as caught:
        load_recipe("a.yaml")
    assert str(caught.value).endswith("recipes extend each other in a circle: b.yaml -> a.yaml -> b.yaml")
    assert str(caught.value).startswith("a.yaml:1:1: error: ")


def test_a_recipe_that_extends_itself() -> None:
    with pytest.raises(RecipeError, match=r"r\.yaml:1:1: error: .* circle: r\.yaml -> r\.yaml"):
        recipe("extends: r.yaml\n")


def test_another_component_takes_no_options_of_the_one_it_replaces() -> None:
    found = recipe("extends: avae\nslots: {encoder: {use: timm, model: resnet18}}\n").slots["encoder"]
    assert found.entry.name == "timm"
    assert "width" not in found.options


def test_null_removes_a_slot_and_what_needs_it_must_go_too() -> None:
    text = """\
extends: avae
slots: {generator: null, critic: null}
phases: [{encoder + decoder: {reconstruction: 1.0, kl: 1.0}}]
outputs: {sample: decoded_prior, reconstruction: reconstruction, decoded: null}
evaluate: [mse]
"""
    found = recipe(text)
    assert list(found.slots) == ["encoder", "decoder", "prior"]
    assert "decoded" not in found.outputs


# -- overrides -----------------------------------------------------------------------------------------------


def test_set_numbers_text_lists_and_components() -> None:
    found = tiny(
        "latent=9",
        "train.optimizer.betas=[0.1, 0.2]",
        "slots.encoder.norm=group",
        "slots.decoder=dcgan",
        "data.train=65",
        "data.train=66",
    )
    assert found.sizes.latent == 9
    assert found.train.optimizers["critic"].part.options["betas"] == [0.1, 0.2]
    assert found.slots["encoder"].options["norm"] == "group"
    assert found.data.options["train"] == 66


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        ("0.5", 0.5),
        ("on", 1.0),
        ("true", 1.0),
        ("-1", -1.0),
        (
            "{from: 0, to: 2, steps: 10}",
            {"from": 0.0, "to": 2.0, "steps": 10, "start": 0, "shape": "linear"},
        ),
        (
            "{weight: {from: 1, to: 2, steps: 5, start: 3, shape: cosine}}",
            {"from": 1.0, "to": 2.0, "steps": 5, "start": 3, "shape": "cosine"},
        ),
        (
            "[{from: 0, to: 2, steps: 10}, {to: 1, start: 12, steps: 8, shape: cosine}]",
            [
                {"from": 0.0, "to": 2.0, "steps": 10, "start": 0, "shape": "linear"},
                {"to": 1.0, "steps": 8, "start": 12, "shape": "cosine"},
            ],
        ),
    ],
)
def test_set_the_weight_of_a_term(value: str, weight: object) -> None:
    assert weights(tiny(f"phases.0.generator.latent_nll={value}"))["generator/latent_nll"] == weight


def test_a_value_may_have_an_equals_sign() -> None:
    assert tiny("name=a=b").name == "a=b"


def test_a_term_that_is_off_is_gone() -> None:
    assert "generator/latent_nll" not in weights(tiny("phases.0.generator.latent_nll=off"))


def test_a_row_with_two_players_is_reached_without_its_blanks() -> None:
    assert weights(tiny("phases.0.encoder+decoder.kl=0.25"))["encoder + decoder/kl"] == 0.25


def test_set_an_option_of_a_term() -> None:
    found = tiny("phases.0.encoder+decoder.reconstruction={sigma: 0.5, weight: 2}")
    [term] = [t for row in found.phases[0].rows for t in row.terms if t.label == "reconstruction"]
    assert (term.part.options["sigma"], term.weight(0)) == (0.5, 2.0)


def test_a_schedule_of_the_rate() -> None:
    found = tiny("train.optimizer.rate={from: 1, to: 0.1, steps: 2, shape: exponential}")
    rate = found.train.optimizers["critic"].rate
    assert [round(rate(step), 4) for step in (0, 1, 2, 3)] == [1.0, 0.3162, 0.1, 0.1]


def test_a_piece_of_a_schedule_can_be_set_and_the_last_takes_the_rest() -> None:
    pieces = "train.optimizer.rate=[{from: 0, to: 1, steps: 5}, {to: 0}]"
    found = tiny("train.steps=20", pieces, "train.optimizer.rate.0.steps=10")
    rate = found.train.optimizers["critic"].rate
    assert [rate(step) for step in (0, 5, 10, 15, 20)] == [0, 0.5, 1, 0.5, 0]


def test_an_override_that_is_wrong_points_at_the_argument() -> None:
    with pytest.raises(RecipeError) as caught:
        tiny("train.steps=many")
    assert str(caught.value) == (
        "--set train.steps=many: error: 'train' option 'steps' must be a whole number, not 'many' (text)"
    )
    with pytest.raises(RecipeError, match=r"^--set latent: error: write it as path=value"):
        tiny("latent")


# -- what a recipe can say -------------------------------------------------------------------------------------


def test_values_override_and_bindings() -> None:
    text = TINY + "values: {z_posterior: posterior_mean, noise: {use: noise}}\n"
    found = recipe(text)
    assert found.values["z_posterior"].entry.name == "posterior_mean"
    bound = recipe(TINY + "values: {generated: {use: generated, with: {z: z_posterior}}}\n")
    assert "encoder" in bound.graph.reaches("generated")
    assert bound.plain()["values"]["generated"]["with"] == {"z": "z_posterior"}
    assert recipe(write_recipe(bound)).plain() == bound.plain()


def test_two_slots_of_one_kind() -> None:
    text = """\
extends: gan
slots: {critic_2: {kind: critic, use: dcgan, width: 4}}
values:
  second_x: {use: critic_x, with: {critic: critic_2}}
  second_generated: {use: critic_generated, with: {critic: critic_2}}
phases:
  - generator: {non_saturating: 1.0}
    critic: {discriminate: 1.0}
    critic_2: {second: {use: discriminate, with: {critic_x: second_x, critic_generated: second_generated}}}
"""
    found = recipe(text)
    assert found.graph.reaches("second_x") == {"critic_2"}
    assert weights(found)["critic_2/second"] == 1.0
    assert recipe(write_recipe(found)).plain() == found.plain()


def test_an_optimizer_for_each_player() -> None:
    text = "train: {optimizer: {lr: 1e-3}, optimizers: {critic: {lr: 4e-4}, encoder: {use: sgd, lr: 1.0}}}\n"
    players = recipe("extends: avae\n" + text).train.optimizers
    assert list(players) == ["encoder", "decoder", "generator", "critic"]
    assert players["generator"].part.options["lr"] == 1e-3
    assert players["critic"].part.options == {"lr": 4e-4, "betas": [0.5, 0.999], "eps": 1e-8}
    assert players["encoder"].part.entry.name == "sgd"
    assert "betas" not in players["encoder"].part.options


@pytest.mark.parametrize(
    ("written", "labels"),
    [
        ("[mse, edges]", ["mse", "edges"]),
        ("mse", ["mse"]),
        ("[generative-zoo/mse]", ["mse"]),
        ("[mse, {other: {use: mse}}]", ["mse", "other"]),
        ("[{use: mse}]", ["mse"]),
        ("{mine: mse, edges: {}}", ["mine", "edges"]),
        ("[]", []),
    ],
)
def test_evaluate_in_every_form(written: str, labels: list[str]) -> None:
    Path("base.yaml").write_text("extends: vae\nevaluate: null\n")
    assert [part.label for part in recipe(f"extends: base.yaml\nevaluate: {written}\n").evaluate] == labels


def test_a_metric_of_another_output() -> None:
    decoded = next(part for part in load_recipe("avae").evaluate if part.label == "mse_decoded")
    assert decoded.arguments["reconstruction"] == "decoded"


def test_timing_of_a_phase() -> None:
    rows = "{encoder + decoder: {reconstruction: 1, kl: 1}}"
    text = f"extends: vae\nphases: [{{rows: {rows}, repeat: 2, fresh: true, every: 3, start: 4}}]\n"
    [phase] = recipe(text).phases
    assert (phase.repeat, phase.fresh, phase.every, phase.start) == (2, True, 3, 4)


def test_a_mapping_is_a_recipe_too() -> None:
    content = read(TINY, "tiny.yaml").plain()
    assert load_recipe(content).slots == load_recipe(content).slots
    assert load_recipe(content).sizes == tiny().sizes


def test_a_catalogue_beside_the_recipe_is_layered_over_the_bundled_one() -> None:
    Path("registry.yaml").write_text('blocked: [{package: generative-zoo, reason: "for a test"}]\n')
    with pytest.raises(RecipeError, match="'vae' of generative-zoo is blocked"):
        recipe("extends: nothing.yaml\n")


# -- where data lies -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "there", "path"),
    [
        ("in", ["sub/in"], "sub/in"),
        ("in", ["sub/in", "in"], "sub/in"),
        ("in", ["in"], "in"),  # as it was before recipes' own folders were looked at
        ("in", [], "sub/in"),
        ("../in", ["in"], "sub/../in"),
        ("/in", [], "/in"),
        ("~/in", [], "~/in"),
        ("$HOME/in", [], "$HOME/in"),
    ],
)
def test_data_lies_beside_the_recipe_that_says_where(said: str, there: list[str], path: str) -> None:
    for place in ["sub", *there]:
        Path(place).mkdir()
    Path("sub/one.yaml").write_text(f"extends: vae\ndata: {{use: folder, path: {said}, size: 8}}\n")
    Path("two.yaml").write_text("extends: sub/one.yaml\nlatent: 8\n")
    for file in ("sub/one.yaml", "two.yaml"):
        assert load_recipe(file).data.options["path"] == path
    assert load_recipe("sub/one.yaml", ["data.path=set"]).data.options["path"] == "set"
    Path("sub/three.yaml").write_text("extends: vae\ndata: {use: celeba, size: 8}\n")
    Path("sub/data").mkdir()
    assert load_recipe("sub/three.yaml").data.options["root"] == "data"
    Path("sub/plugins.json").touch()  # a run, whose recipe says what it was built from
    assert load_recipe("sub/one.yaml").data.options["path"] == said
