"""Metrics of a model's likelihood, and of codes against known factors.

B batch, K latent dimensions, F factors.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from zoo import api


class IwaeNll:
    """-log 1/k sum_i p(x, z_i) / q(z_i|x), z_i ~ q: an upper bound of -log p(x) in nats, which falls to it as k grows
    (Burda et al. 2016, eq. 8).

    p(x|z) is N(D(z), sigma^2), with its constant: a density of numbers in [-1, 1], so it may be negative.

    Args:
        codes: k, of each image.
        sigma: standard deviation of the decoder's distribution, as its training has it.

    Raises:
        ValueError: codes less than 1, or sigma not above 0.
    """

    better: ClassVar = "lower"
    computes: ClassVar = {"reconstruction": ("z_posterior",)}

    def __init__(self, *, codes: int = 50, sigma: float = 1.0) -> None:
        if codes < 1 or sigma <= 0:
            raise ValueError(f"'codes' is at least 1 and 'sigma' above 0, not {codes} and {sigma}")
        self._codes, self._sigma = codes, sigma
        self._sum, self._count = 0.0, 0

    def update(
        self, x: Tensor, posterior: api.Gaussian, prior: Any, compute: Callable[..., Any], draw: api.Draw
    ) -> None:
        """Takes a batch in: images (B, ...), the posterior of their codes, the prior, and what decodes."""
        each = []
        for _ in range(self._codes):
            z = posterior.sample(draw)
            again = compute("reconstruction", given={"z_posterior": z})
            seen = api.Gaussian(again, torch.full_like(again, math.log(self._sigma))).log_prob(x)
            each.append((seen + prior.log_prob(z) - posterior.log_prob(z)).double())
        bound = torch.logsumexp(torch.stack(each), 0) - math.log(self._codes)
        self._sum -= float(bound.sum())
        self._count += len(x)

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._sum += other._sum
            self._count += other._count

    def compute(self) -> float:
        """The mean over images so far."""
        return self._sum / self._count

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        return {"codes": self._codes, "sigma": self._sigma, "unit": "nats an image", "range": [-1, 1]}


class Mig:
    """Mutual information gap (Chen et al. 2018, eq. 6): what the best dimension tells of a factor more than the second
    best does, over the factor's entropy; mean over factors, from 0 to 1.

    Codes are the posterior's means; both they and factors of many values are put into equal bins of their range. Every
    factor counts, so one that codes say nothing of, or that lies on a circle, lowers it.

    Args:
        bins: of each dimension and factor.

    Raises:
        ValueError: fewer than two bins.
    """

    better: ClassVar = "higher"

    def __init__(self, *, bins: int = 20) -> None:
        if bins < 2:
            raise ValueError(f"'bins' is at least 2, not {bins}")
        self._bins = bins
        self._codes: list[Tensor] = []
        self._factors: list[Tensor] = []

    def update(self, posterior: api.Gaussian, factors: Tensor) -> None:
        """Takes the posterior of a batch in, (B, K) or of any other shape, and known factors (B, F)."""
        self._codes.append(posterior.mean.flatten(1).double().cpu())
        self._factors.append(factors.double().cpu())

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._codes += other._codes
            self._factors += other._factors

    def compute(self) -> float:
        """The mean gap of all images so far.

        Raises:
            ValueError: a code of one dimension, or a factor that does not vary.
        """
        gaps = self._gaps()
        return float(gaps.mean())

    def details(self) -> dict[str, list[float]]:
        """The gap of each factor."""
        return {"factors": self._gaps().tolist()}

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        return {"codes": "posterior mean", "bins": self._bins, "information": "of equal bins"}

    def _gaps(self) -> Tensor:
        codes, factors = (binned(torch.cat(parts), self._bins) for parts in (self._codes, self._factors))
        if codes.shape[1] < 2:
            raise ValueError("a code of 1 dimension has no second best; set 'latent' to 2 or more")
        tells = torch.stack([information(code, factor) for factor in factors.T for code in codes.T])
        tells = tells.view(factors.shape[1], -1).sort(1, descending=True).values
        entropies = torch.stack([information(factor, factor) for factor in factors.T])
        if not bool((entropies > 0).all()):
            raise ValueError("a factor has one value in all images, so no code can tell of it")
        return (tells[:, 0] - tells[:, 1]) / entropies


def binned(values: Tensor, bins: int) -> Tensor:
    """Numbers (N, D) -> which of equal bins of its column's range each is in, int64."""
    low, high = values.amin(0), values.amax(0)
    return ((values - low) / (high - low).clamp(min=1e-12) * bins).long().clamp(max=bins - 1)


def information(first: Tensor, second: Tensor) -> Tensor:
    """I(a; b) of two rows of bins (N,), in nats; of one with itself its entropy."""
    joint = torch.zeros(int(first.max()) + 1, int(second.max()) + 1, dtype=torch.float64)
    joint.index_put_((first, second), torch.ones(len(first), dtype=torch.float64), accumulate=True)
    joint /= len(first)
    alone = joint.sum(1, keepdim=True) * joint.sum(0, keepdim=True)
    return torch.where(joint > 0, joint * (joint / alone.clamp(min=1e-300)).clamp(min=1e-300).log(), 0.0).sum()
