"""Metrics by nearest neighbours in a feature space: how much of the samples is real, of the real ones covered.

N real images, M samples, F features, k neighbours.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from zoo_metrics.features import INCEPTION, Features
from zoo_metrics.protocols import PROTOCOLS, Protocol
from zoo_metrics.sets import Split, TwoClouds

ROWS, COLUMNS = 512, 8192
"""Distances are taken in blocks of so many."""


class Balls(TwoClouds):
    """Each image of a set has a ball that reaches to its k-th nearest other image of that set."""

    better: ClassVar = "higher"

    def __init__(self, features: Features, split: Split, samples: int, k: int) -> None:
        super().__init__(features, split, samples)
        if k < 1:
            raise ValueError(f"k must be at least 1, not {k}")
        self.k = k

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        return {**super().protocol, "k": self.k, "distance": "Euclidean, balls closed"}


class ThirdNeighbour(Balls):
    """Balls that reach to the third neighbour, as Kynkäänniemi et al. 2019 choose them."""

    def __init__(
        self,
        *,
        model: str = "inception",
        protocol: Literal["torch-fidelity", "adm"] = "torch-fidelity",
        pretrained: bool | str = True,
        download: bool = False,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
        k: int = 3,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        """Makes it.

        Args:
            model: ``inception`` (FID's InceptionV3), ``lite0`` (the packaged EfficientNet-Lite0), or a timm model.
            protocol: whose it is, on Inception; ADM's is torch-fidelity's.
            pretrained: true for the published weights; the path of a file; or false for random features (timm's alone).
            download: whether Inception's weights may be downloaded, 95 MB, once.
            split: the real images.
            samples: how many images to judge; 0 for one for each real image.
            k: the neighbour that a ball reaches to.
            change: what is done otherwise, such as ``{filter: bicubic}`` (docs/scores.md).

        Raises:
            ValueError: unknown model, or weights that are not there.
        """
        view = PROTOCOLS[protocol] if model == INCEPTION else Protocol(model)
        super().__init__(Features(model, pretrained, None, download, view.changed(change)), split, samples, k)


class FifthNeighbour(Balls):
    """Balls that reach to the fifth neighbour, as Naeem et al. 2020 choose them."""

    def __init__(
        self,
        *,
        model: str = "inception",
        pretrained: bool | str = True,
        download: bool = False,
        split: Literal["test", "train"] = "test",
        samples: int = 0,
        k: int = 5,
        change: dict[str, str | int | bool] | None = None,
    ) -> None:
        """Makes it.

        Args:
            model: ``inception`` (FID's InceptionV3), ``lite0`` (the packaged EfficientNet-Lite0), or a timm model.
            pretrained: true for the published weights; the path of a file; or false for random features (timm's alone).
            download: whether Inception's weights may be downloaded, 95 MB, once.
            split: the real images.
            samples: how many images to judge; 0 for one for each real image.
            k: the neighbour that a ball reaches to.
            change: what is done otherwise, such as ``{filter: bicubic}`` (docs/scores.md).

        Raises:
            ValueError: unknown model, or weights that are not there.
        """
        view = PROTOCOLS["torch-fidelity"] if model == INCEPTION else Protocol(model)
        super().__init__(Features(model, pretrained, None, download, view.changed(change)), split, samples, k)


class Precision(ThirdNeighbour):
    """Fraction of samples that lie in the ball of a real image (Kynkäänniemi et al. 2019, eq. 2): are they real?"""

    def compute(self) -> float:
        """In [0, 1]."""
        real, made = self.clouds(least=self.k + 1)
        return precision(real, made, self.k)


class Recall(ThirdNeighbour):
    """Fraction of real images that lie in the ball of a sample (Kynkäänniemi et al. 2019, eq. 2): is all there?"""

    def compute(self) -> float:
        """In [0, 1]."""
        real, made = self.clouds(least=self.k + 1)
        return precision(made, real, self.k)


class Density(FifthNeighbour):
    """Real balls that a sample lies in, over k, on average (Naeem et al. 2020, eq. 3); it may exceed 1."""

    def compute(self) -> float:
        """1 where samples are as the real images are."""
        real, made = self.clouds(least=self.k + 1)
        return density(real, made, self.k)


class Coverage(FifthNeighbour):
    """Fraction of real images in whose ball there is a sample (Naeem et al. 2020, eq. 4)."""

    def compute(self) -> float:
        """In [0, 1]."""
        real, made = self.clouds(least=self.k + 1)
        return coverage(real, made, self.k)


def precision(centres: Tensor, others: Tensor, k: int) -> float:
    """Fraction of ``others`` (M, F) in the ball of one of ``centres`` (N, F) or more."""
    reach = radii(centres, k)
    return float(torch.cat([(d <= reach).any(1) for d in distances(others, centres)]).double().mean())


def density(real: Tensor, made: Tensor, k: int) -> float:
    """Balls of ``real`` (N, F) that one of ``made`` (M, F) lies in, over k, on average."""
    reach = radii(real, k)
    return float(torch.cat([(d <= reach).sum(1) for d in distances(made, real)]).double().mean()) / k


def coverage(real: Tensor, made: Tensor, k: int) -> float:
    """Fraction of ``real`` (N, F) in whose ball there is one of ``made`` (M, F)."""
    nearest = torch.cat([d.amin(1) for d in distances(real, made)])
    return float((nearest <= radii(real, k)).double().mean())


def radii(cloud: Tensor, k: int) -> Tensor:
    """Distance of each of a cloud (N, F) to its k-th nearest other, (N,)."""
    return torch.cat([d.kthvalue(k + 1).values for d in distances(cloud, cloud)])  # the nearest of all is itself


def distances(a: Tensor, b: Tensor) -> Iterator[Tensor]:
    """Euclidean distances of (N, F) to (M, F), some rows (R, M) at a time, in float64."""
    for rows in a.split(ROWS):
        yield torch.cat([torch.cdist(rows.double(), columns.double()) for columns in b.split(COLUMNS)], 1)
