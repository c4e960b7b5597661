"""Metrics of codes: what a posterior tells, whether codes come back, whether the noise is used.

B batch, K latent dimensions, M draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from zoo import api
from zoo_metrics.statistics import Moments


class ActiveUnits:
    """Latent dimensions whose posterior mean varies over images (Burda et al. 2016, section 5.2): Var_x mu_i(x) > .01.

    Args:
        threshold: the variance above which a dimension is active.
    """

    better: ClassVar = "higher"

    def __init__(self, *, threshold: float = 0.01) -> None:
        self._moments, self._threshold = Moments(diagonal=True), threshold

    def update(self, posterior: api.Gaussian) -> None:
        """Takes the posterior of a batch in, (B, K) or of any other shape, each number of which is a dimension."""
        self._moments.update(posterior.mean.flatten(1))

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._moments.merge(other._moments)

    def compute(self) -> float:
        """How many of K.

        Raises:
            ValueError: fewer than two images.
        """
        return float((self._moments.covariance() > self._threshold).sum())

    def details(self) -> dict[str, list[float]]:
        """The variance of each dimension."""
        return {"variance": self._moments.covariance().tolist()}

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        return {"threshold": self._threshold, "variance": "of posterior means over images, n - 1"}


class Kl:
    """KL(q(z|x) || p(z)), summed over dimensions, mean over images, in nats (Kingma & Welling 2014, section 2.2): the
    prior's closed form, else log q - log p at the sample."""

    protocol: ClassVar = {"prior": "the model's", "unit": "nats", "reduction": "sum over dimensions, mean over images"}

    def __init__(self) -> None:
        self._sum = torch.zeros((), dtype=torch.float64)
        self._count = 0

    def update(self, posterior: api.Gaussian, prior: Any, z_posterior: Tensor) -> None:
        """Takes the posterior of a batch in, (B, K) or of any other shape, and codes from it."""
        if hasattr(prior, "kl"):
            each = prior.kl(api.Gaussian(posterior.mean.double(), posterior.log_sigma.double()))
        else:
            each = (posterior.log_prob(z_posterior) - prior.log_prob(z_posterior))[:, None]
        self._sum = self._sum + each.flatten(1).expand(len(posterior.mean), -1).double().sum(0).cpu()
        self._count += len(posterior.mean)

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._sum = self._sum + other._sum
            self._count += other._count

    def compute(self) -> float:
        """The mean so far."""
        return float(self._sum.sum()) / self._count

    def details(self) -> dict[str, list[float]]:
        """The mean of each dimension, or of all at once where the prior has no closed form."""
        return {"dimensions": (self._sum / self._count).tolist()}


class Cycle:
    """|E(G(z, z_a)) - z|, z from the prior, E the posterior's mean: root mean square over images and dimensions. Ours.

    A posterior that is right comes to the root mean square of its own sigma, which is 0 only where a code says all of
    an image; for z ~ N(0, I), 1 is an encoder that answers 0 to everything.
    """

    better: ClassVar = "lower"
    computes: ClassVar = {"posterior": ("x",)}
    protocol: ClassVar = {"codes": "prior", "error": "root mean square over images and dimensions"}

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    def update(self, z: Tensor, sample: Tensor, compute: Callable[..., Any]) -> None:
        """Takes a batch in: codes, (B, K) or of any other shape, and the images (B, C, H, W) made from them.

        Raises:
            ValueError: the encoder gives codes of another shape.
        """
        back = compute("posterior", given={"x": sample}).mean
        if back.shape != z.shape:
            raise ValueError(f"the posterior's codes are {tuple(back.shape)}, and those of the prior {tuple(z.shape)}")
        self._sum += float((back.double() - z.double()).square().sum())
        self._count += z.numel()

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._sum += other._sum
            self._count += other._count

    def compute(self) -> float:
        """The error so far."""
        return math.sqrt(self._sum / self._count)


class NoiseUse:
    """How much of the samples' variance is the noise's: E_z Var(G(z, z_a) | z) / Var G(z, z_a), over pixels. Ours.

    By the law of total variance it lies between 0, a generator that ignores z_a, and 1, one that ignores z. Both
    variances are unbiased, so where z is ignored it may come out a little above 1.

    Args:
        noise: A, dimensions of z_a.
        draws: M, noises drawn for each code.

    Raises:
        ValueError: the recipe has no noise, or fewer than two draws.
    """

    computes: ClassVar = {"sample": ("z", "noise")}

    def __init__(self, noise: int, *, draws: int = 4) -> None:
        if not noise:
            raise ValueError("the recipe's noise has 0 dimensions, so there is none to use")
        if draws < 2:
            raise ValueError(f"draws must be at least 2, not {draws}")
        self._draws = draws
        self._all = Moments(diagonal=True)
        self._within, self._count = 0.0, 0

    def update(self, z: Tensor, compute: Callable[..., Any]) -> None:
        """Takes codes in, (B, K) or of any other shape."""
        drawn = [compute("sample", given={"z": z}, draw=draw).flatten(1) for draw in range(self._draws)]
        self._within += float(torch.stack(drawn).double().var(0).mean(1).sum())  # over M, (B, C H W)
        self._count += len(z)
        self._all.update(drawn[0])

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._within += other._within
            self._count += other._count
            self._all.merge(other._all)

    def compute(self) -> float:
        """The ratio so far.

        Raises:
            ValueError: fewer than two images, or samples that are all the same.
        """
        total = float(self._all.covariance().mean())
        if not total:
            raise ValueError("all samples are the same image, so nothing varies")
        return self._within / self._count / total

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        return {"codes": "prior", "range": [-1, 1], "draws": self._draws, "variance": "mean over pixels, n - 1"}
