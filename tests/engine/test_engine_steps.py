"""The engine against steps written by hand from METHODS: plain torch, ``autograd.grad``, plain Adam."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.engine import BATCH, LATENT, NOISE, SLOTS, assert_close, images, in_turn, small, snapshot
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.utils import parametrize

from zoo.engine.engine import Engine
from zoo.model.model import Model

Weights = Mapping[str, float]
"""``"row/term"`` -> how much it counts: all that these steps take from the recipe."""

Rows = dict[tuple[str, ...], Callable[[], Tensor]]
"""Players -> the loss that they minimise. Evaluated in order: batch norm and spectral norm remember it."""


# -- the losses, from METHODS ------------------------------------------------------------------------------


def cross_entropy(logit: Tensor, real: bool) -> Tensor:
    """-log of the probability that a critic gives the right answer, a mean over the batch."""
    probability = 1 / (1 + torch.exp(-logit))
    return -(probability if real else 1 - probability).log().mean()


def kl(q: Any) -> Tensor:
    sigma = q.log_sigma.exp()
    return ((q.mean**2 + sigma**2) / 2 - 0.5 - sigma.log()).sum() / BATCH


def vae(nets: Any, x: Tensor, noise: Mapping[str, Tensor], w: Weights) -> Rows:
    def loss() -> Tensor:
        q = nets.encoder(x)
        x_rec = nets.decoder(q.mean + q.log_sigma.exp() * noise["z_posterior"])
        squares = 0.5 * ((x - x_rec) ** 2).sum() / BATCH
        return w["encoder + decoder/reconstruction"] * squares + w["encoder + decoder/kl"] * kl(q)

    return {("encoder", "decoder"): loss}


def gan(nets: Any, x: Tensor, noise: Mapping[str, Tensor], w: Weights) -> Rows:
    c_x = cache(lambda: nets.critic(x).logit)
    c_gen = cache(lambda: nets.critic(nets.generator(noise["z"], torch.empty(BATCH, 0).double())).logit)
    return {
        ("generator",): lambda: w["generator/non_saturating"] * cross_entropy(c_gen(), real=True),
        ("critic",): lambda: (
            w["critic/discriminate"] * (cross_entropy(c_x(), real=True) + cross_entropy(c_gen(), real=False))
        ),
    }


def vaegan(nets: Any, x: Tensor, noise: Mapping[str, Tensor], w: Weights) -> Rows:
    q = cache(lambda: nets.encoder(x))
    x_rec = cache(lambda: nets.decoder(q().mean + q().log_sigma.exp() * noise["z_posterior"]))
    c_x = cache(lambda: nets.critic(x))
    c_rec = cache(lambda: nets.critic(x_rec()))
    c_gen = cache(lambda: nets.critic(nets.decoder(noise["z"])))

    def feature_distance() -> Tensor:
        return 0.5 * ((c_x().taps["stage2"] - c_rec().taps["stage2"]) ** 2).sum() / BATCH

    def fakes(real: bool) -> Tensor:
        return cross_entropy(c_rec().logit, real) + cross_entropy(c_gen().logit, real)

    return {
        ("encoder",): lambda: w["encoder/kl"] * kl(q()) + w["encoder/feature_match"] * feature_distance(),
        ("decoder",): lambda: (
            w["decoder/feature_match"] * feature_distance() + w["decoder/non_saturating_both"] * fakes(real=True)
        ),
        ("critic",): lambda: (
            w["critic/discriminate_both"] * (cross_entropy(c_x().logit, real=True) + fakes(real=False))
        ),
    }


def bigan(nets: Any, x: Tensor, noise: Mapping[str, Tensor], w: Weights) -> Rows:
    def generated() -> Tensor:
        return nets.generator(noise["z"], torch.empty(BATCH, 0).double())

    c_x = cache(lambda: nets.critic(x, nets.encoder(x).mean).logit)
    c_gen = cache(lambda: nets.critic(generated(), noise["z"]).logit)
    return {
        ("encoder", "generator"): lambda: (
            w["encoder + generator/pairs_swapped"]
            * (cross_entropy(c_x(), real=False) + cross_entropy(c_gen(), real=True))
        ),
        ("critic",): lambda: w["critic/pairs"] * (cross_entropy(c_x(), real=True) + cross_entropy(c_gen(), real=False)),
    }


def avae(nets: Any, x: Tensor, noise: Mapping[str, Tensor], w: Weights) -> Rows:
    x_gen = cache(lambda: nets.generator(noise["z"], noise["noise"]))
    c_x = cache(lambda: nets.critic(x).logit)
    c_gen = cache(lambda: nets.critic(x_gen()).logit)

    def latent() -> Tensor:
        q = nets.passing.encoder(x_gen())
        return ((noise["z"] - q.mean) ** 2 / (2 * q.log_sigma.exp() ** 2) + q.log_sigma).sum() / BATCH

    return {
        **vae(nets, x, noise, w),
        ("generator",): lambda: -w["generator/reverse_kl"] * c_gen().mean() + w["generator/latent_nll"] * latent(),
        ("critic",): lambda: (
            w["critic/discriminate"] * (cross_entropy(c_x(), real=True) + cross_entropy(c_gen(), real=False))
        ),
    }


TERMS = {
    "vae": {"encoder + decoder/reconstruction", "encoder + decoder/kl"},
    "gan": {"generator/non_saturating", "critic/discriminate"},
    "vaegan": {
        *("encoder/kl", "encoder/feature_match", "decoder/feature_match", "decoder/non_saturating_both"),
        "critic/discriminate_both",
    },
    "bigan": {"encoder + generator/pairs_swapped", "critic/pairs"},
    "avae": {
        *("encoder + decoder/reconstruction", "encoder + decoder/kl"),
        *("generator/reverse_kl", "generator/latent_nll", "critic/discriminate"),
    },
}
"""What each row minimises, from METHODS."""

EPS = 1e-5
"""Adam's. A bias before batch norm has gradient 0 up to round-off, which 1e-8 would blow up into a step."""

