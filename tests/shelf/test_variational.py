"""VAEs: a step of each against one by hand, the parts of their losses against closed forms, and what they learn."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import zoo_losses.aggregate as aggregate
import zoo_losses.terms as terms
from helpers.shelf import (
    Gradients,
    assert_same,
    batch_of,
    by_hand,
    drawn,
    gradients,
    kl,
    sampled,
    small,
    softplus,
    squared,
)
from torch import Tensor
from torch.distributions import Normal
from zoo_values import priors
from zoo_values.perceptrons import CodeCritic

import zoo
from zoo import api
from zoo.data.batches import load_images
from zoo.model.model import Model
from zoo.types import to_model

Q = Callable[[api.Gaussian, Tensor], Tensor]
"""What a loss adds to the reconstruction's, of a posterior and its sample."""


def of_vae(
    model: Model, more: Q, batch: Tensor, step: int = 0, likelihood: Callable[..., Tensor] = squared
) -> Gradients:
    """The gradient of likelihood and more at encoder and decoder."""

    def loss() -> Tensor:
        q = model.encoder(batch)
        z = sampled(model, q, step=step)
        return likelihood(batch, model.decoder(z)) + more(q, z)

    return by_hand(model, "encoder", "decoder", loss=loss)


def covariance(q: api.Gaussian) -> Tensor:
    return torch.cov(q.mean.T, correction=0) + torch.diag(q.sigma.square().mean(0))


def dip(q: api.Gaussian, _: Tensor) -> Tensor:
    off, on = covariance(q).square(), (torch.diag(covariance(q)) - 1).square().sum()
    return kl(q) + 10 * off[~torch.eye(len(off), dtype=torch.bool)].sum() + 5 * on


def parts(q: api.Gaussian, z: Tensor, count: int) -> list[Tensor]:
    """Information, total correlation and the dimensions' own KL by minibatch weighting, in loops, means over codes."""
    found = []
    for i, code in enumerate(z):
        each = torch.stack([Normal(m, s).log_prob(code).exp() for m, s in zip(q.mean, q.sigma, strict=True)])
        own, whole = each[i].log().sum(), (each.prod(1).sum() / (count * len(z))).log()
        marginals = (each.sum(0) / (count * len(z))).log().sum()
        found.append(torch.stack([own - whole, whole - marginals, marginals - Normal(0.0, 1.0).log_prob(code).sum()]))
    return [*torch.stack(found).mean(0)]


def tc(q: api.Gaussian, z: Tensor, count: int = 4, beta: float = 6) -> Tensor:
    information, correlation, dimensions = parts(q, z, count)
    return information + beta * correlation + dimensions


def optimal(x: Tensor, again: Tensor) -> Tensor:
    return 0.5 * x[0].numel() * ((x - again) ** 2).mean().log()


@pytest.mark.parametrize(
    ("name", "step", "more"),
    [
        ("vae", 0, lambda q, _: kl(q)),
        ("beta-vae", 250, lambda q, _: 2 * kl(q)),
        ("beta-vae", 500, lambda q, _: 4 * kl(q)),
        ("capacity-vae", 0, lambda q, _: 100 * (kl(q) - 0).abs()),
        ("capacity-vae", 2400, lambda q, _: 100 * (kl(q) - 20).abs()),
        ("dip-vae", 0, dip),
        ("beta-tcvae", 500, tc),
    ],
)
def test_a_vae_s_step_is_the_one_by_hand(name: str, step: int, more: Q) -> None:
    model = small(name, "train.steps=4000")
    batch = batch_of(model)
    assert_same(gradients(model, batch, step=step), of_vae(model, more, batch["x"], step))


def test_a_sigma_vae_s_step_is_the_one_by_hand() -> None:
    model = small("sigma-vae")
    batch = batch_of(model)
    expected = of_vae(model, lambda q, _: kl(q), batch["x"], likelihood=optimal)
    assert_same(gradients(model, batch), expected)


def test_a_factor_vae_s_phases_are_those_by_hand() -> None:
    model = small("factor-vae")
    batch = batch_of(model)

    def bound() -> Tensor:
        q = model.encoder(batch["x"])
        z = sampled(model, q)
        return squared(batch["x"], model.decoder(z)) + kl(q) - 20 * model.code_critic(z).logit.mean()

    def told_apart() -> Tensor:
        z = sampled(model, model.encoder(batch["x"])).detach()
        order = drawn(model, "codes_permuted").uniform(*z.shape).argsort(0)
        permuted = torch.stack([z[order[:, k], k] for k in range(z.shape[1])], 1)
        return softplus(model.code_critic(z).logit) + softplus(-model.code_critic(permuted).logit)

    assert_same(gradients(model, batch), by_hand(model, "encoder", "decoder", loss=bound))
    assert_same(gradients(model, batch, 1), by_hand(model, "code_critic", loss=told_apart))


# -- parts of losses -------------------------------------------------------------------------------------------


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_kl_is_as_far_from_its_capacity_as_it_is() -> None:
    q, prior = api.Gaussian(torch.ones(3, 4), torch.zeros(3, 4)), priors.Normal(4)  # 1/2 nat a dimension
    for nats, far in ((0.0, 2.0), (1.5, 0.5), (5.0, 3.0)):
        assert float(aggregate.capacity(q, prior, q.mean, nats=nats)) == pytest.approx(far)
    with pytest.raises(ValueError, match="at least 0, not -1"):
        aggregate.capacity(q, prior, q.mean, nats=-1)


