"""Every term against a closed form; the adversarial ones against Gaussians whose divergences are known."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
import zoo_bigan.pairs as bigan
import zoo_losses.terms as losses
import zoo_vaegan.terms as vaegan
import zoo_values.priors as priors
from torch import Tensor, nn
from torch.distributions import Laplace, Normal, kl_divergence
from torch.nn.functional import binary_cross_entropy_with_logits as bce
from zoo_losses.aggregate import code_norm
from zoo_losses.distances import distance as of_chosen
from zoo_losses.distances import pixel_distance
from zoo_vaegan.terms import feature_match

from zoo.api import CriticOutput, Draw, Gaussian

B, K = 4, 3
CPU = torch.device("cpu")


def randn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def posterior() -> Gaussian:
    return Gaussian(randn(B, K, seed=1).requires_grad_(), (0.4 * randn(B, K, seed=2)).requires_grad_())


def critic(logit: Tensor, **taps: Tensor) -> CriticOutput:
    return CriticOutput(logit, taps)


def normals(n: int) -> Tensor:
    """n standard normal numbers without noise: the middles of n parts of equal mass."""
    return Normal(0.0, 1.0).icdf((torch.arange(n, dtype=torch.float64) + 0.5) / n)


def kl_to_the_normal(q: Gaussian) -> Tensor:
    return losses.kl(q, priors.Normal(K), torch.full((B, K), torch.nan))  # which needs no codes


# -- likelihoods and KL ------------------------------------------------------------------------------------


def test_kl_is_that_of_torch_distributions():
    q = posterior()
    expected = kl_divergence(Normal(q.mean, q.sigma), Normal(0.0, 1.0)).sum(1).mean()
    torch.testing.assert_close(kl_to_the_normal(q), expected)


def test_gradients_of_kl():
    q = posterior()
    mean, log_sigma = torch.autograd.grad(kl_to_the_normal(q), [q.mean, q.log_sigma])
    torch.testing.assert_close(mean, q.mean / B)
    torch.testing.assert_close(log_sigma, (q.sigma**2 - 1) / B)


def test_kl_of_the_prior_is_zero():
    assert kl_to_the_normal(Gaussian(torch.zeros(B, K), torch.zeros(B, K))) == 0


class Learnt(nn.Module):
    """N(m, s^2), which learns and says no closed form."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.linspace(-1, 1, K, dtype=torch.float64))
        self.log_sigma = nn.Parameter(torch.linspace(-0.5, 0.5, K, dtype=torch.float64))

    def log_prob(self, z: Tensor) -> Tensor:
        return Normal(self.mean, self.log_sigma.exp()).log_prob(z).sum(1)


def test_kl_to_a_prior_without_a_closed_form_is_its_mean_at_samples():
    """Quadrature along each dimension: what is summed is a sum over dimensions."""
    prior, q, n = Learnt(), posterior(), 4000
    each = normals(n)[:, None, None].expand(n, B, K)  # every dimension at the same quantile
    codes = (q.mean + q.sigma * each).flatten(0, 1)
    many = Gaussian(q.mean.repeat(n, 1), q.log_sigma.repeat(n, 1))
    expected = kl_divergence(Normal(q.mean, q.sigma), Normal(prior.mean, prior.log_sigma.exp())).sum(1).mean()
    torch.testing.assert_close(losses.kl(many, prior, codes), expected, rtol=1e-3, atol=1e-3)


def test_a_prior_learns_from_kl():
    prior, q = Learnt(), posterior()
    z = q.mean + 0.3 * q.sigma
    mean, log_sigma = torch.autograd.grad(losses.kl(q, prior, z), [prior.mean, prior.log_sigma])
    error = (z - prior.mean) / prior.log_sigma.exp()
    torch.testing.assert_close(mean, -(error / prior.log_sigma.exp()).mean(0))
    torch.testing.assert_close(log_sigma, 1 - error.square().mean(0))


def test_kl_to_a_prior_that_has_no_density_is_refused():
    with pytest.raises(ValueError, match=r"neither kl\(posterior\) nor log_prob\(z\)"):
        losses.kl(posterior(), nn.Identity(), torch.zeros(B, K))


