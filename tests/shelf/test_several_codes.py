"""Several codes an image, and levels of codes: a step by hand, terms against closed forms, what they learn."""

from __future__ import annotations

import math

import pytest
import torch
import zoo_losses.importance as importance
import zoo_losses.ladder as ladder
from helpers.shelf import assert_same, batch_of, by_hand, drawn, gradients, kl, sampled, small, squared
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from zoo_values.priors import Normal as Prior

import zoo
from zoo import api
from zoo.data.batches import load_images
from zoo.types import to_model

CODES = 5


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# -- IWAE ------------------------------------------------------------------------------------------------------


def test_an_iwae_s_rows_are_those_by_hand() -> None:
    model = small("iwae")
    batch = batch_of(model)
    x = batch["x"]

    def log_weights() -> Tensor:
        q = model.encoder(x)
        held = Normal(q.mean.detach(), q.sigma.detach())
        noise = drawn(model, "importance_codes").normal(len(x), CODES, 5)
        codes = [q.mean + q.sigma * noise[:, number] for number in range(CODES)]
        images = model.decoder(torch.stack(codes, 1).flatten(0, 1)).view(len(x), CODES, *x.shape[1:])
        each = [
            Normal(0.0, 1.0).log_prob(z).sum(1)
            - held.log_prob(z).sum(1)
            - 0.5 * (images[:, number] - x).square().flatten(1).sum(1)
            for number, z in enumerate(codes)
        ]
        return torch.stack(each, 1)

    def bound() -> Tensor:
        return -(log_weights().exp().mean(1)).log().mean()

    def along_the_path() -> Tensor:
        log_w = log_weights()
        shares = (log_w.exp() / log_w.exp().sum(1, keepdim=True)).detach()
        return -(shares**2 * log_w).sum(1).mean()

    expected = {
        **by_hand(model, "encoder", loss=along_the_path),
        **by_hand(model, "decoder", loss=bound),
    }
    assert_same(gradients(model, batch), expected)


class Line:
    """x = z + noise of deviation 1 of one number, whose posterior is N(x / 2, 1/2) and log p(x) that of N(0, 2)."""

    def __init__(self, mean: Tensor, log_sigma: Tensor, codes: int, count: int, seed: str = "line") -> None:
        self.x = torch.full((count, 1, 1, 1), 1.2, dtype=torch.float64)
        self.q = api.Gaussian(mean.expand(count, 1), log_sigma.expand(count, 1))
        held = api.Gaussian(self.q.mean.detach(), self.q.log_sigma.detach())
        draw = api.Draw(seed, device=torch.device("cpu"), dtype=torch.float64)
        z = importance.importance_codes(self.q, draw, codes=codes)
        images = importance.importance_reconstructions(lambda code: code[:, :, None, None], z)
        self.path = importance.log_importance_weights(self.x, images, z, held, Prior(1))
        self.whole = importance.log_importance_weights(self.x, images, z, self.q, Prior(1))


def numbers_to_learn(mean: float, sigma: float) -> list[Tensor]:
    return [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (mean, math.log(sigma))]


def test_the_bound_is_the_likelihood_where_q_is_the_posterior() -> None:
    line = Line(*numbers_to_learn(0.6, math.sqrt(0.5)), codes=3, count=4)
    expected = -Normal(0.0, math.sqrt(2.0)).log_prob(torch.tensor(1.2)) - 0.5 * math.log(2 * math.pi)
    assert float(importance.importance_bound(line.path).detach()) == pytest.approx(float(expected))


def test_an_encoder_s_gradient_is_the_bound_s_on_average() -> None:
    """Against the bound derived whole, q's parameters included (Burda et al. 2016, eq. 13)."""
    learnt = numbers_to_learn(0.2, 1.1)
    line = Line(*learnt, codes=4, count=100_000)
    bound = torch.autograd.grad(importance.importance_bound(line.whole), learnt, retain_graph=True)
    path = torch.autograd.grad(importance.doubly_reparameterised(line.path), learnt)
    torch.testing.assert_close(path, bound, atol=0.005, rtol=0.02)


def test_an_encoder_finds_the_posterior() -> None:
    learnt = numbers_to_learn(-1.0, 0.2)
    optimizer = torch.optim.Adam(learnt, lr=0.05)
    for step in range(150):
        optimizer.zero_grad()
        importance.doubly_reparameterised(Line(*learnt, codes=3, count=64, seed=f"{step}").path).backward()
        optimizer.step()
    found = float(learnt[0].detach()), float(learnt[1].detach().exp())
    assert found == pytest.approx((0.6, math.sqrt(0.5)), abs=0.08)


