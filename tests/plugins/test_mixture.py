"""The Gaussian mixture that is fitted on codes, against scikit-learn's, and moments, against their definition."""

from __future__ import annotations

import pytest
import torch
from sklearn.mixture import GaussianMixture
from torch import Tensor
from zoo_values.mixture import Mixture
from zoo_values.moments import Moments

from zoo.draws import Draw


def draw(seed: int = 0) -> Draw:
    return Draw(seed, device=torch.device("cpu"), dtype=torch.float32)


def codes() -> Tensor:
    """Three clouds that differ in place, size and direction."""
    at = torch.tensor([[0.0, 0.0, 0.0], [4.0, 1.0, -2.0], [-3.0, 3.0, 1.0]])
    shapes = torch.tensor([[1.0, 0.2, 1.0], [0.5, 1.0, 0.3], [1.0, 1.0, 0.1]])
    which = torch.arange(600) % 3
    return at[which] + shapes[which] * draw(1).normal(600, 3)


def test_it_is_fitted_as_scikit_learn_s_from_the_same_start() -> None:
    found, z = Mixture(3, components=3, iterations=200, tolerance=1e-9), codes()
    found.fit(z, draw())
    begun = torch.cdist(z, found.means).argmin(1)
    means = torch.stack([z[begun == k].mean(0) for k in range(3)]).numpy()
    reference = GaussianMixture(3, means_init=means, tol=1e-9, max_iter=500, reg_covar=1e-6).fit(z.numpy())
    expected = torch.from_numpy(reference.score_samples(z.numpy())).float()
    torch.testing.assert_close(found.log_prob(z), expected, atol=2e-3, rtol=0)
    again = Mixture(3, components=3, iterations=200, tolerance=1e-9)
    again.fit(z, draw())
    assert torch.equal(again.factors, found.factors)  # to the last bit
    sampled = found.sample(20_000, draw(2))
    torch.testing.assert_close(sampled.mean(0), z.mean(0), atol=0.1, rtol=0)
    torch.testing.assert_close(sampled.T.cov(), z.T.cov(), atol=0.3, rtol=0.05)


def test_before_it_is_fitted_it_is_the_standard_normal() -> None:
    z = draw().normal(5, 2, 3)
    normal = torch.distributions.Normal(0.0, 1.0).log_prob(z).flatten(1).sum(1)
    torch.testing.assert_close(Mixture((2, 3)).log_prob(z), normal)
    assert Mixture((2, 3)).sample(4, draw()).shape == (4, 2, 3)


def test_alike_codes_have_a_density_all_the_same() -> None:
    found = Mixture(2, components=2)
    found.fit(torch.ones(50, 2), draw())
    assert found.log_prob(torch.ones(1, 2)).isfinite().all()


@pytest.mark.parametrize(
    ("shape", "each", "over"),
    [((3,), "channel", (0,)), ((5, 3), "channel", (0, 1)), ((3, 2, 2), "channel", (0, 2, 3)), ((3,), "all", (0, 1))],
)
def test_moments_are_mean_and_deviation(shape: tuple[int, ...], each: str, over: tuple[int, ...]) -> None:
    z, module = 3 * draw().normal(40, *shape) + 1, Moments(shape, each=each)
    assert torch.equal(module(z), z)
    module.fit(z)
    torch.testing.assert_close(module.mean.squeeze(), z.mean(over))
    torch.testing.assert_close(module.sigma.squeeze(), z.std(over, unbiased=False))
    torch.testing.assert_close(module.undo(module(z)), z)