@pytest.mark.parametrize(
    ("distance", "law", "constant"),
    [
        ("squared", Normal, lambda s: math.log(s * math.sqrt(2 * math.pi))),
        ("absolute", Laplace, lambda s: math.log(2 * s)),
    ],
)
@pytest.mark.parametrize("sigma", [1.0, 0.3])
def test_reconstruction_is_a_likelihood_without_its_constant(distance, law, constant, sigma):
    x, x_rec = randn(B, 3, 4, 4, seed=3), randn(B, 3, 4, 4, seed=4)
    nll = -law(x_rec, sigma).log_prob(x).sum((1, 2, 3)).mean()
    found = losses.reconstruction(x, x_rec, sigma=sigma, distance=distance)
    torch.testing.assert_close(found, nll - 3 * 4 * 4 * constant(sigma))


def test_a_term_that_is_paid_by_the_number_is_the_sum_over_an_item_s_numbers():
    x, x_rec, numbers = randn(B, 3, 4, 4, seed=3), randn(B, 3, 4, 4, seed=4), 3 * 4 * 4
    taps = [CriticOutput(torch.zeros(B), {"stage2": t}) for t in (x, x_rec)]
    paid = [
        *(partial(losses.reconstruction, x, x_rec, distance=of, sigma=0.5) for of in ("squared", "absolute")),
        partial(of_chosen, pixel_distance(x, x_rec), x),
        partial(code_norm, x),
        partial(feature_match, *taps),
    ]
    for term in paid:
        torch.testing.assert_close(term(per="number") * numbers, term())


def test_the_gradient_of_reconstruction_is_the_error_of_each_image():
    x, x_rec = randn(B, 1, 2, 2, seed=3), randn(B, 1, 2, 2, seed=4).requires_grad_()
    (gradient,) = torch.autograd.grad(losses.reconstruction(x, x_rec, sigma=0.5), x_rec)
    torch.testing.assert_close(gradient, (x_rec - x) / 0.25 / B)


def test_latent_nll_is_a_likelihood_without_its_constant():
    q, z = posterior(), randn(B, K, seed=5)
    nll = -Normal(q.mean, q.sigma).log_prob(z).sum(1).mean()
    torch.testing.assert_close(losses.latent_nll(z, q), nll - K / 2 * math.log(2 * math.pi))


def test_gradients_of_latent_nll():
    q, z = posterior(), randn(B, K, seed=5)
    mean, log_sigma = torch.autograd.grad(losses.latent_nll(z, q), [q.mean, q.log_sigma])
    torch.testing.assert_close(mean, (q.mean - z) / q.sigma**2 / B)
    torch.testing.assert_close(log_sigma, (1 - (z - q.mean) ** 2 / q.sigma**2) / B)


# -- adversarial terms: p_data = N(0, 1), p_G = N(m, s^2) --------------------------------------------------

M, S = 0.7, 0.6


def log_ratio(x: Tensor) -> Tensor:
    """The optimal critic log p_data - log p_G, at fixed weights of G."""
    return Normal(0.0, 1.0).log_prob(x) - Normal(M, S).log_prob(x)


def path_gradient(term: object) -> tuple[float, list[float]]:
    """A generator's loss at the optimal critic, and its gradient in (m, s) along x = m + s eps."""
    weights = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (M, S)]
    fakes = weights[0] + weights[1] * normals(200_000)
    loss = term(critic(log_ratio(fakes)))
    return loss.item(), [g.item() for g in torch.autograd.grad(loss, weights)]


def divergences(m: Tensor, s: Tensor) -> tuple[Tensor, Tensor]:
    """KL(p_G || p_data) and the Jensen-Shannon divergence, by quadrature."""
    x = torch.linspace(-12, 12, 40_001, dtype=torch.float64)
    data, fake = Normal(0.0, 1.0).log_prob(x), Normal(m, s).log_prob(x)
    middle = torch.logaddexp(data, fake) - math.log(2)
    kl, to_data, to_fake = (
        torch.trapezoid(p.exp() * (p - q), x) for p, q in ((fake, data), (data, middle), (fake, middle))
    )
    return kl, (to_data + to_fake) / 2


