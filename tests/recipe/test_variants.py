"""ALI, the joint AVAE and avae-plus: what each changes of the recipe it comes from, and nothing else."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from zoo_avae.terms import coarse_reconstruction

import zoo
from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.recipe.routes import routes, values

BATCH, SIZE = 4, 16


@pytest.fixture(autouse=True)
def _one_thread():
    """Networks this small only wait for each other's threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def small(name: str, optimizer: str = "{use: sgd, lr: 1}") -> Model:
    widths = [f"slots.{slot}.width=4" for slot in load_recipe(name).players()]
    sizes = [f"data.size={SIZE}", "latent=5", f"train.batch={BATCH}", "evaluate=[]"]
    return zoo.build(name, overrides=[*sizes, *widths, f"train.optimizer={optimizer}"]).double()


def images(turn: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(turn)
    return torch.rand(BATCH, 3, SIZE, SIZE, generator=generator, dtype=torch.float64) * 2 - 1


def gradients(model: Model) -> dict[str, Tensor]:
    """Parameter -> gradient of one step: what plain descent at rate 1 moves it by, the other way."""
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    Engine(model).step(images)
    return {key: before[key] - p.detach() for key, p in model.named_parameters()}


def cells(told: str) -> list[tuple[str, ...]]:
    """A table's lines as cells, whatever their widths; rulers left out."""
    lines = [tuple(re.split(r"\s{2,}", line.strip())) for line in told.splitlines()]
    return [line for line in lines if not line[0].startswith("--")]


def differing(tell: Callable[..., str], base: str, other: str) -> tuple[list, list]:
    """Lines of ``base`` that ``other`` has not, and the reverse."""
    a, b = (cells(tell(load_recipe(name))) for name in (base, other))
    return [line for line in a if line not in b], [line for line in b if line not in a]


# -- what explain shows ------------------------------------------------------------------------------------


def test_ali_is_bigan_with_a_sampled_code():
    before, after = differing(values, "bigan", "ali")
    assert before == [("z_posterior", "posterior", "generative-zoo/posterior_mean")]
    assert after == [("z_posterior", "posterior, draw", "generative-zoo/z_posterior")]
    assert differing(routes, "bigan", "ali") == ([], [])


def test_avae_joint_is_avae_with_the_encoder_in_the_generators_row():
    (before,), (after,) = differing(routes, "avae", "avae-joint")
    assert before[1] == "generator"
    assert after[1] == "encoder + generator"
    assert before[2] == f"{after[2]} (entropy off)"
    assert before[3:] == ("passes", ".", "learns", "passes")
    assert after[3:] == ("learns", ".", "learns", "passes")
    assert differing(values, "avae", "avae-joint") == ([], [])


@pytest.mark.parametrize(
    ("base", "other", "differ"), [("bigan", "ali", {"slots", "values"}), ("avae", "avae-joint", {"phases"})]
)
def test_nothing_else_differs(base, other, differ):
    """ALI's encoder has a deviation, to sample by."""
    one, two = (load_recipe(name).plain() for name in (base, other))
    assert {key for key in one if one[key] != two[key]} == {"name", *differ}
    for each in (one, two):
        each["slots"]["encoder"].pop("sigma", None)
    assert one["slots"] == two["slots"]


# -- what autograd finds -----------------------------------------------------------------------------------


def test_alis_encoder_variance_learns():
    found = gradients(small("ali"))
    assert found["encoder.log_sigma.weight"].abs().sum() > 0


def test_bigans_encoder_has_none():
    found = gradients(small("bigan"))
    assert not any(key.startswith("encoder.log_sigma") for key in found)
    assert found["encoder.mean.weight"].abs().sum() > 0


def test_a_player_in_two_rows_takes_the_sum_of_their_gradients():
    """E's gradient in avae-joint is avae's, plus that of the latent term alone, by torch.autograd.grad."""
    plain, joint = gradients(small("avae")), small("avae-joint")
    fresh, painted = copy.deepcopy(joint).train(), []
    joint.generator.register_forward_pre_hook(lambda _, inputs: painted.append(inputs))
    both = gradients(joint)
    ((z, noise),) = painted
    q = fresh.encoder(fresh.generator(z, noise).detach())
    weight = joint.recipe.phases[0].rows[1].terms[1].weight(0)
    latent = weight * ((z - q.mean).square() / (2 * q.sigma**2) + q.log_sigma).sum(1).mean()
    alone = torch.autograd.grad(latent, list(fresh.encoder.parameters()))
    for (key, _), extra in zip(fresh.encoder.named_parameters(), alone, strict=True):
        torch.testing.assert_close(both[f"encoder.{key}"], plain[f"encoder.{key}"] + extra)


def test_only_the_encoders_gradient_differs_between_avae_and_avae_joint():
    plain, joint = gradients(small("avae")), gradients(small("avae-joint"))
    differ = {key.split(".")[0] for key in plain if not torch.allclose(plain[key], joint[key])}
    assert differ == {"encoder"}


@pytest.mark.parametrize("name", ["ali", "avae-joint"])
def test_two_steps_move_every_player(name):
    model = small(name, "adam")
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    engine = Engine(model)
    losses = [engine.step(images) for _ in range(2)]
    moved = {key.split(".")[0] for key, p in model.named_parameters() if not torch.equal(p, before[key])}
    assert moved == set(model.recipe.players())
    assert all(value.isfinite() for step in losses for value in step.values())


# -- avae-plus ---------------------------------------------------------------------------------------------


def test_coarse_reconstruction_compares_cell_means():
    x, again = torch.rand(2, 3, 8, 8, dtype=torch.float64), torch.rand(2, 3, 8, 8, dtype=torch.float64)
    cells = [
        (x[:, :, i : i + 4, j : j + 4].mean((2, 3)) - again[:, :, i : i + 4, j : j + 4].mean((2, 3)))
        for i in (0, 4)
        for j in (0, 4)
    ]
    expected = sum((0.5 * cell.square()).sum() for cell in cells) / 2
    torch.testing.assert_close(coarse_reconstruction(x, again), expected)


def test_coarse_reconstruction_does_not_see_texture_inside_a_cell():
    texture = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(1, 3, 4, 4)
    x = torch.zeros(1, 3, 8, 8)
    assert coarse_reconstruction(x, x + texture) == 0
    assert coarse_reconstruction(x, x + texture, cell=1) > 0


def test_avae_plus_judges_both_fakes_and_leaves_the_encoder_alone():
    rows = load_recipe("avae-plus").phases[0].rows
    wired = {term.label: term.part.arguments for row in rows for term in row.terms}
    for term in ("non_saturating_both", "discriminate_both"):
        assert wired[term]["critic_reconstruction"] == "critic_generated_from_posterior"
        assert wired[term]["critic_generated"] == "critic_generated"
    assert [row.players for row in rows] == [("encoder", "decoder"), ("generator",), ("critic",)]