HAND = {"vae": vae, "gan": gan, "vaegan": vaegan, "bigan": bigan, "avae": avae}


# -- the steps, by hand ------------------------------------------------------------------------------------


def passed(net: nn.Module, *inputs: Tensor) -> Any:
    """A forward that does not learn: batch statistics, none recorded; spectral norm keeps its vectors."""
    spectral = [m for m in net.modules() if type(m).__name__ == "_SpectralNorm"]
    for m in spectral:
        m.eval()
    scratch = {name: buffer.clone() for name, buffer in net.named_buffers()}
    found = functional_call(net, scratch, inputs)
    for m in spectral:
        m.train()
    return found


class ByHand:
    """Copies of a model's networks with a plain Adam each, moved by rows written by hand."""

    def __init__(self, name: str, model: Model) -> None:
        self.rows = HAND[name]
        self.weights = weights_of(model)
        assert self.weights.keys() == TERMS[name]
        self.nets = {slot: copy.deepcopy(getattr(model, slot)) for slot in SLOTS[name]}
        self.adams = {}
        for slot, net in self.nets.items():
            net.to(memory_format=torch.contiguous_format).requires_grad_(True).train()
            self.adams[slot] = torch.optim.Adam(
                net.parameters(), lr=2e-4, betas=(0.5, 0.999), eps=EPS, foreach=False, fused=False
            )
        self.normal = lambda step, value, dims: model.draw("train", step, (), value).normal(BATCH, dims)

    def step(self, step: int, joint: bool) -> dict[str, float]:
        """One step; every row's gradient at the old weights if ``joint``, else one row after another.

        Spectral norm takes one step for all the calls of a forward (Miyato et al. 2018, algorithm 1).
        """
        x = images(step)
        dims = {"z": LATENT, "z_posterior": LATENT, "noise": NOISE}
        noise = {value: self.normal(step, value, k) for value, k in dims.items()}
        groups = self.rows(self.seen_by(set(self.nets)), x, noise, self.weights)
        losses = {}
        if joint:
            with parametrize.cached():
                found = {players: loss() for players, loss in groups.items()}
            gradients = {players: self.gradient(players, loss) for players, loss in found.items()}
            for players, gradient in gradients.items():
                self.move(players, gradient)
            losses = {" + ".join(players): float(loss.detach()) for players, loss in found.items()}
        else:
            for players in groups:
                with parametrize.cached():
                    loss = self.rows(self.seen_by(set(players)), x, noise, self.weights)[players]()
                losses[" + ".join(players)] = float(loss.detach())
                self.move(players, self.gradient(players, loss))
        return losses

    def seen_by(self, learners: set[str]) -> SimpleNamespace:
        """The networks as a row sees them: those outside ``learners`` are only passed through."""
        passing = {slot: lambda *inputs, net=net: passed(net, *inputs) for slot, net in self.nets.items()}
        learning = {slot: net for slot, net in self.nets.items() if slot in learners}
        return SimpleNamespace(passing=SimpleNamespace(**passing), **(passing | learning))

    def gradient(self, players: tuple[str, ...], loss: Tensor) -> list[Tensor | None]:
        parameters = [p for slot in players for p in self.nets[slot].parameters()]
        return list(torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True))

    def move(self, players: tuple[str, ...], gradient: list[Tensor | None]) -> None:
        given = iter(gradient)
        for slot in players:
            for p in self.nets[slot].parameters():
                p.grad = next(given)
            self.adams[slot].step()

    def state(self) -> dict[str, Tensor]:
        return {f"{slot}.{key}": t for slot, net in self.nets.items() for key, t in snapshot(net).items()}


