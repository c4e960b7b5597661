"""Systems that sample step by step: a step of each against one written by hand, and loops against what they solve."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from helpers.shelf import assert_same, batch_of, by_hand, drawn, gradients, kl, sampled, small
from torch import Tensor, nn
from zoo_diffusion import values
from zoo_diffusion.networks import UNet
from zoo_diffusion.schedules import Schedule

import zoo
from zoo.data.batches import load_images
from zoo.data.fields import items
from zoo.draws import Draw
from zoo.model.model import Model

F64 = torch.float64
STEADY = "train.optimizer.rate=1"
"""Not from 0 at the first step, which would move nothing."""


def draw(*key: object) -> Draw:
    return Draw(*key, device=torch.device("cpu"), dtype=F64)


def of(*shape: int) -> Any:
    """Sizes of items of a shape."""
    return SimpleNamespace(fields={"x": SimpleNamespace(shape=shape)})


def woken(model: Model) -> Model:
    """The model, its layers that are 0 at first no longer so."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator, dtype=F64)
    return model


# -- steps --------------------------------------------------------------------------------------------------------


def on_the_way(model: Model, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x_t, t, and what a velocity is to be."""
    eps, t = drawn(model, "x_noise").normal(*x.shape), drawn(model, "flow_time").uniform(len(x))
    share = t[:, None, None, None]
    return (1 - share) * eps + share * x, t, x - eps


def test_a_flow_s_step() -> None:
    model = woken(small("flow-matching", STEADY))
    batch = batch_of(model)
    x_t, t, velocity = on_the_way(model, batch["x"])

    def loss() -> Tensor:
        return (model.denoiser(x_t, t) - velocity).square().sum() / len(x_t)

    assert_same(gradients(model, batch), by_hand(model, "denoiser", loss=loss))


def test_a_flow_s_step_with_classes_of_which_some_are_dropped() -> None:
    model = woken(small("flow-matching-class", STEADY, "train.batch=16"))
    batch = batch_of(model)
    x_t, t, velocity = on_the_way(model, batch["x"])
    label = batch["label"].clone()
    label[drawn(model, "dropped_label").uniform(16) < 0.1] = -1
    assert 0 < (label == -1).sum() < 8

    def loss() -> Tensor:
        return (model.denoiser(x_t, t, label) - velocity).square().sum() / 16

    assert_same(gradients(model, batch), by_hand(model, "denoiser", loss=loss))


def test_a_diffusion_s_step() -> None:
    model = woken(small("ddpm", STEADY))
    batch = batch_of(model)
    x = batch["x"]
    eps = drawn(model, "x_noise").normal(*x.shape)
    t = 1 + (1000 * drawn(model, "diffusion_time").uniform(len(x))).floor()
    left = ((t / 1000 + 0.008) / 1.008 * math.pi / 2).cos() ** 2 / math.cos(0.008 / 1.008 * math.pi / 2) ** 2
    left = left.float().double()[:, None, None, None]  # as its table keeps it
    x_t = left.sqrt() * x + (1 - left).sqrt() * eps

    def loss() -> Tensor:
        return (eps - model.denoiser(x_t, t / 1000)).square().sum() / len(x)

    assert_same(gradients(model, batch), by_hand(model, "denoiser", loss=loss))


def test_a_diffusion_decoder_s_step() -> None:
    model = woken(small("diffusion-decoder", STEADY))
    batch = batch_of(model)
    x_t, t, velocity = on_the_way(model, batch["x"])

    def loss() -> Tensor:
        q = model.encoder(batch["x"])
        guess = model.decoder(x_t, t, sampled(model, q))
        return (guess - velocity).square().sum() / len(x_t) + 0.1 * kl(q)

    assert_same(gradients(model, batch), by_hand(model, "encoder", "decoder", loss=loss))


def test_a_flow_of_codes_leaves_the_autoencoder_as_it_is() -> None:
    model = woken(small("flow-prior", STEADY))
    model.scale.fit(torch.randn(50, 4, 4, 4, generator=torch.Generator().manual_seed(1)) * 3 + 1)
    batch = batch_of(model)
    model.eval()
    z = ((model.encoder(batch["x"]).mean - model.scale.mean) / model.scale.sigma).detach()
    z_t, t, velocity = on_the_way(model, z)

    def loss() -> Tensor:
        return (model.denoiser(z_t, t) - velocity).square().sum() / len(z)

    assert_same(gradients(model, batch), by_hand(model, "denoiser", loss=loss))
    code = values.flow_sample(model.denoiser, 3, draw(1), model.recipe.sizes, steps=2, of="code")
    assert code.shape == (3, 4, 4, 4)


@pytest.mark.parametrize("name", ["flow-matching", "flow-matching-class", "ddpm", "diffusion-decoder"])
def test_a_training_step_builds_no_sample(name: str) -> None:
    model = small(name, STEADY)
    seen: list[int] = []
    network = model.decoder if name == "diffusion-decoder" else model.denoiser
    network.register_forward_hook(lambda *_: seen.append(1))
    gradients(model, batch_of(model))
    assert len(seen) == 1


# -- loops --------------------------------------------------------------------------------------------------------

MEAN, SIGMA = 0.3, 0.5


def gaussian_velocity(x: Tensor, time: Tensor) -> Tensor:
    """E[x - eps | x_t] where data are N(MEAN, SIGMA^2): the flow takes eps to MEAN + SIGMA eps."""
    t = time[:, None]
    return MEAN + (t * SIGMA**2 - (1 - t)) / ((1 - t) ** 2 + (t * SIGMA) ** 2) * (x - t * MEAN)


@pytest.mark.parametrize(("method", "order"), [("euler", 1), ("heun", 2)])
def test_a_flow_s_sample_is_where_the_flow_leads(method: str, order: int) -> None:
    start = draw(1).normal(5, 3)
    errors = []
    for steps in (20, 40):
        found = values.flow_sample(gaussian_velocity, 5, draw(1), of(3), steps=steps, method=method)
        errors.append(float((found - (MEAN + SIGMA * start)).abs().max()))
    assert errors[0] < 0.1**order
    assert 0.8 * 2**order < errors[0] / errors[1] < 1.3 * 2**order


def test_guidance_leads_away_from_what_has_no_class() -> None:
    def denoiser(x: Tensor, time: Tensor, label: Tensor) -> Tensor:
        return torch.where(label < 0, 0.5, label.to(x))[:, None] + 0 * x + 0 * time[:, None]

    label = torch.tensor([1, 3])
    found = values.flow_sample_class(denoiser, 2, label, draw(1), of(3), steps=4, guidance=1.5)
    moved = found - draw(1).normal(2, 3)
    torch.testing.assert_close(moved, (0.5 + 1.5 * (label.double() - 0.5))[:, None].expand(2, 3))


class Exact(nn.Module):
    """eps_hat where data are N(MEAN, SIGMA^2): sqrt(1 - a) (x_t - sqrt(a) MEAN) / (a SIGMA^2 + 1 - a)."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule = schedule

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        a = self.schedule(time)[:, None]
        return (1 - a).sqrt() * (x - a.sqrt() * MEAN) / (a * SIGMA**2 + 1 - a)


def test_ddim_takes_noise_to_data_of_its_mean_and_deviation() -> None:
    schedule = Schedule().double()
    start = draw(1).normal(5, 3)
    found = values.ddim_sample(Exact(schedule), schedule, 5, draw(1), of(3), steps=250, clip=0.0)
    torch.testing.assert_close(found, MEAN + SIGMA * start, rtol=0, atol=0.02)
    again = values.ddim_sample(Exact(schedule), schedule, 5, draw(1), of(3), steps=250, clip=0.4)
    assert float(again.abs().max()) <= 0.4 < float(found.abs().max())


def test_ddpm_s_own_way_draws_data_of_its_mean_and_deviation() -> None:
    schedule = Schedule().double()
    found = values.ddim_sample(Exact(schedule), schedule, 4000, draw(1), of(1), steps=1000, eta=1.0, clip=0.0)
    far = values.ddim_sample(Exact(schedule), schedule, 4000, draw(1), of(1), steps=1000, clip=0.0)
    assert abs(float(found.mean()) - MEAN) < 0.03
    assert abs(float(found.std()) - SIGMA) < 0.02
    assert abs(float(torch.corrcoef(torch.cat([found, far], 1).T)[0, 1])) < 0.1  # forgets what it began with


def test_schedules_are_products_of_one_minus_beta() -> None:
    linear = [math.prod(1 - (1e-4 + (0.02 - 1e-4) * i / 999) for i in range(t)) for t in (0, 1, 500, 1000)]
    at = torch.tensor([0.0, 0.001, 0.5, 1.0])
    torch.testing.assert_close(Schedule(shape="linear")(at), torch.tensor(linear), rtol=1e-5, atol=1e-7)
    f = [math.cos((t / 50 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in range(51)]
    left = [1.0]
    for t in range(1, 51):
        left.append(left[-1] * (1 - min(1 - f[t] / f[t - 1], 0.999)))
    torch.testing.assert_close(Schedule(steps=50)(torch.arange(51) / 50), torch.tensor(left), rtol=1e-5, atol=1e-7)
    with pytest.raises(ValueError, match="steps 20 are too few of a linear schedule: choose 21 or more"):
        Schedule(shape="linear", steps=20)


def test_times_are_those_that_they_say() -> None:
    t = values.diffusion_time(SimpleNamespace(steps=4), 4000, draw(1))
    shares = [(t == k / 4).double().mean().item() for k in (1, 2, 3, 4)]
    assert sum(shares) == 1
    assert max(abs(share - 0.25) for share in shares) < 0.03
    middle = values.flow_time(4000, draw(1), shape="logit-normal")
    assert abs(float(((middle > 0.2689) & (middle < 0.7311)).double().mean()) - 0.6827) < 0.03  # within one sigma


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(ValueError, match=r"3 levels, multipliers \[1, 2, 2\], divide a side by 8, and 12 cannot"):
        UNet(3, (16, 12), patch=2)
    with pytest.raises(ValueError, match="steps 0 is none: choose 1 or more"):
        values.flow_sample(gaussian_velocity, 1, draw(1), of(3), steps=0)
    with pytest.raises(ValueError, match="steps 51: choose 1 to 50, which the schedule has"):
        values.ddim_sample(nn.Identity(), Schedule(steps=50), 1, draw(1), of(3), steps=51)


# -- what they learn ----------------------------------------------------------------------------------------------

TOY = {
    "data": {"use": "digits", "size": 8},
    "train.steps": 120,
    "train.batch": 32,
    "train.ema": 0,
    "train.precision": "float32",
    "train.optimizer.lr": 4e-3,
    "train.optimizer.rate": 1,
}


def learnt(name: str, slot: str = "denoiser", **overrides: Any) -> tuple[Any, dict[str, Tensor]]:
    """A system of small networks, trained on digits of 8 px, and the held-out digits."""
    network = {f"slots.{slot}.{key}": value for key, value in {"width": 8, "patch": 1, "multipliers": [1, 2]}.items()}
    model = zoo.build(name, overrides={**TOY, **network, **overrides})
    zoo.train(model, progress=False)
    stored = load_images(model.recipe)
    return model, items(stored, "test", model.recipe, 0, 200)


def test_a_diffusion_s_samples_are_spread_as_data_are() -> None:
    """Their mean image and their deviation at each pixel; of noise they are 0.6 and 0.5 off."""
    model, test = learnt("ddpm")
    found, data = model.sample(200, seed=0), test["x"]
    assert float((found.mean(0) - data.mean(0)).abs().mean()) < 0.35
    assert float((found.std(0) - data.std(0)).abs().mean()) < 0.3


def test_samples_are_of_their_class() -> None:
    """The nearest mean image of a class is nearly always theirs, once they are guided; of digits it is nine in ten."""
    model, test = learnt("flow-matching-class")
    means = torch.stack([test["x"][test["label"] == c].mean(0).flatten() for c in range(10)])
    label = torch.arange(200) % 10
    found = model.sample(200, given={"label": label}, seed=0)
    assert float((torch.cdist(found.flatten(1), means).argmin(1) == label).float().mean()) > 0.8


def test_a_diffusion_decoder_paints_the_image_whose_code_it_is_told() -> None:
    less = {"latent": 8, "slots.encoder.width": 8, "train.steps": 200, "phases.0.encoder + decoder.kl": 0.01}
    model, test = learnt("diffusion-decoder", "decoder", **less)
    found = model.reconstruct(test["x"])
    far = torch.cdist(found.flatten(1), test["x"].flatten(1))
    assert float((far.argmin(1) == torch.arange(200)).float().mean()) > 0.15  # one in 200 by chance
