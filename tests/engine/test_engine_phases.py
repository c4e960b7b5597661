"""How much and when: schedules of weights and rates, clipping, averages, repeats and fresh batches."""

from __future__ import annotations

import math
from typing import Any

import engine_toys
import pytest
import torch
from helpers.engine import assert_close, differing, images, played, small, snapshot
from torch import Tensor

from zoo.engine.engine import Engine
from zoo.errors import RequestError
from zoo.model.model import Model

LR = 1e-3
SGD = f"train.optimizer={{use: sgd, lr: {LR}}}"
VAE = {"reconstruction": 1.0, "kl": 1.0}


def ramp(shape: str, step: int, first: float, last: float, steps: int, start: int) -> float:
    """A schedule in closed form: 0 before ``start``, then from ``first`` to ``last`` in ``steps``."""
    if step < start:
        return 0.0
    t = min((step - start) / steps, 1)
    return {
        "linear": first * (1 - t) + last * t,
        "cosine": last + (first - last) * (1 + math.cos(math.pi * t)) / 2,
        "exponential": math.exp(math.log(first) * (1 - t) + math.log(last) * t),
    }[shape]


def schedule(shape: str) -> dict[str, Any]:
    return {"from": 0.5, "to": 2.0, "steps": 3, "start": 1, "shape": shape}


def kl_gradient(model: Model, step: int) -> dict[str, Tensor]:
    """The gradient of KL(q || N(0, I)), from torch.distributions, at the present weights."""
    parameters = dict(model.encoder.named_parameters(prefix="encoder"))
    state, q = snapshot(model), model.encoder(images(step))
    posterior = torch.distributions.Normal(q.mean, q.log_sigma.exp())
    kl = torch.distributions.kl_divergence(posterior, torch.distributions.Normal(0.0, 1.0)).sum(1).mean()
    gradient = torch.autograd.grad(kl, list(parameters.values()))
    model.load_state_dict(state)
    return dict(zip(parameters, gradient, strict=True))


def assert_each_step_is(model: Model, factor: Any, steps: int = 6) -> None:
    """Every step of the encoder is ``-LR * factor(step)`` times the gradient of the KL."""
    engine = Engine(model)
    for step in range(steps):
        before, gradient = snapshot(model), kl_gradient(model, step)
        engine.step(images)
        moved = {key: tensor - before[key] for key, tensor in snapshot(model).items() if key in gradient}
        assert_close(moved, {key: -LR * factor(step) * g for key, g in gradient.items()}, 1e-12)


@pytest.mark.parametrize("shape", ["linear", "cosine", "exponential"])
def test_the_weight_of_a_term_follows_its_schedule(shape):
    model = small("vae", SGD, phases=[{"encoder": {"kl": {"weight": schedule(shape)}}}])
    assert_each_step_is(model, lambda step: ramp(shape, step, 0.5, 2.0, 3, 1))


@pytest.mark.parametrize("shape", ["linear", "cosine", "exponential"])
def test_a_rate_follows_its_schedule(shape):
    rate = "{from: 0.5, to: 2.0, steps: 3, start: 1, shape: %s}" % shape  # noqa: UP031
    model = small("vae", SGD, f"train.optimizers.encoder.rate={rate}", phases=[{"encoder": {"kl": 1.0}}])
    assert_each_step_is(model, lambda step: ramp(shape, step, 0.5, 2.0, 3, 1))


def pieces(step: int) -> float:
    """Up in a straight line, down as a cosine: in closed form."""
    return ramp("linear", step, 0.5, 2.0, 2, 0) if step < 2 else ramp("cosine", step, 2.0, 0.25, 3, 2)


PIECES = "[{from: 0.5, to: 2, steps: 2}, {to: 0.25, steps: 3, shape: cosine}]"


@pytest.mark.parametrize("where", ["phases.0.encoder.kl", "train.optimizers.encoder.rate"])
def test_pieces_follow_one_another(where):
    model = small("vae", SGD, f"{where}={PIECES}", phases=[{"encoder": {"kl": 1.0}}])
    assert_each_step_is(model, pieces)


def test_an_option_of_a_term_may_change():
    """The same steps as with the factor in the weight; evaluated, it is what it ends at."""
    changing = {"scaled": {"factor": [{"from": 0.5, "to": 2, "steps": 2}, {"to": 0.25, "steps": 3, "shape": "cosine"}]}}
    by_option = small("vae", SGD, phases=[{"decoder": {"scaled": {**changing["scaled"], "shift": 1.0}}}])
    by_weight = small("vae", SGD, f"phases.0.decoder.scaled.weight={PIECES}", phases=[{"decoder": {"scaled": {}}}])
    told = [played(by_option, 0), played(by_weight, 0)]
    for step in range(6):
        losses = [engine.step(images) for engine in told]
        mean = losses[1]["decoder/scaled"]
        assert losses[0]["decoder/scaled"].item() == pytest.approx(1 + pieces(step) * mean.item(), abs=1e-12)
        assert_close(snapshot(by_option), snapshot(by_weight), 1e-12)
    by_option.eval()
    ended = by_option.losses(images(0), seed=0)["decoder"].terms["scaled"].item()
    mean = by_weight.eval().losses(images(0), seed=0)["decoder"].terms["scaled"].item()
    assert ended == pytest.approx(1 + 0.25 * mean, abs=1e-12)


