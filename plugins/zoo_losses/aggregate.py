"""Terms of codes as a set: how many nats they may cost, how they vary together, how their density falls into parts.

B batch, K dimensions of a code, whatever its shape; N training images. q(z) is the mean of q(z|x) over these.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor

from zoo import api
from zoo_losses.terms import kl


def capacity(posterior: api.Gaussian, prior: Any, z_posterior: Tensor, *, nats: api.Scheduled = 25.0) -> Tensor:
    """|KL(q(z|x) || p(z)) - C|, of the batch's mean KL: codes are to cost C nats (Burgess et al. 2018, eq. 8).

    Args:
        posterior: q, of codes (B, K) or of any other shape.
        prior: p, as ``kl`` takes it.
        z_posterior: codes from q.
        nats: C, which rises from 0.

    Raises:
        ValueError: if C is negative.
    """
    if nats < 0:
        raise ValueError(f"'nats' is at least 0, not {nats}: no code costs less")
    return (kl(posterior, prior, z_posterior) - nats).abs()


def code_covariance(posterior: api.Gaussian, *, of: Literal["codes", "means"] = "codes") -> Tensor:
    """Cov(mu) + E diag sigma^2, the covariance of codes z ~ q(z), or Cov(mu) alone (Kumar et al. 2018, eq. 5), (K, K).

    Args:
        posterior: q(z|x) of a batch.
        of: ``codes`` for DIP-VAE II, ``means`` for DIP-VAE I.

    Raises:
        ValueError: a batch of one code.
    """
    mean = _several(posterior.mean.flatten(1))
    apart = mean - mean.mean(0)
    covariance = apart.T @ apart / len(mean)
    return covariance if of == "means" else covariance + (2 * posterior.log_sigma.flatten(1)).exp().mean(0).diag()


def covariance_off_diagonal(code_covariance: Tensor) -> Tensor:
    """sum over i != j of Cov_ij^2 (Kumar et al. 2018, eq. 6, 7), a scalar."""
    return code_covariance.square().sum() - code_covariance.diagonal().square().sum()


def covariance_diagonal(code_covariance: Tensor) -> Tensor:
    """sum_i (Cov_ii - 1)^2 (Kumar et al. 2018, eq. 6, 7), a scalar."""
    return (code_covariance.diagonal() - 1).square().sum()


def code_log_densities(posterior: api.Gaussian, z_posterior: Tensor) -> Tensor:
    """log q(z_ik|x_j), the code of image i by the posterior of image j, each dimension by itself, (B, B, K), nats.

    Args:
        posterior: q(z|x), of codes (B, K) or of any other shape.
        z_posterior: codes from it.

    Raises:
        ValueError: a batch of one code.
    """
    mean, log_sigma, z = (_several(t.flatten(1)) for t in (posterior.mean, posterior.log_sigma, z_posterior))
    squares = (z[:, None] - mean[None]).square() * (-2 * log_sigma).exp()
    return -0.5 * squares - log_sigma - 0.5 * math.log(2 * math.pi)


def code_information(code_log_densities: Tensor, train_size: int) -> Tensor:
    """log q(z|x) - log q(z): what codes tell of which image it is (Chen et al. 2018, eq. 2), nats, a scalar.

    log q(z) is estimated of a batch by minibatch weighting, log sum_j q(z|x_j) - log(N B) (Chen et al. 2018, 3.1).

    Args:
        code_log_densities: (B, B, K).
        train_size: N.
    """
    own = code_log_densities.sum(2).diagonal()
    return (own - _joint(code_log_densities, train_size)).mean()


def total_correlation(code_log_densities: Tensor, train_size: int) -> Tensor:
    """log q(z) - sum_k log q(z_k), by minibatch weighting: 0 of independent dimensions (Chen et al. 2018, eq. 2).

    In nats, a scalar; the estimate is lower than what it estimates, and may be negative.

    Args:
        code_log_densities: (B, B, K).
        train_size: N.
    """
    return (_joint(code_log_densities, train_size) - _marginals(code_log_densities, train_size)).mean()


def dimension_kl(code_log_densities: Tensor, train_size: int, prior: Any, z_posterior: Tensor) -> Tensor:
    """sum_k log q(z_k) - log p(z_k), by minibatch weighting (Chen et al. 2018, eq. 2), nats, a scalar.

    With ``code_information`` and ``total_correlation`` it comes to log q(z|x) - log p(z), whose mean is the KL.

    Args:
        code_log_densities: (B, B, K).
        train_size: N.
        prior: p, whose dimensions are independent; ``log_prob(z)`` gives (B,).
        z_posterior: the codes.
    """
    return (_marginals(code_log_densities, train_size) - prior.log_prob(z_posterior)).mean()


def _joint(densities: Tensor, count: int) -> Tensor:
    """log q(z), (B,)."""
    return torch.logsumexp(densities.sum(2), 1) - math.log(count * len(densities))


def _marginals(densities: Tensor, count: int) -> Tensor:
    """sum_k log q(z_k), (B,)."""
    return (torch.logsumexp(densities, 1) - math.log(count * len(densities))).sum(1)


def code_norm(z_posterior: Tensor, *, per: Literal["item", "number"] = "item") -> Tensor:
    """|z|^2 / 2, what keeps a deterministic autoencoder's codes together (Ghosh et al. 2020, eq. 11), a scalar.

    It is KL(N(z, I) || N(0, I)) too, in nats: what codes cost that have noise of deviation 1 (Liu et al. 2017, eq. 3).

    Args:
        z_posterior: codes (B, K) or of any other shape.
        per: ``item``, the sum over all but the batch; ``number``, the mean over a code's numbers.
    """
    return 0.5 * z_posterior.square().sum() / (z_posterior.numel() if per == "number" else len(z_posterior))


def codes_permuted(z_posterior: Tensor, draw: api.Draw) -> Tensor:
    """Codes of the batch, each dimension in an order of its own: of prod_k q(z_k) (Kim & Mnih 2018, algorithm 1).

    Args:
        z_posterior: codes (B, K) or of any other shape.
        draw: a number for each code and dimension, whose order it is.

    Raises:
        ValueError: a batch of one code.
    """
    codes = _several(z_posterior.flatten(1))
    return codes.gather(0, draw.uniform(*codes.shape).argsort(0)).view_as(z_posterior)


def _several(codes: Tensor) -> Tensor:
    """The codes of a batch, where there are two or more."""
    if len(codes) < 2:
        raise ValueError("a batch of one code tells nothing of how codes are spread: set train.batch to 2 or more")
    return codes
