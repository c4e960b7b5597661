"""Who learns from what: no gradient and no statistic reaches a network from a row that is not its own."""

from __future__ import annotations

from functools import cache
from typing import Any

import engine_toys
import pytest
import torch
from helpers import engine as helpers_engine
from helpers.engine import assert_close, counted, differing, images, played, slots_of, small, snapshot
from torch import Tensor
from torch.nn.functional import normalize

from zoo.model.model import Model

SGD = "train.optimizer={use: sgd, lr: 0.001}"
"""Adam hides the size of a gradient, plain descent shows it."""

LATER = {"weight": {"from": 1.0, "to": 1.0, "steps": 1, "start": 3}}
VAE = {"encoder + decoder": {"reconstruction": 1.0, "kl": 1.0}}


def after(name: str, *overrides: str, steps: int = 1, phases: Any = ()) -> dict[str, Tensor]:
    """The state of a bundled recipe after some steps of plain descent."""
    model = small(name, SGD, *overrides, phases=phases)
    played(model, steps)
    return snapshot(model)


@pytest.fixture(autouse=True)
def _forget() -> None:
    engine_toys.SEEN.clear()


def noted(what: str) -> list[Any]:
    return [note for name, note in engine_toys.SEEN if name == what]


def built(name: str, *overrides: str, phases: Any = ()) -> Model:
    """A model; what the toys saw while shapes were checked is forgotten."""
    model = small(name, SGD, *overrides, phases=phases)
    engine_toys.SEEN.clear()
    return model


# -- each term moves its row's players and nobody else -----------------------------------------------------

MOVES = [
    ("vae", "encoder+decoder", "reconstruction", "encoder decoder"),
    ("vae", "encoder+decoder", "kl", "encoder"),
    ("gan", "generator", "non_saturating", "generator"),
    ("gan", "critic", "discriminate", "critic"),
    ("vaegan", "encoder", "kl", "encoder"),
    ("vaegan", "encoder", "feature_match", "encoder"),
    ("vaegan", "decoder", "feature_match", "decoder"),
    ("vaegan", "decoder", "non_saturating_both", "decoder"),
    ("vaegan", "critic", "discriminate_both", "critic"),
    ("bigan", "encoder+generator", "pairs_swapped", "encoder generator"),
    ("bigan", "critic", "pairs", "critic"),
    ("avae", "encoder+decoder", "reconstruction", "encoder decoder"),
    ("avae", "encoder+decoder", "kl", "encoder"),
    ("avae", "generator", "reverse_kl", "generator"),
    ("avae", "generator", "latent_nll", "generator"),
    ("avae", "critic", "discriminate", "critic"),
]
as_bundled = cache(after)


@pytest.mark.parametrize(("name", "row", "term", "moves"), MOVES)
def test_a_louder_term_changes_its_own_players_and_no_other_bit(name, row, term, moves):
    loud = after(name, f"phases.0.{row}.{term}=17")
    changed = differing(as_bundled(name), loud)
    assert slots_of(changed) == set(moves.split())
    assert not {key for key, _ in buffers(name)} & set(changed)


def buffers(name: str) -> list[tuple[str, Tensor]]:
    return list(small(name).named_buffers())


def test_every_term_of_every_bundled_recipe_is_tried():
    recipes = {name: small(name).recipe for name in helpers_engine.SLOTS}
    rows = [(name, row) for name, recipe in recipes.items() for phase in recipe.phases for row in phase.rows]
    terms = {(name, row.label.replace(" ", ""), term.label) for name, row in rows for term in row.terms}
    assert terms == {move[:3] for move in MOVES}


def test_avae_leaves_its_encoder_and_decoder_those_of_a_vae():
    vae = snapshot(played(small("vae", dtype=torch.float32), 5).model)
    avae = snapshot(played(small("avae", dtype=torch.float32), 5).model)
    assert differing(vae, {key: avae[key] for key in vae}) == []


def test_a_held_value_stops_gradients():
    held = after("vae", phases=[{"encoder + decoder": {"held_code_size": 1.0}}])
    assert not any(noted("held"))
    assert differing(held, after("vae", phases=[{"encoder + decoder": {"brightness": 1.0}}])) == []


# -- terms that weigh nothing ------------------------------------------------------------------------------


@pytest.mark.parametrize("weight", ["off", 0, {"weight": {"from": 0.0, "to": 0.0, "steps": 5}}, LATER])
def test_a_term_that_weighs_nothing_is_not_computed_and_changes_no_bit(weight):
    model = built("vae", phases=[{"encoder + decoder": {"brightness": weight, **VAE["encoder + decoder"]}}])
    played(model, 3)
    assert noted("brightness") == []
    assert differing(snapshot(model), after("vae", steps=3, phases=[VAE])) == []


def test_a_term_that_starts_later_is_computed_from_then_on():
    model = built("vae", phases=[{"encoder + decoder": {"brightness": LATER, **VAE["encoder + decoder"]}}])
    played(model, 5)
    assert noted("brightness") == [True, True]


def test_a_critic_that_starts_later_keeps_every_bit_until_then():
    rows = {"generator": {"non_saturating": 1.0}, "critic": {"discriminate": LATER}}
    model = built("gan", phases=[rows])
    before, engine = snapshot(model.critic), played(model, 3)
    assert differing(before, snapshot(model.critic)) == []
    engine.step(images)
    assert differing(before, snapshot(model.critic)) != []