def test_codes_covariance_is_that_of_many_samples() -> None:
    q = api.Gaussian(numbers(6, 3), 0.5 * numbers(6, 3, seed=1))
    z = q.mean + q.sigma * numbers(200_000, 6, 3, seed=2)
    found = aggregate.code_covariance(q)
    torch.testing.assert_close(found, torch.cov(z.flatten(0, 1).T), rtol=0.02, atol=0.02)
    torch.testing.assert_close(aggregate.code_covariance(q, of="means"), torch.cov(q.mean.T, correction=0))


def test_covariances_off_the_diagonal_and_on_it() -> None:
    matrix = torch.tensor([[3.0, 2.0], [2.0, 0.5]])
    assert float(aggregate.covariance_off_diagonal(matrix)) == 8
    assert float(aggregate.covariance_diagonal(matrix)) == 4.25


def test_a_density_in_parts_is_the_kl_in_one() -> None:
    q, z = api.Gaussian(numbers(5, 3), 0.3 * numbers(5, 3, seed=1)), numbers(5, 3, seed=2)
    densities = aggregate.code_log_densities(q, z)
    found = [
        aggregate.code_information(densities, 70),
        aggregate.total_correlation(densities, 70),
        aggregate.dimension_kl(densities, 70, priors.Normal(3), z),
    ]
    torch.testing.assert_close(found, parts(q, z, 70))
    torch.testing.assert_close(sum(found), (q.log_prob(z) - priors.Normal(3).log_prob(z)).mean())


def test_codes_of_a_map_are_as_those_of_a_vector() -> None:
    flat, z = api.Gaussian(numbers(5, 12), numbers(5, 12, seed=1)), numbers(5, 12, seed=2)
    maps = api.Gaussian(*(t.view(5, 3, 2, 2) for t in (flat.mean, flat.log_sigma)))
    torch.testing.assert_close(
        aggregate.code_log_densities(maps, z.view(5, 3, 2, 2)), aggregate.code_log_densities(flat, z)
    )
    torch.testing.assert_close(aggregate.code_covariance(maps), aggregate.code_covariance(flat))


def test_permuted_codes_are_the_same_numbers_dimension_by_dimension() -> None:
    z = numbers(50, 2, 3)
    found = aggregate.codes_permuted(z, api.Draw("p", device=torch.device("cpu"), dtype=torch.float64))
    assert torch.equal(found.sort(0).values, z.sort(0).values)
    rows = {tuple(row.tolist()) for row in z.flatten(1)}
    assert not any(tuple(row.tolist()) in rows for row in found.flatten(1))


# -- what they learn ---------------------------------------------------------------------------------------------


def learnt(name: str, *overrides: str) -> tuple[Model, api.Gaussian]:
    """A small model after some steps on digits of 8 px, and the posterior of 200 of them."""
    plain = (
        "data={use: digits, size: 8}",
        "train.steps=120",
        "train.batch=32",
        "train.optimizer={use: adam, lr: 5e-3}",
    )
    model = small(name, *plain, "latent=4", "train.log_every=1000", *overrides).float()
    zoo.train(model, progress=False)
    model.eval()
    with torch.no_grad():
        return model, model.encode(to_model(load_images(model.recipe).train[:200]))


def test_a_capacity_is_used_up() -> None:
    _, q = learnt("capacity-vae", "phases.0.encoder + decoder.capacity={nats: 4, weight: 100}")
    assert float(kl(q)) == pytest.approx(4, abs=0.4)


def test_dip_makes_codes_uncorrelated_and_of_variance_one() -> None:
    _, q = learnt("dip-vae")
    torch.testing.assert_close(covariance(q), torch.eye(4), atol=0.25, rtol=0)


def test_total_correlation_finds_the_turn_at_which_codes_are_independent() -> None:
    """Codes of a square that was turned: they are independent only where its sides lie along the axes."""
    square = 2 * torch.rand(128, 2, generator=torch.Generator().manual_seed(0)) - 1
    turn = torch.tensor(0.4, requires_grad=True)
    optimizer = torch.optim.Adam([turn], lr=0.02)
    for _ in range(60):
        c, s = turn.cos(), turn.sin()
        mean = square @ torch.stack([torch.stack([c, s]), torch.stack([-s, c])])
        q = api.Gaussian(mean, torch.full_like(mean, -2.0))
        densities = aggregate.code_log_densities(q, mean)
        optimizer.zero_grad()
        aggregate.total_correlation(densities, len(square)).backward()
        optimizer.step()
    assert float(turn.detach()) == pytest.approx(0, abs=0.1)


def test_a_critic_of_permuted_codes_finds_how_far_they_are_from_independent() -> None:
    """Two numbers with a correlation of .9 are -log(1 - .9^2) / 2 nats away."""
    torch.manual_seed(0)
    critic = CodeCritic(2, width=32)
    optimizer = torch.optim.Adam(critic.parameters(), lr=0.01)
    for step in range(200):
        first, other = torch.randn(2, 256)
        z = torch.stack([first, 0.9 * first + 0.19**0.5 * other], 1)
        permuted = aggregate.codes_permuted(z, api.Draw(step, device=torch.device("cpu"), dtype=torch.float32))
        optimizer.zero_grad()
        terms.discriminate(critic(permuted), critic(z)).backward()
        optimizer.step()
    with torch.no_grad():
        found = float(terms.reverse_kl(critic(z)))
    assert found == pytest.approx(0.83, abs=0.25)
