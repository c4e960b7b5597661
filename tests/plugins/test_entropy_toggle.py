"""The entropy toggle in a recipe: off is free, signs are kept, options are the estimator's, rows are told."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from conftest import Run as Zoo
from helpers.engine import BATCH, counted, differing, images, played, small, snapshot
from torch import Tensor

import zoo
from zoo.engine.engine import Engine
from zoo.errors import RecipeError
from zoo.model.model import Model
from zoo.recipe import load_recipe, write_recipe

ROW = "phases.0.generator.entropy"
ESTIMATORS = ("knn", "knn_batch", "score", "mutual_information")


def with_entropy(written: str, *more: str) -> Model:
    return small("avae", *([f"{ROW}={written}"] if written else []), *more, dtype=torch.float32)


@cache
def without() -> tuple[dict[str, int], dict[str, Tensor]]:
    """AVAE without the toggle: calls of each slot in two steps, and what the model then is."""
    return counted_steps(with_entropy(""))


def counted_steps(model: Model) -> tuple[dict[str, int], dict[str, Tensor]]:
    with counted(model, "encoder", "decoder", "generator", "critic") as calls:
        played(model, 2)
    return calls, snapshot(model)


@pytest.mark.parametrize("written", ["off", "0", "{estimator: score, weight: off}"])
def test_off_changes_no_bit_and_calls_nothing(written):
    off = with_entropy(written)
    calls, state = counted_steps(off)
    assert calls == without()[0]
    assert differing(state, without()[1]) == []
    assert not off.owned
    assert off.recipe.players() == ("encoder", "decoder", "generator", "critic")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_weight_that_is_still_zero_costs_no_call_and_changes_no_bit(estimator):
    late = f"{{estimator: {estimator}, weight: {{from: -1.0, to: -1.0, steps: 1, start: 100}}}}"
    calls, state = counted_steps(with_entropy(late))
    assert calls == without()[0]
    assert differing(without()[1], {key: state[key] for key in without()[1]}) == []


@pytest.mark.parametrize("written", ["on", *(f"{{estimator: {e}, weight: -0.01}}" for e in ESTIMATORS[1:])])
def test_avae_trains_three_steps_with_every_estimator(written):
    model = with_entropy(written)
    before = snapshot(model)
    engine = played(model, 2)
    losses = engine.step(lambda turn: images(turn, model.dtype))
    moved = differing(before, snapshot(model))
    assert all(torch.isfinite(tensor).all() for tensor in [*losses.values(), *snapshot(model).values()])
    assert {key for key in before if key.startswith("owned")} <= set(moved)
    assert ("entropy/learn" in losses) == (written != "on" and "knn" not in written)
    assert any(key.startswith("generator") for key in moved)


def test_on_is_the_exact_cross_entropys_plus_h():
    (term,) = [t for t in with_entropy("on").recipe.phases[0].rows[1].terms if t.label == "entropy"]
    assert term.weight.plain() == 1.0
    assert term.part.options == {"estimator": "knn", "batch": 256, "k": 1, "resolution": 1.0}


@pytest.mark.parametrize(("estimator", "weight"), [("knn", -1), ("knn", 1), ("mutual_information", -1)])
def test_a_negative_weight_raises_the_entropy_and_a_positive_one_lowers_it(estimator, weight):
    """METHODS: L_G = ... + alpha H, so that descending it with alpha < 0 is a bonus on diversity."""
    phases = [{"generator": {"entropy": {"estimator": estimator, "weight": weight}}}]
    engine = Engine(small("avae", phases=phases))
    plan, x = engine.plan(engine.recipe.phases[0]), images(0)
    before, gradients = engine.gradients(plan, x)
    with torch.no_grad():
        for key, parameter in engine.players["generator"].parameters.items():
            parameter.sub_(1e-4 * gradients[key])
    after, _ = engine.gradients(plan, x)
    (was,), (now,) = ([v for key, v in terms.items() if str(key) == "generator/entropy"] for terms in (before, after))
    assert (now > was) == (weight < 0)


@pytest.mark.parametrize("weight", ["on", "0.5", "{from: -1, to: 0.1, steps: 9}"])
def test_a_positive_weight_of_the_bound_is_refused_with_its_place(weight, here: Path, run_zoo: Zoo):
    text = f"""\
extends: avae
data: {{use: photos, size: 16}}
phases:
  - encoder + decoder: {{reconstruction: 1.0, kl: 1.0}}
    generator:
      reverse_kl: 1.0
      entropy: {{estimator: mutual_information, weight: {weight}}}
    critic: {{discriminate: 1.0}}
"""
    (here / "wrong.yaml").write_text(text)
    outcome = run_zoo("check", "wrong.yaml")
    assert outcome.code == 2
    assert len(outcome.errors) == 1
    assert outcome.errors[0].startswith("wrong.yaml:7:7: error: term 'entropy': mutual_information bounds")
    with pytest.raises(RecipeError, match=r"wrong\.yaml:7:7"):
        zoo.build("wrong.yaml")


def test_a_generator_without_noise_has_no_information_to_raise():
    with pytest.raises(RecipeError, match="set 'noise'"):
        with_entropy("{estimator: mutual_information, weight: -1}", "noise=0")


def test_options_are_the_chosen_estimators():
    with pytest.raises(RecipeError, match="no estimator 'scroe'; did you mean 'score'"):
        with_entropy("{estimator: scroe}")
    with pytest.raises(RecipeError, match="term 'entropy' has no option 'sigma'"):
        with_entropy("{estimator: knn, sigma: 0.1}")
    with pytest.raises(RecipeError, match="term 'entropy' has no option 'k'"):
        with_entropy("{estimator: score, k: 3}")


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_recipe_with_the_toggle_is_written_and_read_back(estimator, tmp_path: Path):
    recipe = with_entropy(f"{{estimator: {estimator}, weight: -0.01}}").recipe
    (tmp_path / "again.yaml").write_text(write_recipe(recipe))
    again = load_recipe(tmp_path / "again.yaml")
    assert again.plain() == recipe.plain()
    assert again.phases[0].rows[1].terms[-1].part.options["estimator"] == estimator


def test_show_lists_every_estimator(run_zoo: Zoo):
    told = run_zoo("show", "entropy").out
    assert all(f"Literal['{name}']" in told for name in ESTIMATORS)
    assert "its networks learn from: generated_held, z, noise, draw" in told


@pytest.mark.parametrize(
    ("recipe", "row", "estimator"),
    [
        ("gan", "generator", f"knn, batch: {2 * BATCH}"),
        ("bigan", "encoder + generator", f"knn, batch: {2 * BATCH}"),
        ("vaegan", "decoder", "knn_batch"),
    ],
)
def test_other_generators_take_it_too(recipe, row, estimator):
    model = small(recipe, f"phases.0.{row}.entropy={{estimator: {estimator}, weight: -0.01}}")
    assert played(model, 1).step_index == 1