def test_no_codes_are_refused() -> None:
    with pytest.raises(ValueError, match="'codes' is at least 1, not 0"):
        Line(*numbers_to_learn(0.0, 1.0), codes=0, count=2)


# -- levels ----------------------------------------------------------------------------------------------------


def product(one: api.Gaussian, other: api.Gaussian) -> api.Gaussian:
    a, b = one.sigma**2, other.sigma**2
    return api.Gaussian((one.mean * b + other.mean * a) / (a + b), 0.5 * (a * b / (a + b)).log())


def between(q: api.Gaussian, p: api.Gaussian, free: float) -> Tensor:
    each = kl_divergence(Normal(q.mean, q.sigma), Normal(p.mean, p.sigma)).mean(0)
    return torch.where(each > free, each, free).sum()


@pytest.mark.parametrize("step", [100, 500])
def test_a_ladder_s_step_is_the_one_by_hand(step: int) -> None:
    model = small("ladder-vae", "train.steps=1000")
    batch = batch_of(model)
    x, weight = batch["x"], min(step / 500, 1)

    def loss() -> Tensor:
        low_up = model.low_encoder(x)
        mid_up = model.mid_encoder(low_up.mean)
        top = model.top_encoder(mid_up.mean)
        mid_down = model.mid_from_top(sampled(model, top, "z_top", step))
        mid = product(mid_up, mid_down)
        low_down = model.low_from_mid(sampled(model, mid, "z_mid", step))
        low = product(low_up, low_down)
        nats = kl(top) + between(mid, mid_down, 0.1) + between(low, low_down, 0.1)
        return squared(x, model.decoder(sampled(model, low, step=step))) + weight * nats

    slots = ("low_encoder", "mid_encoder", "top_encoder", "mid_from_top", "low_from_mid", "decoder")
    assert_same(gradients(model, batch, step=step), by_hand(model, *slots, loss=loss))


def test_the_kl_of_a_level_is_torch_s_and_some_of_it_is_free() -> None:
    q, p = (api.Gaussian(numbers(6, 3, seed=s), 0.4 * numbers(6, 3, seed=s + 1)) for s in (0, 5))
    each = kl_divergence(Normal(q.mean, q.sigma), Normal(p.mean, p.sigma)).mean(0)
    torch.testing.assert_close(ladder.kl_level(q, p), each.sum())
    middle = float(each.median())
    torch.testing.assert_close(ladder.kl_level(q, p, free=middle), each.clamp(min=middle).sum())
    assert float(ladder.kl_level(q, q)) == pytest.approx(0, abs=1e-12)


def test_a_merged_level_is_the_product_of_densities() -> None:
    one, other = (api.Gaussian(numbers(2, 1, seed=s), 0.5 * numbers(2, 1, seed=s + 1)) for s in (0, 5))
    z = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    both = (Normal(one.mean, one.sigma).log_prob(z) + Normal(other.mean, other.sigma).log_prob(z)).exp()
    both = both / (both.sum(1, keepdim=True) * (z[1] - z[0]))
    merged = ladder.merged_level(one, other)
    torch.testing.assert_close(Normal(merged.mean, merged.sigma).log_prob(z).exp(), both, atol=1e-9, rtol=1e-6)


def test_a_ladder_learns_images_and_what_its_levels_are_without_them() -> None:
    plain = ("data={use: digits, size: 8}", "latent=5", "train.steps=200", "train.batch=32", "train.log_every=1000")
    weights = [f"phases.0.{ROW}.{term}.weight=0.2" for term in ("kl", "kl_mid", "kl_low")]
    model = small("ladder-vae", *plain, "train.optimizer={use: adam, lr: 5e-3}", *weights).float()
    zoo.train(model, progress=False)
    model.eval()
    x = to_model(load_images(model.recipe).test[:200])
    with torch.no_grad():
        error = (model.reconstruct(x) - x).square().mean()
        apart = (model.sample(200).mean(0) - x.mean(0)).square().mean()
    assert float(error) < 0.75 * float(x.var(0, unbiased=False).mean())
    assert float(apart) < 0.2


ROW = "low_encoder + mid_encoder + top_encoder + mid_from_top + low_from_mid + decoder"
