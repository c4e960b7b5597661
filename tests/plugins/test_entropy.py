"""The estimators of the entropy against closed forms.

Toy generators have a known H: linear, x = W u, and curved, x = f(u) with the log-determinant of its Jacobian.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from helpers.engine import NOISE
from torch import Tensor
from zoo_entropy.information import MutualInformation
from zoo_entropy.neighbours import NearestNeighbours, OwnNearestNeighbours, neighbour_entropy
from zoo_entropy.networks import denoiser, reader
from zoo_entropy.score import Score, gaussian_noise

from zoo import api
from zoo.recipe import load_recipe

Function = Callable[[list[Tensor], Tensor], Tensor]


# -- toys ------------------------------------------------------------------------------------------------------


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw(*key: object) -> api.Draw:
    return api.Draw(*key, device=torch.device("cpu"), dtype=torch.float32)


def linear(dimensions: int, pixels: int) -> tuple[list[Tensor], Function]:
    """x = W u, W (D, m)."""
    weight = torch.randn(pixels, dimensions, generator=rng()) / dimensions**0.5
    return [weight.requires_grad_()], lambda p, u: u @ p[0].T


def curved(dimensions: int, pixels: int, hidden: int = 32) -> tuple[list[Tensor], Function]:
    """x = tanh(B sin(A u)), smooth and folded."""
    first = torch.randn(hidden, dimensions, generator=rng()) / dimensions**0.5
    last = torch.randn(pixels, hidden, generator=rng(1)) / hidden**0.5
    weights = [first.requires_grad_(), last.requires_grad_()]
    return weights, lambda p, u: torch.tanh((u @ p[0].T).sin() @ p[1].T)


def true_entropy(weights: list[Tensor], function: Function, codes: Tensor) -> Tensor:
    """H(u) + E[1/2 log det JᵀJ], nats: the density on the sheet by the change of variables."""
    dimensions, step = codes.shape[1], 1e-4
    wide, u = [weight.double() for weight in weights], codes.double()
    nudges = step * torch.eye(dimensions, dtype=torch.float64)
    columns = [(function(wide, u + nudge) - function(wide, u - nudge)) / (2 * step) for nudge in nudges]
    jacobian = torch.stack(columns, dim=-1)  # (N, D, m)
    return dimensions / 2 * math.log(2 * math.pi * math.e) + 0.5 * torch.logdet(jacobian.mT @ jacobian).mean()


def flat(tensors: Any) -> Tensor:
    return torch.cat([tensor.detach().flatten() for tensor in tensors])


def cosine(a: Tensor, b: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


def neighbour_gradients(weights: list[Tensor], function: Function, dimensions: int, batch: int = 256) -> Tensor:
    """Ten batches' gradients, (10, parameters)."""
    found = []
    for seed in range(10):
        points = function(weights, torch.randn(batch, dimensions, generator=rng(10 + seed)))
        found.append(flat(torch.autograd.grad(neighbour_entropy(points, dimensions, 1), weights)))
    return torch.stack(found)


# -- knn -------------------------------------------------------------------------------------------------------


def test_knn_gives_the_entropy_of_a_linear_gaussian_in_nats():
    weights, function = linear(4, 48)
    truth = true_entropy(weights, function, torch.zeros(1, 4))
    closed = 2 * math.log(2 * math.pi * math.e) + 0.5 * torch.logdet(weights[0].T @ weights[0])
    estimate = neighbour_entropy(function(weights, torch.randn(2000, 4, generator=rng(3))), 4, 1)
    assert torch.allclose(truth.float(), closed, atol=1e-4)
    assert abs(float((estimate - closed).detach())) < 0.1