def test_a_term_that_starts_later_records_no_statistics_until_then():
    rest = {"generator": {"reverse_kl": 1.0, "latent_nll": 0.03}, "critic": {"discriminate": 1.0}}
    joint = {"encoder + decoder": {**VAE["encoder + decoder"], "latent_nll": LATER}, **rest}
    alone = after("avae", steps=3, phases=[{**VAE, **rest}])
    assert differing(after("avae", steps=3, phases=[joint]), alone) == []


# -- players -----------------------------------------------------------------------------------------------


def test_gradients_of_a_player_in_two_rows_add():
    two = after("vae", phases=[{"encoder + decoder": {"reconstruction": 1.0}, "encoder": {"kl": 1.0}}])
    assert_close(two, after("vae", phases=[VAE]), 1e-12)


def test_a_row_of_two_players_is_two_rows_of_one():
    two = {"encoder": VAE["encoder + decoder"], "decoder": {"reconstruction": 1.0}}
    assert_close(after("vae", phases=[two]), after("vae", phases=[VAE]), 1e-12)


def test_a_player_may_be_a_part_of_a_slot():
    model = built("vae", phases=[{"encoder.mean + decoder": VAE["encoder + decoder"]}])
    before = snapshot(model)
    played(model)
    whole, part = after("vae", phases=[VAE]), snapshot(model)
    moved = {key for key in differing(before, part) if key in dict(model.named_parameters())}
    assert {key for key in moved if key.startswith("encoder")} == {"encoder.mean.weight", "encoder.mean.bias"}
    assert_close({key: part[key] for key in moved}, {key: whole[key] for key in moved}, 1e-12)


# -- one shared forward ------------------------------------------------------------------------------------


def test_each_value_is_computed_once_a_phase():
    model = small("avae")
    with counted(model, *helpers_engine.SLOTS["avae"]) as calls:
        played(model)
    assert calls == {"encoder": 2, "decoder": 1, "generator": 1, "critic": 2}


def test_a_value_that_no_term_needs_is_never_computed():
    model = small("vae", "values.x_again=unneeded", "values.z_posterior=posterior_mean")
    played(model)
    assert "x_again" in model.recipe.values


def test_what_no_row_learns_from_is_not_recorded():
    model = built("avae", phases=[{"encoder + decoder": {"watched": 1.0}}])
    played(model)
    assert noted("shade") == [False]


def test_what_a_row_learns_from_is_recorded():
    model = built("avae", phases=[{"encoder + decoder + generator": {"watched": 1.0}}])
    played(model)
    assert noted("shade") == [True]


# -- networks that are only passed through -----------------------------------------------------------------


def test_spectral_norm_keeps_its_vectors_where_a_critic_is_only_passed_through():
    model = small("gan", phases=[{"generator": {"non_saturating": 1.0}}])
    before = snapshot(model.critic)
    played(model, 2)
    assert differing(before, snapshot(model.critic)) == []


@pytest.mark.parametrize("more", [(), ("train.activation_checkpointing=true",), ("train.precision=bfloat16",)])
@pytest.mark.parametrize("name", ["gan", "vaegan", "avae"])
def test_spectral_norm_takes_one_step_of_its_power_iteration_for_all_calls_of_a_phase(name, more):
    """Miyato et al. 2018, algorithm 1: v = W'u / |W'u|, then u = Wv / |Wv|, before each update."""
    model = small(name, *more, dtype=torch.float32)
    layer = model.critic.logit.parametrizations.weight
    weight, u = layer.original.detach().clone(), layer[0]._u.clone()
    played(model)
    v = normalize(weight.T @ u, dim=0)
    torch.testing.assert_close(layer[0]._v, v)
    torch.testing.assert_close(layer[0]._u, normalize(weight @ v, dim=0))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_critic_that_is_passed_through_first_learns_from_the_next_call_all_the_same(precision):
    """The critic's row judges fakes that are held, in a call of its own, after the generator's."""
    again = {"held": {"use": "critic_generated", "with": {"generated": "generated_held"}}}
    told = {"use": "discriminate", "with": {"critic_generated": "held"}, "weight": 1.0}
    apart = [{"generator": {"non_saturating": 1.0}, "critic": {"told": told}}]
    settings = [SGD, f"train.precision={precision}"]
    one = small("gan", *settings, dtype=torch.float32)
    two = small("gan", *settings, f"values={again}", phases=apart, dtype=torch.float32)
    for model in (one, two):
        played(model, 2)
    assert_close(snapshot(two), snapshot(one), 1e-5 if precision == "float32" else 2e-3)


def test_batch_norm_keeps_its_statistics_where_a_part_of_an_encoder_is_only_passed_through():
    passing = {**VAE, "generator": {"trunk_size": 1.0}}
    avae, vae = after("avae", steps=2, phases=[passing]), after("vae", steps=2, phases=[VAE])
    assert differing({key: avae[key] for key in vae}, vae) == []


def test_a_passed_network_is_left_as_it_was():
    model = small("avae")
    modes = {name: m.training for name, m in model.train().named_modules()}
    played(model)
    assert {name: m.training for name, m in model.named_modules()} == modes
    assert all(p.requires_grad for p in model.parameters())