def test_reverse_kl_is_the_kl_at_the_optimal_critic():
    value, _ = path_gradient(losses.reverse_kl)
    assert value == pytest.approx((S**2 + M**2 - 1) / 2 - math.log(S), abs=1e-4)


def test_the_path_gradient_of_reverse_kl_is_that_of_the_kl():
    _, gradient = path_gradient(losses.reverse_kl)
    assert gradient == pytest.approx([M, S - 1 / S], abs=1e-3)


def test_the_path_gradient_of_non_saturating_is_that_of_kl_minus_2_js():
    _, gradient = path_gradient(losses.non_saturating)
    weights = [torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (M, S)]
    kl, js = divergences(*weights)
    expected = [g.item() for g in torch.autograd.grad(kl - 2 * js, weights)]
    assert gradient == pytest.approx(expected, abs=1e-3)
    assert max(abs(g - k) for g, k in zip(gradient, [M, S - 1 / S], strict=True)) > 0.2


def test_the_minimum_of_discriminate_is_the_log_ratio():
    x, fakes = normals(20_000), M + S * normals(20_000)
    weights = torch.zeros(3, dtype=torch.float64, requires_grad=True)  # of a quadratic critic, which can be optimal
    optimizer = torch.optim.LBFGS([weights], max_iter=100, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def at(points: Tensor) -> Tensor:
        return weights[0] + weights[1] * points + weights[2] * points**2

    def loss() -> Tensor:
        optimizer.zero_grad()
        found = losses.discriminate(critic(at(x)), critic(at(fakes)))
        weights.grad = torch.autograd.grad(found, weights)[0]
        return found.detach()

    optimizer.step(loss)
    points = torch.linspace(-1, 2, 7, dtype=torch.float64)
    torch.testing.assert_close(at(points).detach(), log_ratio(points), atol=0.02, rtol=0)


def test_cross_entropies():
    real, fake, other = (critic(3 * randn(B, seed=seed)) for seed in (6, 7, 8))
    ones, zeros = torch.ones(B, dtype=torch.float64), torch.zeros(B, dtype=torch.float64)
    right, wrong = bce(real.logit, ones) + bce(fake.logit, zeros), bce(fake.logit, ones)
    torch.testing.assert_close(losses.discriminate(real, fake), right)
    torch.testing.assert_close(losses.non_saturating(fake), wrong)
    torch.testing.assert_close(losses.reverse_kl(fake), -fake.logit.mean())
    torch.testing.assert_close(vaegan.discriminate_both(real, fake, other), right + bce(other.logit, zeros))
    torch.testing.assert_close(vaegan.non_saturating_both(fake, other), wrong + bce(other.logit, ones))
    torch.testing.assert_close(bigan.pairs(real, fake), right)
    torch.testing.assert_close(bigan.pairs_swapped(real, fake), bce(real.logit, zeros) + bce(fake.logit, ones))


def test_swapped_pairs_are_pairs_with_both_labels_flipped():
    real, fake = critic(randn(B, seed=6)), critic(randn(B, seed=7))
    torch.testing.assert_close(bigan.pairs_swapped(real, fake), bigan.pairs(fake, real))


@pytest.mark.parametrize("logit", [-200.0, 200.0])
def test_a_critic_that_is_sure_gives_finite_losses_and_gradients(logit):
    sure = torch.full((B,), logit, requires_grad=True)
    loss = losses.discriminate(critic(sure), critic(sure)) + losses.non_saturating(critic(sure))
    assert all(torch.isfinite(t).all() for t in (loss, *torch.autograd.grad(loss, sure)))


# -- features ----------------------------------------------------------------------------------------------


def test_feature_match_is_half_the_squared_distance_of_each_image_summed_over_features():
    a, b = randn(B, 8, 2, 2, seed=9), randn(B, 8, 2, 2, seed=10)
    found = vaegan.feature_match(critic(a, stage2=a), critic(b, stage2=b))
    expected = torch.stack([0.5 * torch.dist(u, v) ** 2 for u, v in zip(a, b, strict=True)]).mean()
    torch.testing.assert_close(found, expected)


def test_feature_match_reads_the_tap_it_is_told():
    zero, one = torch.zeros(B, 5), torch.ones(B, 5)
    x, fake = critic(zero, stage1=zero, stage2=zero), critic(zero, stage1=zero, stage2=one)
    assert vaegan.feature_match(x, fake, tap="stage1") == 0
    assert vaegan.feature_match(x, fake) == 2.5


def test_feature_match_names_the_taps_there_are():
    zero = critic(torch.zeros(B), stage1=torch.zeros(B))
    with pytest.raises(ValueError, match="no tap 'stage9'; choices: stage1"):
        vaegan.feature_match(zero, zero, tap="stage9")


# -- what terms are made of --------------------------------------------------------------------------------


def draw(*key: object) -> Draw:
    return Draw(*key, device=CPU, dtype=torch.float64)


def test_a_gaussian_is_sampled_by_its_mean_and_sigma():
    q = posterior()
    torch.testing.assert_close(q.sample(draw(1)), q.mean + q.log_sigma.exp() * draw(1).normal(B, K))


def test_samples_carry_gradients():
    q = posterior()
    mean, log_sigma = torch.autograd.grad(q.sample(draw(1)).sum(), [q.mean, q.log_sigma])
    torch.testing.assert_close(mean, torch.ones(B, K, dtype=torch.float64))
    torch.testing.assert_close(log_sigma, q.sigma * draw(1).normal(B, K))


def test_the_log_density_of_a_gaussian():
    q, z = posterior(), randn(B, K, seed=5)
    torch.testing.assert_close(q.log_prob(z), Normal(q.mean, q.sigma).log_prob(z).sum(1))


def test_numbers_are_a_function_of_their_key():
    first = draw(0, "train", 3, (), "z").normal(5)
    torch.manual_seed(99)
    draw(0, "train", 3, (), "noise").normal(7)
    assert torch.equal(first, draw(0, "train", 3, (), "z").normal(5))


@pytest.mark.parametrize(
    "key",
    [(1, "train", 3, (), "z"), (0, "train", 4, (), "z"), (0, "train", 3, (1, 0), "z"), (0, "train", 3, (), "noise")],
)
def test_another_key_gives_other_numbers(key):
    assert not torch.equal(draw(*key).normal(5), draw(0, "train", 3, (), "z").normal(5))


def test_a_stream_goes_on():
    stream = draw(0)
    assert not torch.equal(stream.normal(5), stream.normal(5))


def test_drawing_leaves_the_global_stream_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    draw(0).normal(5)
    assert torch.equal(torch.rand(3), expected)


def test_numbers_are_normal_or_uniform():
    normal, uniform = draw(0).normal(20_000), draw(1).uniform(20_000)
    assert (normal.mean().abs() < 0.03, (normal.std() - 1).abs() < 0.03) == (True, True)
    assert 0 <= uniform.min() <= uniform.max() < 1
    assert abs(uniform.mean() - 0.5) < 0.01


# -- codes of other shapes -------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5,), (2, 3), (4, 2, 3)], ids=["vectors", "tokens", "maps"])
def test_all_but_the_batch_is_summed_whatever_the_shape_of_a_code(shape: tuple[int, ...]) -> None:
    """A code of any shape has the likelihood, the divergence and the density of its numbers laid out in a row."""
    q, z = Gaussian(randn(B, *shape, seed=1), 0.4 * randn(B, *shape, seed=2)), randn(B, *shape, seed=3)
    row, prior = Gaussian(q.mean.flatten(1), q.log_sigma.flatten(1)), priors.Normal(latent=1)
    expected = Normal(q.mean, q.sigma).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(q.log_prob(z), expected)
    torch.testing.assert_close(prior.log_prob(z), Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1))
    truth = kl_divergence(Normal(q.mean, q.sigma), Normal(0.0, 1.0)).sum() / B
    torch.testing.assert_close(losses.kl(q, prior, z), truth)
    torch.testing.assert_close(losses.kl(q, Density(), z), (expected - prior.log_prob(z)).mean())
    for precision in ("exact", "normalised"):
        there, flat = (losses.latent_nll(*given, precision=precision) for given in ((z, q), (z.flatten(1), row)))
        torch.testing.assert_close(there, flat)


class Density:
    """A prior that has no closed form."""

    def log_prob(self, z: Tensor) -> Tensor:
        return Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1)