def test_knn_follows_the_linear_gaussians_gradient():
    weights, function = linear(8, 48)
    truth = torch.linalg.pinv(weights[0].detach()).T.flatten()  # of 1/2 log det WᵀW
    found = neighbour_gradients(weights, function, 8)
    assert min(cosine(one, truth) for one in found) > 0.95
    assert cosine(found.mean(0), truth) > 0.99
    assert 0.9 < float(found.mean(0) @ truth / (truth @ truth)) < 1.05


def test_knn_follows_the_jacobians_log_determinant_on_a_curved_sheet():
    """METHODS: cosine .85 a batch, .87 averaged, and the length .98; here a sheet of 8 dimensions in 48."""
    weights, function = curved(8, 48)
    truth = flat(torch.autograd.grad(true_entropy(weights, function, torch.randn(2000, 8, generator=rng(2))), weights))
    found = neighbour_gradients(weights, function, 8)
    assert sum(cosine(one, truth) for one in found) / len(found) > 0.85
    assert cosine(found.mean(0), truth) > 0.95
    assert 0.8 < float(found.mean(0) @ truth / (truth @ truth)) < 1.1


def test_knn_counts_the_dimensions_of_the_sheet_not_the_pixels():
    points = linear(3, 48)[1](linear(3, 48)[0], torch.randn(64, 3, generator=rng()))
    grown = neighbour_entropy(2 * points, 3, 1) - neighbour_entropy(points, 3, 1)
    assert torch.allclose(grown, torch.tensor(3 * math.log(2)), atol=1e-3)


@pytest.mark.parametrize("k", [1, 4])
def test_knn_survives_images_that_are_alike(k):
    points = torch.zeros(8, 5).requires_grad_()
    (gradient,) = torch.autograd.grad(neighbour_entropy(points, 2, k), points)
    assert torch.isfinite(gradient).all()


def test_knn_has_a_minimum_at_its_resolution():
    """Images nearer than the rounding to 8 bits count as that far apart: H ends there, and pulls no further."""
    images = (1e-3 * torch.randn(8, 1, 4, 4, generator=rng())).requires_grad_()
    bounded, free = (OwnNearestNeighbours(2, 2, resolution=levels) for levels in (1.0, 0.0))
    least = bounded(generated=images)
    assert least.item() == pytest.approx(bounded(generated=torch.zeros(8, 1, 4, 4)).item())
    assert not torch.autograd.grad(least, images)[0].any()
    assert free(generated=images) < least
    assert torch.autograd.grad(free(generated=images), images)[0].any()
    apart = torch.randn(8, 1, 4, 4, generator=rng())
    assert torch.equal(bounded(generated=apart), free(generated=apart))
    rounding = 2 / 255 * math.sqrt(16 / 12)
    assert (least - free(generated=rounding * torch.eye(8).repeat(1, 2).view(8, 1, 4, 4) / 2)).abs() < 1e-4


def test_knn_draws_its_own_batch_or_takes_the_rows():
    sizes = load_recipe({"extends": "avae", "latent": 4, "noise": NOISE}).sizes
    prior, calls = type("Prior", (), {"sample": lambda _, n, d: d.normal(n, 4)})(), []

    def generator(z: Tensor, noise: Tensor) -> Tensor:
        calls.append((tuple(z.shape), tuple(noise.shape)))
        return torch.cat([z, noise], 1).view(-1, 1, 1, 7)

    rows_own = torch.randn(6, 1, 1, 7, generator=rng())
    NearestNeighbours(4, NOISE, batch=32)(generator, prior, draw(), sizes)
    assert calls == [((32, 4), (32, NOISE))]
    value = OwnNearestNeighbours(4, NOISE)(rows_own)
    assert torch.equal(value, neighbour_entropy(rows_own.flatten(1), 7, 1))


# -- score -----------------------------------------------------------------------------------------------------


