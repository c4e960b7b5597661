"""Models that learn both ways, from codes to images and back: a step of each against one written by hand."""

from __future__ import annotations

import pytest
import torch
from helpers.shelf import assert_same, batch_of, by_hand, drawn, gradients, sampled, small, softplus, squared
from helpers.spots import spots
from torch import Tensor
from zoo_bigan.pairs import hinge_scores
from zoo_losses.slopes import r1_of_code

import zoo
from zoo import api
from zoo.model.model import Model

LATENT = 5


def z(model: Model, draw: tuple[int, ...] = ()) -> Tensor:
    return drawn(model, "z", draw).normal(4, LATENT)


def generated(model: Model) -> Tensor:
    return model.generator(z(model), z(model)[:, :0])


def test_alice_adds_the_cycle_to_ali_and_spares_the_critic() -> None:
    plain, cycled = small("ali"), small("alice")
    batch = batch_of(plain)
    without, found = gradients(plain, batch), gradients(cycled, batch)

    def cycle() -> Tensor:
        code = sampled(cycled, cycled.encoder(batch["x"]))
        return 30 / 768 * squared(batch["x"], cycled.generator(code, code[:, :0]))

    pull = by_hand(cycled, "encoder", "generator", loss=cycle)
    assert_same(found, {key: value + pull.get(key, 0.0) for key, value in without.items()})
    assert not any(key.startswith("critic") for key in pull)


def test_veegan_by_hand() -> None:
    model = small("veegan", "slots.critic.norm=none")
    batch = batch_of(model)

    def code() -> Tensor:
        return (z(model) - model.encoder(generated(model)).mean).square().sum() / 4

    def fooling() -> Tensor:
        numbers = z(model).shape[1]
        return code() / numbers - model.critic(generated(model), z(model)).logit.mean()

    def told() -> Tensor:
        real = model.critic(batch["x"], model.encoder(batch["x"]).mean)
        return softplus(-real.logit) + softplus(model.critic(generated(model), z(model)).logit)

    expected = {
        **by_hand(model, "encoder", loss=code),
        **by_hand(model, "generator", loss=fooling),
        **by_hand(model, "critic", loss=told),
    }
    assert_same(gradients(model, batch), expected)


def test_bigbigan_by_hand() -> None:
    model = small("bigbigan", "slots.critic.norm=none")  # spectral norm moves at each call by hand
    batch = batch_of(model)

    def pairs() -> tuple[api.CriticOutput, api.CriticOutput]:
        code = sampled(model, model.encoder(batch["x"]))
        return model.critic(batch["x"], code), model.critic(generated(model), z(model))

    def apart() -> Tensor:
        real, fake = (sum(one.taps[name] for name in ("s_x", "s_z", "s_xz")) for one in pairs())
        return (real - fake).mean()

    def told() -> Tensor:
        real, fake = pairs()
        scores = [(real.taps[name], fake.taps[name]) for name in ("s_x", "s_z", "s_xz")]
        return sum((1 - r).clamp(min=0).mean() + (1 + f).clamp(min=0).mean() for r, f in scores)

    expected = by_hand(model, "encoder", "generator", loss=apart) | by_hand(model, "critic", loss=told)
    assert_same(gradients(model, batch), expected)


def test_scores_judge_what_they_are_of() -> None:
    critic = small("bigbigan").critic.eval()
    x, code = torch.randn(2, 4, 3, 16, 16).double(), torch.randn(2, 4, LATENT).double()
    here, other_code, other_image = critic(x[0], code[0]), critic(x[0], code[1]), critic(x[1], code[0])
    assert torch.equal(here.taps["s_x"], other_code.taps["s_x"])
    assert torch.equal(here.taps["s_z"], other_image.taps["s_z"])
    assert not torch.allclose(here.taps["s_xz"], other_code.taps["s_xz"])
    assert not torch.allclose(here.taps["s_xz"], other_image.taps["s_xz"])


def test_a_critic_without_scores_is_told() -> None:
    with pytest.raises(ValueError, match="the critic has no tap 's_x'; the critic 'dcgan-scores' has"):
        hinge_scores(api.CriticOutput(torch.zeros(2)), api.CriticOutput(torch.zeros(2)))


def test_alae_by_hand() -> None:
    model = small("alae")
    batch = batch_of(model)

    def judged(images: Tensor) -> Tensor:
        return model.critic(model.encoder(images).mean).logit

    def fake(draw: tuple[int, ...] = ()) -> Tensor:
        return model.decoder(model.mapping(z(model, draw)))

    def told() -> Tensor:
        x = batch["x"].clone().requires_grad_()
        (slope,) = torch.autograd.grad(judged(x).sum(), x, create_graph=True)
        return softplus(-judged(batch["x"])) + softplus(judged(fake())) + 3 / 2 * slope.square().sum() / 4

    def fooled() -> Tensor:
        return softplus(-judged(fake((1, 0))))

    def code() -> Tensor:
        return 0.05 * (model.mapping(z(model, (2, 0))) - model.encoder(fake((2, 0))).mean).square().sum() / 4

    assert_same(gradients(model, batch, 0), by_hand(model, "encoder", "critic", loss=told))
    assert_same(gradients(model, batch, 1, draw=(1, 0)), by_hand(model, "mapping", "decoder", loss=fooled))
    assert_same(gradients(model, batch, 2, draw=(2, 0)), by_hand(model, "encoder", "decoder", loss=code))


def test_the_slope_of_a_linear_critic_of_linear_codes() -> None:
    w, a = torch.randn(3).double(), torch.randn(8, 3).double()

    def encoder(x: Tensor) -> api.Gaussian:
        return api.Gaussian(x.flatten(1) @ a, torch.zeros(()))

    found = r1_of_code(encoder, lambda code: api.CriticOutput(code @ w), torch.randn(4, 2, 2, 2).double())
    torch.testing.assert_close(found, 0.5 * (a @ w).square().sum())


def test_codes_come_back_from_veegans_samples() -> None:
    torch.manual_seed(0)
    adam = "train.optimizer={use: adam, lr: 3e-3, betas: [0.5, 0.999]}"
    model = small("veegan", "latent=3", "train.batch=32", "train.steps=100", adam).float()
    zoo.train(model, spots(), progress=False)
    codes = torch.randn(256, 3, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        back = model.eval().encoder(model.generator(codes, codes[:, :0])).mean
    assert (back - codes).square().mean() < 0.12  # .17 where the generator does not care, 1 where the encoder does not