def test_betas_may_change():
    """Adam by hand (Kingma & Ba 2015, algorithm 1), the moments' decays and their corrections those of each step."""
    betas = f"[{PIECES.replace('2, steps', '0.9, steps')}, {{from: 0.9, to: 0.99, steps: 5}}]"
    model = small("vae", f"train.optimizer={{use: adam, lr: {LR}, betas: {betas}}}", phases=[{"encoder": {"kl": 1.0}}])
    engine = Engine(model)
    means, squares = ({key: torch.zeros_like(p) for key, p in snapshot(model).items()} for _ in range(2))
    for step in range(6):
        first = ramp("linear", step, 0.5, 0.9, 2, 0) if step < 2 else ramp("cosine", step, 0.9, 0.25, 3, 2)
        second = ramp("linear", step, 0.9, 0.99, 5, 0)
        before, gradient = snapshot(model), kl_gradient(model, step)
        engine.step(images)
        for key, g in gradient.items():
            means[key] = first * means[key] + (1 - first) * g
            squares[key] = second * squares[key] + (1 - second) * g.square()
            mean, square = means[key] / (1 - first ** (step + 1)), squares[key] / (1 - second ** (step + 1))
            before[key] -= LR * mean / (square.sqrt() + 1e-8)
        assert_close({key: model.get_parameter(key).detach() for key in gradient}, {k: before[k] for k in gradient})


def test_the_decay_of_averages_may_change():
    model = small("vae", SGD, f"train.ema={PIECES.replace('2, steps', '0.75, steps')}")
    engine, averaged = Engine(model), snapshot(model)
    for step in range(6):
        decay = ramp("linear", step, 0.5, 0.75, 2, 0) if step < 2 else ramp("cosine", step, 0.75, 0.25, 3, 2)
        decay = min(decay, (1 + step) / (10 + step))
        engine.step(images)
        averaged = {key: decay * own + (1 - decay) * model.state_dict()[key] for key, own in averaged.items()}
    parameters = dict(model.named_parameters())
    assert_close({k: engine.average.averaged[k] for k in parameters}, {k: averaged[k] for k in parameters})


def test_what_changes_in_an_option_is_neither_compiled_nor_captured():
    row = {"decoder": {"scaled": {"factor": {"from": 0, "to": 1}}}}
    with pytest.raises(RequestError, match=r"'scaled' asks for a count of the training, which a compiled graph"):
        Engine(small("vae", "train.compile=true", phases=[row]))


def test_a_player_whose_rate_is_0_keeps_every_bit():
    later = "train.optimizers.critic.rate={from: 1.0, to: 1.0, steps: 1, start: 2}"
    model = small("gan", later, "slots.critic.norm=batch")
    before, engine = snapshot(model.critic), played(model, 2)
    assert differing(before, snapshot(model.critic)) == []
    assert "critic/discriminate" in engine.step(images)
    assert differing(before, snapshot(model.critic)) != []


def test_each_player_has_an_optimiser_of_its_own():
    own = "train.optimizers.decoder={use: sgd, lr: 0.002}"
    plain, faster = played(small("vae", SGD)).model, played(small("vae", SGD, own)).model
    start = snapshot(small("vae"))
    assert differing(snapshot(plain.encoder), snapshot(faster.encoder)) == []
    for key, p in faster.decoder.named_parameters(prefix="decoder"):
        twice = 2 * (plain.get_parameter(key) - start[key])
        torch.testing.assert_close(p - start[key], twice, atol=1e-12, rtol=0)


def test_gradients_are_clipped_for_each_player():
    plain, clipped = small("vae", SGD), small("vae", SGD, "train.clip=0.5")
    before = snapshot(plain)
    played(plain)
    played(clipped)
    for slot in ("encoder", "decoder"):
        parameters = dict(getattr(plain, slot).named_parameters(prefix=slot))
        for key, p in parameters.items():
            p.grad = (before[key] - p.detach()) / LR
        torch.nn.utils.clip_grad_norm_(parameters.values(), 0.5)
        expected = {key: before[key] - LR * p.grad for key, p in parameters.items()}
        assert_close({key: clipped.get_parameter(key).detach() for key in parameters}, expected, 1e-12)


def test_weights_that_are_added_to_each_other_are_clipped_once_each():
    """Autograd gives them one gradient, 2 (a + b + 1): both move by its direction times lr clip / sqrt(2)."""
    model = small(
        "vae", SGD, "train.clip=0.5", phases=[{"encoder": {"added": 1.0}, "decoder": {"reconstruction": 1.0}}]
    )
    before = {name: getattr(model.encoder, name).bias.detach().clone() for name in ("mean", "log_sigma")}
    direction = before["mean"] + before["log_sigma"] + 1
    played(model)
    for name, bias in before.items():
        expected = bias - LR * 0.5 / math.sqrt(2) * direction / direction.norm()
        torch.testing.assert_close(getattr(model.encoder, name).bias.detach(), expected)


