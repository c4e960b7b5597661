"""Encoders that are their own critics: IntroVAE, Soft-IntroVAE, AGE."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import pytest
import torch
from helpers.shelf import assert_same, batch_of, by_hand, drawn, gradients, kl, sampled, small, squared
from helpers.spots import spots
from torch import Tensor
from zoo_introspective.evidence import kl_margin, rejection
from zoo_introspective.sphere import Sphere, batch_divergence, code_on_sphere
from zoo_values.priors import Normal

import zoo
from zoo import api
from zoo.engine.engine import Engine
from zoo.errors import RecipeError
from zoo.model.model import Model

LATENT = 5


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def posterior() -> api.Gaussian:
    return api.Gaussian(normal(3, 4), normal(3, 4, seed=1))


def decoded(model: Model, draw: tuple[int, ...] = ()) -> Tensor:
    return model.decoder(drawn(model, "z", draw).normal(4, LATENT))


# -- terms -------------------------------------------------------------------------------------------------


def test_the_margin_is_how_far_the_kl_falls_short_of_it() -> None:
    q = posterior()
    prior = Normal(4)
    assert float(kl_margin(q, prior, margin=1000.0)) == pytest.approx(1000 - float(kl(q)))
    assert float(kl_margin(q, prior, margin=0.5 * float(kl(q)))) == 0


def test_rejection_image_by_image() -> None:
    q, x, y = posterior(), normal(3, 2, 4, 4), normal(3, 2, 4, 4, seed=2)
    numbers = 2 * 4 * 4

    def of(i: int) -> Tensor:
        one = api.Gaussian(q.mean[i : i + 1], q.log_sigma[i : i + 1])
        return torch.exp(-2 * (squared(x[i : i + 1], y[i : i + 1]) + 3 * kl(one)) / numbers)

    expected = numbers / 2 * (of(0) + of(1) + of(2)) / 3
    torch.testing.assert_close(rejection(x, y, q, Normal(4), beta=3.0), expected)


def test_the_divergence_of_a_batch_is_that_of_a_gaussian_with_its_moments() -> None:
    codes = 2 * normal(50, 3) + 1
    gaussian = torch.distributions.Normal(codes.mean(0), codes.std(0, correction=0))
    standard = torch.distributions.Normal(torch.zeros(3).double(), torch.ones(3).double())
    torch.testing.assert_close(batch_divergence(codes), torch.distributions.kl_divergence(gaussian, standard).sum())
    whitened = (codes - codes.mean(0)) / codes.std(0, correction=0)
    assert float(batch_divergence(whitened)) == pytest.approx(0, abs=1e-12)
    with pytest.raises(ValueError, match="a batch of at least 2"):
        batch_divergence(codes[:1])


def test_codes_of_the_sphere_are_as_long_as_normal_ones_and_lie_everywhere() -> None:
    draw = api.Draw("test", device=torch.device("cpu"), dtype=torch.float64)
    codes = Sphere((2, 3)).sample(4000, draw)
    torch.testing.assert_close(codes.flatten(1).square().sum(1), torch.full((4000,), 6.0).double())
    torch.testing.assert_close(codes.flatten(1).T.cov(), torch.eye(6).double(), atol=0.1, rtol=0)
    z = normal(4, 6)
    torch.testing.assert_close(code_on_sphere(z), z * (6**0.5 / z.norm(dim=1))[:, None])


# -- a step of each ----------------------------------------------------------------------------------------


def intro(model: Model, x: Tensor, held: bool) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
    """IntroVAE's two losses (Huang et al. 2018, algorithm 1); ``held`` stops the gradient at E's own fakes."""

    @cache
    def fakes() -> tuple[Tensor, Tensor]:
        return model.decoder(sampled(model, model.encoder(x))), decoded(model)

    def encoder() -> Tensor:
        margins = [torch.relu(40 - kl(model.encoder(f.detach() if held else f))) for f in fakes()]
        return squared(x, fakes()[0]) + kl(model.encoder(x)) + 0.25 * sum(margins)

    def decoder() -> Tensor:
        return squared(x, fakes()[0]) + 0.25 * sum(kl(model.encoder(f)) for f in fakes())

    return encoder, decoder


def test_introvae_by_hand() -> None:
    model = small("introvae")
    batch = batch_of(model)
    held = by_hand(model, "encoder", loss=intro(model, batch["x"], held=True)[0])
    assert_same(gradients(model, batch, 0), held)
    assert_same(gradients(model, batch, 1), by_hand(model, "decoder", loss=intro(model, batch["x"], held=True)[1]))
    leaking = by_hand(model, "encoder", loss=intro(model, batch["x"], held=False)[0])
    assert any((leaking[key] - held[key]).abs().max() > 1e-6 for key in held)


def test_held_fakes_carry_no_gradient_and_margins_turn_the_sign() -> None:
    def only(term: str) -> Model:
        margin = {"margin": 1000.0} if term == "kl_margin" else {}
        row = {"encoder": {"k": {"use": term, "with": {"posterior": "judged_gen"}, **margin}}}
        return small("introvae", f"phases={[row]}".replace("'", ""))

    pushed, pulled = only("kl_margin"), only("kl")
    found = gradients(pulled, batch_of(pulled))
    assert_same(gradients(pushed, batch_of(pushed)), {key: -value for key, value in found.items()})
    with pytest.raises(RecipeError, match="'decoder' learns nothing"):
        small("introvae", "phases=[{encoder + decoder: {k: {use: kl, with: {posterior: judged_gen}}}}]")


def test_introvae_decoder_answers_the_moved_encoder() -> None:
    sgd = "train.optimizer={use: sgd, lr: 1e-3}"
    model, other = small("introvae", sgd), small("introvae", sgd)
    batch = batch_of(model)
    Engine(model).step(lambda _: batch)
    for phase in (0, 1):
        moves = gradients(other, batch, phase)
        with torch.no_grad():
            for key, gradient in moves.items():
                other.get_parameter(key).sub_(1e-3 * gradient)
    assert_same(dict(model.named_parameters()), dict(other.named_parameters()))


def test_soft_introvae_by_hand() -> None:
    model = small("soft-introvae")
    batch = batch_of(model)
    x = batch["x"]

    def z_judged(q: api.Gaussian) -> Tensor:
        return sampled(model, q, "z_judged")

    def encoder() -> Tensor:
        q, fake = model.encoder(x), decoded(model).detach()
        judged, numbers = model.encoder(fake), fake[0].numel()
        again = model.decoder(z_judged(judged))
        each = 0.5 * (fake - again).square().flatten(1).sum(1)
        each = each + 256 * Normal(LATENT).kl(judged).sum(1)
        refused = numbers / 2 * torch.exp(-2 / numbers * each).mean()
        return squared(x, model.decoder(sampled(model, q))) + kl(q) + refused

    def decoder() -> Tensor:
        q, fake = model.encoder(x), decoded(model)
        again = model.decoder(z_judged(model.encoder(fake.detach())))
        return (
            squared(x, model.decoder(sampled(model, q)))
            + kl(model.encoder(fake))
            + 1e-8 * squared(fake.detach(), again)
        )

    assert_same(gradients(model, batch, 0), by_hand(model, "encoder", loss=encoder))
    assert_same(gradients(model, batch, 1), by_hand(model, "decoder", loss=decoder))


def test_age_by_hand() -> None:
    model = small("age")
    batch = batch_of(model)

    def on_sphere(z: Tensor) -> Tensor:
        return LATENT**0.5 * z / z.norm(dim=1, keepdim=True)

    def delta(images: Tensor) -> Tensor:
        codes = on_sphere(model.encoder(images).mean)
        mean, variance = codes.mean(0), codes.var(0, correction=0)
        return ((mean**2 + variance) / 2 - 0.5 - variance.sqrt().log()).sum()

    def z(draw: tuple[int, ...]) -> Tensor:
        return on_sphere(drawn(model, "z", draw).normal(4, LATENT))

    def encoder() -> Tensor:
        again = model.decoder(on_sphere(model.encoder(batch["x"]).mean))
        cycle = (batch["x"] - again).abs().sum() / 4
        return delta(batch["x"]) - delta(model.decoder(z(()))) + 0.2 * cycle

    def decoder() -> Tensor:
        fake = model.decoder(z((1, 0)))
        return delta(fake) + squared(z((1, 0)), on_sphere(model.encoder(fake).mean))

    assert_same(gradients(model, batch, 0), by_hand(model, "encoder", loss=encoder))
    assert_same(gradients(model, batch, 1, draw=(1, 0)), by_hand(model, "decoder", loss=decoder))


# -- it learns ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["introvae", "soft-introvae"])
def test_the_encoder_tells_samples_by_their_kl(name: str) -> None:
    torch.manual_seed(0)
    adam = "train.optimizer={use: adam, lr: 3e-3, betas: [0.5, 0.999]}"
    batch_norm = "slots.encoder.norm=batch"  # tells them at once
    model = small(name, "latent=3", "train.batch=32", "train.steps=60", adam, batch_norm).float()
    zoo.train(model, spots(), progress=False)
    with torch.no_grad():
        samples = model.eval().sample(256, generator=torch.Generator().manual_seed(1))
        real, fake = (float(kl(model.encode(images))) for images in (api.to_model(spots()), samples))
    assert fake > 1.5 * real, (fake, real)  # .8 without the terms that refuse them
