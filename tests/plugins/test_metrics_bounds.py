"""The bound of a likelihood, and the information gap of codes: against closed forms and scikit-learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score
from torch import Tensor
from torch.distributions import MultivariateNormal
from zoo_metrics.bounds import IwaeNll, Mig, binned, information
from zoo_values.priors import Normal

from zoo import api

DOUBLE = torch.float64


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=DOUBLE)


def draw(key: object) -> api.Draw:
    return api.Draw(key, device=torch.device("cpu"), dtype=DOUBLE)


SIGMA = 0.7
W = numbers(3, 1, seed=4)
"""x = W z + .7 noise: p(x) and the posterior are normal."""


def measured(x: Tensor, q: api.Gaussian, **options: Any) -> float:
    metric, other = (IwaeNll(sigma=SIGMA, **options) for _ in range(2))

    def compute(name: str, given: dict[str, Tensor]) -> Tensor:
        assert name == "reconstruction"
        return given["z_posterior"] @ W.T

    for one, rows in ((metric, slice(0, 4)), (other, slice(4, None))):
        one.update(x[rows], api.Gaussian(q.mean[rows], q.log_sigma[rows]), Normal(1), compute, draw(rows.start))
    metric.merge([other])
    return metric.compute()


def test_the_bound_is_the_likelihood_of_a_linear_gaussian_and_falls_with_codes() -> None:
    x = numbers(10, 3)
    truth = -MultivariateNormal(torch.zeros(3, dtype=DOUBLE), W @ W.T + SIGMA**2 * torch.eye(3)).log_prob(x).mean()
    precision = 1 + (W**2).sum() / SIGMA**2
    exact = api.Gaussian(x @ W / SIGMA**2 / precision, torch.full((10, 1), -0.5 * math.log(precision), dtype=DOUBLE))
    assert measured(x, exact, codes=1) == pytest.approx(float(truth))
    plain = api.Gaussian(torch.zeros(10, 1, dtype=DOUBLE), torch.zeros(10, 1, dtype=DOUBLE))
    few, many = measured(x, plain, codes=1), measured(x, plain, codes=2000)
    assert many == pytest.approx(float(truth), abs=0.05)
    assert few > many + 0.3


def test_information_is_scikit_learns() -> None:
    first, second = (torch.randint(5, (400,), generator=torch.Generator().manual_seed(s)) for s in (0, 1))
    second = torch.where(first > 2, first, second)
    assert float(information(first, second)) == pytest.approx(mutual_info_score(first.numpy(), second.numpy()))


def test_bins_are_those_of_a_histogram() -> None:
    values = numbers(300, 2)
    counts = [np.histogram(column.numpy(), 7)[0] for column in values.T]
    found = [torch.bincount(column, minlength=7).numpy() for column in binned(values, 7).T]
    assert np.array_equal(counts, found)


def gap(codes: Tensor, factors: Tensor) -> float:
    metric, other = Mig(bins=10), Mig(bins=10)
    metric.update(api.Gaussian(codes[:100], torch.zeros_like(codes[:100])), factors[:100])
    other.update(api.Gaussian(codes[100:], torch.zeros_like(codes[100:])), factors[100:])
    metric.merge([other])
    assert metric.compute() == pytest.approx(np.mean(metric.details()["factors"]))
    return metric.compute()


def test_the_gap_is_large_where_each_factor_has_a_dimension_and_small_where_two_share_it() -> None:
    factors = torch.rand(4000, 2, generator=torch.Generator().manual_seed(0), dtype=DOUBLE)
    apart = torch.cat([-3 * factors, torch.rand_like(factors[:, :1])], 1)
    turned = factors @ torch.tensor([[1.0, 1.0], [-1.0, 1.0]], dtype=DOUBLE)
    assert gap(apart, factors) > 0.95
    assert gap(turned, factors) < 0.05
    assert gap(torch.cat([apart, apart], 1), factors) == pytest.approx(0, abs=1e-9)


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'codes' is at least 1 and 'sigma' above 0, not 0 and 1\.0"):
        IwaeNll(codes=0)
    with pytest.raises(ValueError, match="'bins' is at least 2, not 1"):
        Mig(bins=1)
    with pytest.raises(ValueError, match="a code of 1 dimension"):
        gap(numbers(200, 1), numbers(200, 2))
    with pytest.raises(ValueError, match="one value in all images"):
        gap(numbers(200, 2), torch.ones(200, 2))