def test_averaged_weights_follow_their_formula():
    model = small("vae", "train.ema=0.15")
    engine = Engine(model)
    expected = {key: v.clone() for key, v in model.state_dict().items() if v.is_floating_point()}
    for step in range(4):
        engine.step(images)
        decay = min(0.15, (1 + step) / (10 + step))
        assert decay == (0.1 if step == 0 else 0.15)
        expected = {key: decay * a + (1 - decay) * model.state_dict()[key] for key, a in expected.items()}
    assert_close(engine.average.averaged, expected, 1e-12)
    assert not any(a.requires_grad for a in engine.average.averaged.values())


# -- when phases are played --------------------------------------------------------------------------------


class Asked:
    """Batches that remember which turns were asked for."""

    def __init__(self) -> None:
        self.turns: list[list[int]] = []

    def step(self, engine: Engine) -> dict[str, Tensor]:
        self.turns.append([])
        return engine.step(self)

    def __call__(self, turn: int) -> Tensor:
        self.turns[-1].append(turn)
        return images(turn)


def test_a_fresh_phase_takes_batches_of_its_own():
    phases = [{"encoder": {"kl": 1.0}}, {"rows": {"decoder": {"reconstruction": 1.0}}, "repeat": 2, "fresh": True}]
    asked, engine = Asked(), Engine(small("vae", phases=phases))
    for _ in range(2):
        asked.step(engine)
    assert asked.turns == [[0, 1, 2], [3, 4, 5]]


def test_a_phase_that_is_not_due_leaves_its_batches_unused():
    timing = {"repeat": 2, "fresh": True, "every": 2, "start": 1}
    phases = [{"encoder": {"kl": 1.0}}, {"rows": {"decoder": {"reconstruction": 1.0}}, **timing}]
    asked, engine = Asked(), Engine(small("vae", phases=phases))
    played_rows = [set(asked.step(engine)) for _ in range(4)]
    assert asked.turns == [[0], [3, 4, 5], [6], [9, 10, 11]]
    both = {"encoder/kl", "decoder/reconstruction"}
    assert played_rows == [{"encoder/kl"}, both, {"encoder/kl"}, both]


def test_a_phase_ends_where_it_says():
    phases = [{"encoder": {"kl": 1.0}}, {"rows": {"decoder": {"reconstruction": 1.0}}, "start": 1, "until": 3}]
    asked, engine = Asked(), Engine(small("vae", phases=phases))
    assert [len(asked.step(engine)) for _ in range(5)] == [1, 2, 2, 1, 1]


def test_a_term_may_count_the_training():
    """Batches of 4 from 10 images: three turns a step, of which the fresh phase takes the second and the third."""
    rows = {"decoder": {"counted": 1.0}}
    model = small("vae", phases=[rows, {"rows": rows, "repeat": 2, "fresh": True}])
    model.train_size = 10
    engine_toys.SEEN.clear()
    played(model, 2)
    assert [counts for _, counts in engine_toys.SEEN] == [
        (step, turn * 4 // 10, step * 4, 10) for step in range(2) for turn in range(3 * step, 3 * step + 3)
    ]


def test_what_counts_is_neither_compiled_nor_captured():
    counting = [{"decoder": {"counted": 1.0}}]
    with pytest.raises(RequestError, match=r"'counted' asks for a count of the training, which a compiled graph"):
        Engine(small("vae", "train.compile=true", phases=counting))
    with pytest.raises(RequestError, match=r"cuda_graph: on is not to be had"):
        Engine(small("vae", "train.cuda_graph=on", phases=counting))


def test_a_repeated_phase_is_that_many_steps_on_one_batch():
    twice = small("vae", SGD, phases=[{"rows": {"encoder + decoder": VAE}, "repeat": 2}])
    once = small("vae", SGD, phases=[{"encoder + decoder": VAE}] * 2)
    asked = Asked()
    asked.step(Engine(twice))
    assert asked.turns == [[0]]
    assert differing(snapshot(twice), snapshot(played(once).model)) == []


def noise_of(phases: list[dict[str, Any]], steps: int = 1) -> list[Tensor]:
    """What a toy term draws at each play."""
    model = small("vae", phases=phases)
    engine_toys.SEEN.clear()
    played(model, steps)
    return [noise for _, noise in engine_toys.SEEN]


def test_phases_share_their_noise_unless_they_are_fresh():
    rows = {"decoder": {"drawn": 1.0}}
    first, again, *fresh = noise_of([rows, rows, {"rows": rows, "repeat": 2, "fresh": True}])
    assert torch.equal(first, again)
    assert len({tuple(noise.tolist()) for noise in [first, *fresh]}) == 3


def test_each_step_draws_anew():
    assert not torch.equal(*noise_of([{"decoder": {"drawn": 1.0}}], steps=2))