def weights_of(model: Model) -> dict[str, float]:
    rows = [row for phase in model.recipe.phases for row in phase.rows]
    return {f"{row.label}/{term.label}": term.weight(0) for row in rows for term in row.terms}


def row_losses(losses: Mapping[str, Tensor], model: Model) -> dict[str, float]:
    """The engine's losses summed over each row's terms, weights included."""
    weights = weights_of(model)
    summed: dict[str, float] = {}
    for key, loss in losses.items():
        row = key.rsplit("/", 1)[0]
        summed[row] = summed.get(row, 0.0) + weights[key] * float(loss)
    return summed


def compare(name: str, *overrides: str, joint: bool, steps: int = 3) -> None:
    phases = [] if joint else in_turn(name)
    model = small(name, f"train.optimizer.eps={EPS}", *overrides, phases=phases)
    by_hand, engine = ByHand(name, model), Engine(model)
    for step in range(steps):
        expected = by_hand.step(step, joint)
        assert row_losses(engine.step(images), model) == pytest.approx(expected, rel=1e-9, abs=1e-9)
        assert_close(snapshot(model), by_hand.state())


@pytest.mark.parametrize("name", HAND)
def test_a_joint_step_is_the_step_written_by_hand(name):
    compare(name, joint=True)


@pytest.mark.parametrize("name", HAND)
def test_rows_in_phases_of_their_own_follow_one_another(name):
    compare(name, joint=False)


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("name", ["gan", "vaegan", "avae"])
def test_a_critic_with_batch_norm_too(name, joint):
    compare(name, "slots.critic.norm=batch", joint=joint)


def test_joint_and_in_turn_are_not_the_same_step():
    joint, turns = small("gan"), small("gan", phases=in_turn("gan"))
    Engine(joint).step(images)
    Engine(turns).step(images)
    assert not torch.equal(joint.critic.logit.bias, turns.critic.logit.bias)


# -- batch norm --------------------------------------------------------------------------------------------


def norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    return [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]


def test_running_statistics_are_those_of_the_forwards_that_learn():
    model = small("avae")
    norm = norms(model.encoder)[0]
    seen: list[Tensor] = []
    norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].detach()))
    Engine(model).step(images)
    at_x, at_generated = seen
    assert not torch.equal(at_x, at_generated)
    n = at_x.numel() // at_x.shape[1]
    assert norm.num_batches_tracked == 1
    torch.testing.assert_close(norm.running_mean, 0.1 * at_x.mean((0, 2, 3)))
    torch.testing.assert_close(norm.running_var, 0.9 + 0.1 * at_x.var((0, 2, 3), correction=0) * n / (n - 1))


def test_a_forward_that_only_passes_uses_the_statistics_of_the_batch():
    model = small("avae")
    norm = norms(model.encoder)[0]
    outputs: list[Tensor] = []
    norm.register_forward_hook(lambda _, __, output: outputs.append(output.detach()))
    Engine(model).step(images)
    mean, variance = outputs[1].mean((0, 2, 3)), outputs[1].var((0, 2, 3), correction=0)
    torch.testing.assert_close(mean, torch.zeros_like(mean), atol=1e-9, rtol=0)
    torch.testing.assert_close(variance, torch.ones_like(variance), atol=0.2, rtol=0)  # eps is in the divisor