def learnt(term: Any, steps: int, *inputs: Callable[[int], Any]) -> Any:
    """A term whose networks have learnt, the rate falling to 0."""
    optimizer = torch.optim.Adam(term.parameters(), 1e-2)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
        loss = term.learn(*inputs[0](step), draw("learn", step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return term


def test_score_follows_the_smoothed_linear_gaussians_gradient():
    """H(x + sigma e) = 1/2 log det(W Wᵀ + sigma² I) + const, its gradient (W Wᵀ + sigma² I)⁻¹ W."""
    sigma, (weights, function) = 0.3, linear(4, 16)
    covariance = (weights[0] @ weights[0].T).detach() + sigma**2 * torch.eye(16)
    truth = torch.linalg.solve(covariance, weights[0].detach()).flatten()

    def generated(step: int) -> Tensor:
        return function(weights, torch.randn(256, 4, generator=rng(step))).view(-1, 1, 4, 4)

    torch.manual_seed(0)
    term = learnt(Score(1, 4, sigma=sigma, net="mlp", width=2), 200, lambda step: (generated(step).detach(),))
    found = [flat(torch.autograd.grad(term(generated(1000 + i), draw(i)), weights)) for i in range(10)]
    assert min(cosine(one, truth) for one in found) > 0.95
    average = torch.stack(found).mean(0)
    assert cosine(average, truth) > 0.99
    assert 0.9 < float(average @ truth / (truth @ truth)) < 1.1


def test_what_a_gaussian_says_of_noise_is_its_posterior_mean():
    """By the whole covariance, and the network adds to it."""
    x, noisy = (torch.randn(6, 2, 3, 3, generator=rng(seed), dtype=torch.float64) for seed in (0, 1))
    flat_x = x.flatten(1)
    covariance = flat_x.T.cov(correction=0) + 0.2**2 * torch.eye(18)
    expected = 0.2 * torch.linalg.solve(covariance, (noisy.flatten(1) - flat_x.mean(0)).T).T
    assert torch.allclose(gaussian_noise(noisy, x, 0.2).flatten(1), expected)
    assert not gaussian_noise(x[:1].expand(4, 2, 3, 3), x[:1].expand(4, 2, 3, 3), 0.2).any()  # all alike
    assert gaussian_noise(noisy.bfloat16(), x.bfloat16(), 0.2).dtype == torch.bfloat16
    torch.manual_seed(0)
    term = Score(2, 3, sigma=0.2, width=2).double()
    assert torch.allclose(term.told(noisy, x), expected.view_as(x) + term.noise_in(noisy))


@pytest.mark.parametrize("sigma", [0.1, 0.3])
def test_score_follows_the_gradient_of_large_smooth_images_from_the_first_step(sigma: float):
    """8 smooth dimensions of 3 x 16 x 16 pixels of scale .3, where a network alone goes astray."""
    waves = torch.cos(math.pi * torch.linspace(0, 1, 16).outer(torch.arange(3.0)))  # (16, 3)
    maps = torch.einsum("if,jg->fgij", waves, waves).flatten(0, 1)[:8]
    sheet = torch.linalg.qr((torch.randn(8, 3, 1, 1, generator=rng()) * maps[:, None]).flatten(1).T)[0] * 0.3 * 96**0.5
    weights = sheet.clone().requires_grad_()
    covariance = sheet @ sheet.T + sigma**2 * torch.eye(768)
    truth = torch.linalg.solve(covariance, sheet).flatten()
    torch.manual_seed(0)
    term, found = Score(3, 16, sigma=sigma), []
    for i in range(4):
        images = (torch.randn(64, 8, generator=rng(i)) @ weights.T).view(-1, 3, 16, 16)
        found.append(torch.autograd.grad(term(images, draw(i)), weights)[0].flatten())
    average = torch.stack(found).mean(0)
    assert cosine(average, truth) > 0.99
    assert 0.9 < float(average @ truth / (truth @ truth)) < 1.1


def test_scores_surrogate_is_minus_the_score_times_the_images():
    term, x = Score(1, 8, sigma=0.2, width=2), torch.randn(5, 1, 8, 8, generator=rng()).requires_grad_()
    e = 0.2 * draw(1).normal(5, 1, 8, 8)
    with torch.no_grad():
        score = -(term.told(x + e, x) + term.told(x - e, x)) / 2 / 0.2
    (gradient,) = torch.autograd.grad(term(x, draw(1)), x)
    assert torch.allclose(gradient, -score / 5)


def test_scores_denoiser_minimises_half_the_squared_error_of_both_noises():
    term, x, e = Score(1, 8, sigma=0.2, width=2), torch.randn(5, 1, 8, 8, generator=rng()), draw(1).normal(5, 1, 8, 8)
    errors = [(term.told(x + s * 0.2 * e, x) - s * e).square().sum((1, 2, 3)).mean() / 2 for s in (1, -1)]
    assert torch.allclose(term.learn(x, draw(1)), sum(errors) / 2)


# -- mutual information ----------------------------------------------------------------------------------------


def test_the_information_is_bounded_from_below_and_reached():
    """x = A z + B a + sigma e: I(a; x | z) = 1/2 log det(I + BᵀB / sigma²)."""
    sigma, of_z, of_a = 0.5, torch.randn(16, 3, generator=rng()) / 2, torch.randn(16, 2, generator=rng(1)) / 2
    truth = 0.5 * float(torch.logdet(torch.eye(2) + of_a.T @ of_a / sigma**2))

    def batch(seed: int, n: int = 256) -> tuple[Tensor, Tensor, Tensor]:
        z, a = torch.randn(n, 3, generator=rng(seed)), torch.randn(n, 2, generator=rng(10_000 + seed))
        return (z @ of_z.T + a @ of_a.T).view(-1, 1, 4, 4), z, a

    torch.manual_seed(0)
    term = MutualInformation(1, 4, 3, 2, (-1.0, -1.0), sigma=sigma, net="mlp", width=2)
    before = float(term(*batch(-1, 4000), draw("before")).detach())
    learnt(term, 200, batch)
    after = float(term(*batch(-1, 4000), draw("after")).detach())
    assert before < after < truth + 0.05  # 0.05 nats: four errors of a mean over 4000
    assert after > 0.85 * truth


def test_a_generator_that_ignores_its_noise_has_no_information():
    def batch(seed: int, n: int = 256) -> tuple[Tensor, Tensor, Tensor]:
        z, a = torch.randn(n, 3, generator=rng(seed)), torch.randn(n, 2, generator=rng(10_000 + seed))
        return z[:, :1].expand(-1, 16).reshape(-1, 1, 4, 4), z, a

    torch.manual_seed(0)
    term = learnt(MutualInformation(1, 4, 3, 2, (-1.0, -1.0), net="mlp", width=1), 200, batch)
    assert abs(float(term(*batch(-1, 4000), draw(1)).detach())) < 0.1


# -- the networks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", ["conv", "mlp"])
@pytest.mark.parametrize("size", [7, 8, 14, 28, 32])
def test_the_networks_take_every_size(net, size):
    x = torch.randn(2, 3, size, size, generator=rng())
    read, features = reader(net, 3, size, 2)
    assert denoiser(net, 3, size, 2)(x).shape == x.shape
    assert read(x).shape == (2, features)


@pytest.mark.parametrize("options", [{"sigma": 0.0}, {"sigma": -1.0}, {"width": 0}])
def test_what_the_estimators_refuse(options):
    with pytest.raises(ValueError, match=r"positive|at least 1"):
        Score(1, 8, **options)
    with pytest.raises(ValueError, match=r"positive|at least 1"):
        MutualInformation(1, 8, 2, 2, (-1.0, -1.0), **options)


def test_what_knn_refuses():
    for options in ({"k": 0}, {"batch": 1}, {"batch": -2}, {"resolution": -1.0}):
        with pytest.raises(ValueError, match="at least"):
            NearestNeighbours(2, 2, **options)
