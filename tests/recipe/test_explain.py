"""``zoo explain``: who learns from what, for the five systems exactly as in ``tests/golden``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Run, python, without_torch

from zoo.recipe import load_recipe
from zoo.recipe.routes import routes

GOLDEN = Path(__file__).parents[1] / "golden"
SYSTEMS = ("avae", "bigan", "gan", "vae", "vaegan")


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_routing_table(name: str) -> None:
    assert routes(load_recipe(name)) + "\n" == (GOLDEN / f"{name}.txt").read_text()


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


def test_the_table_needs_no_torch() -> None:
    code = "import sys; from zoo.recipe.routes import routes; from zoo.recipe import load_recipe\n"
    code += "routes(load_recipe('avae')); print('torch' in sys.modules)"
    assert python("-c", code).out == "False\n"


def test_an_unknown_recipe(here: Path) -> None:
    assert without_torch(["explain", "vea"], here).err == "zoo: error: there is no recipe 'vea'; did you mean 'vae'?\n"


def test_dot_names_every_slot_value_and_row(run_zoo: Run) -> None:
    lines = run_zoo("explain", "gan", "--dot").out.splitlines()
    assert lines[0] == 'digraph "gan" {'
    assert '  "generator" -> "generated";' in lines
    assert '  "critic_generated" -> "1: generator" [label="non_saturating"];' in lines
    assert '  "1: generator" -> "generator" [style=bold, color=red];' in lines
    assert lines[-1] == "}"
