"""``zoo explain``: who learns from what, and what autograd finds; the tables of all systems: ``tests/shelf``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run, python, without_torch

from zoo.check.explain import as_json, explain
from zoo.check.shares import shares
from zoo.recipe import load_recipe
from zoo.recipe.routes import routes, settings, slots, values

SYSTEMS = ("avae", "bigan", "gan", "vae", "vaegan")


@pytest.mark.parametrize("name", SYSTEMS)
def test_autograd_finds_what_the_table_says(run_zoo: Run, name: str) -> None:
    document = json.loads(run_zoo("explain", name, "--json").out)
    assert document["name"] == name
    learns = {(row["row"], slot) for row in document["rows"] for slot, how in row["routes"].items() if how == "learns"}
    passes = {(row["row"], slot) for row in document["rows"] for slot, how in row["routes"].items() if how == "passes"}
    probed = [(reach["row"], reach["player"], reach["how"]) for reach in document["probed"]]
    assert {(row, slot) for row, slot, how in probed if how == "learns"} == learns
    assert {(row, slot) for row, slot, how in probed if how == "passes"} == passes
    # all of it, but for BiGAN's deterministic encoder, whose log sigma nobody asks for
    whole = [reach["reached"] == reach["parameters"] for reach in document["probed"]]
    assert all(whole) or (name == "bigan" and whole.count(False) == 1)


def test_the_whole_explanation(run_zoo: Run) -> None:
    outcome = run_zoo("explain", "avae", "--set", "phases.0.critic.discriminate={from: 0, to: 2, steps: 10}")
    assert outcome.code == 0
    assert "avae: images 3 x 32 x 32 from generative-zoo/photos" in outcome.out
    assert "(0 to 2 over 10 steps) discriminate" in outcome.out
    assert "generated_from_posterior  generator, z_posterior, noise" in outcome.out
    assert "learns: 14 of 14 tensors" in outcome.out
    assert "is passed through" in outcome.out


DIFFERENT = [
    ["phases.0.generator.latent_nll={precision: normalised, weight: 0.05}"],
    ["phases.0.generator.latent_nll={from: 0, to: 0.05, steps: 9}"],
    ["phases.0.generator.latent_nll={from: 0, to: 0.05, steps: 9, shape: cosine}"],
    ["phases.0.encoder+decoder.reconstruction={distance: absolute}"],
    ["phases.0.encoder+decoder.reconstruction={with: {x: generated}}"],
    ["phases.0.generator.entropy=-0.01"],
    ["phases.0.generator.entropy={estimator: score, weight: -0.01}"],
    ["batch_stats=batch"],
    ["seed=3"],
    ["train.ema=0.5"],
    ["train.clip=1"],
    ["train.accumulate=2"],
    ["train.optimizer.rate=0.5"],
    ["train.optimizer.rate={from: 1, to: 0, shape: linear}"],
    ["train.optimizers={critic: {rate: 2}}"],
    ["train.optimizer.betas=[0.0, 0.9]"],
    ["evaluate.mse={use: mse, with: {reconstruction: decoded}}"],
    ["augment=[flip]"],
    ["data.contrast=0.1"],
]


def test_no_two_models_have_one_page() -> None:
    pages = [
        "\n".join(part(load_recipe("avae", overrides)) for part in (routes, values, slots, settings))
        for overrides in [[], *DIFFERENT]
    ]
    assert len(set(pages)) == len(pages)


def test_settings_are_what_differs_from_a_default() -> None:
    text = "\n".join(settings(load_recipe("avae", [*DIFFERENT[4], *DIFFERENT[6], "train.clip=1"])).split())
    assert "term\nreconstruction\nof\nencoder\n+\ndecoder\nwith\nx:\ngenerated" in text
    assert "term\nentropy\nof\ngenerator\nestimator=score" in text
    assert "train\nsteps=4000\nbatch=32\nema=0.995\nclip=1" in text
    assert "save_every" not in text


def test_a_part_of_a_slot_shows_how_it_is_moved() -> None:
    recipe = load_recipe("avae", ["phases.0={encoder.mean: {kl: 1}, decoder: {reconstruction: 1}}"])
    assert "optimizer encoder.mean  adam lr=0.0005" in settings(recipe)


def test_shares_are_of_the_norms_of_gradients() -> None:
    """Two of a decoder's terms are the same: at weights 1 and 3 they have a quarter and three quarters."""
    same = "phases=[{decoder: {reconstruction: 1, again: {use: reconstruction, weight: {from: 0, to: -3, steps: 9}}}}]"
    small = ["slots.encoder.width=4", "slots.decoder.width=4", "data.size=8"]
    found = {share.term: share for share in shares(load_recipe("vae", [same, *small]))}
    assert {(share.phase, share.row, share.player) for share in found.values()} == {(0, "decoder", "decoder")}
    assert found["reconstruction"].share == pytest.approx(0.25)
    assert found["again"].share == pytest.approx(0.75)


def test_shares_that_cannot_be_measured_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = load_recipe("vae", ["slots.encoder.width=4", "slots.decoder.width=4", "data.size=8"])
    monkeypatch.setenv("ZOO_MEMORY", "1KB")
    assert "cannot be measured here: recipe 'vae': its weights would take" in explain(recipe)
    assert "would take" in as_json(recipe)["shares"]


def test_the_table_needs_no_torch() -> None:
    code = "import sys; from zoo.recipe.routes import routes; from zoo.recipe import load_recipe\n"
    code += "routes(load_recipe('avae')); print('torch' in sys.modules)"
    assert python("-c", code).out == "False\n"


def test_an_unknown_recipe(here: Path) -> None:
    assert (
        without_torch(["explain", "avea"], here).err == "zoo: error: there is no recipe 'avea'; did you mean 'avae'?\n"
    )


def test_dot_names_every_slot_value_and_row(run_zoo: Run) -> None:
    lines = run_zoo("explain", "gan", "--dot").out.splitlines()
    assert lines[0] == 'digraph "gan" {'
    assert '  "generator" -> "generated";' in lines
    assert '  "critic_generated" -> "1: generator" [label="non_saturating"];' in lines
    assert '  "1: generator" -> "generator" [style=bold, color=red];' in lines
    assert lines[-1] == "}"
