"""Whether samples that were asked for by class are of it, as a classifier says that no model has a part in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from zoo_metrics.features import Features

PIXELS, SIDE = "pixels", 16
"""Name of the features that are an image's numbers themselves, and the longest side that it then has."""
SHRINKAGE = 0.05
"""Share of the covariance that is that of independent numbers of one variance."""


class ClassAccuracy:
    """Share of samples, one for each test image and of its class, that a classifier says are of that class.

    The classifier is linear discriminant analysis (Fisher 1936; of a shrunk covariance, Ledoit & Wolf 2004) of the
    training images' features: fitted anew at each evaluation, the same for every model of the same data, and known to
    no row. ``details`` have its accuracy on the test images: what samples as good as images would score. A sample that
    is clearly of its class scores, however little the samples of a class differ.

    Args:
        model: ``pixels``, the image itself, averaged to at most 16 px a side; or ``lite0`` (the packaged
            EfficientNet-Lite0), or a name of ``timm.list_models()``.
        pretrained: of a network: true for the published weights; the path of a file; or false for random features.

    Raises:
        ValueError: unknown model, or weights that are not there.
    """

    better: ClassVar = "higher"

    def __init__(self, *, model: str = "pixels", pretrained: bool | str = True) -> None:
        self._features = None if model == PIXELS else Features(model, pretrained, None, download=False)
        self._tests: list[tuple[Tensor, Tensor, Tensor]] = []
        self._counts: dict[int, int] = {}
        self._sums: dict[int, Tensor] = {}
        self._squares: Tensor | None = None

    def update(self, x: Tensor, label: Tensor, sample: Tensor) -> None:
        """Takes a batch in: test images (B, C, H, W), their classes (B,), and samples of these classes."""
        self._tests.append((label.cpu(), self._of(x), self._of(sample)))

    def training(self, x: Tensor, label: Tensor) -> None:
        """Takes training images in, (B, C, H, W), and their classes (B,)."""
        features = self._of(x)
        for one in label.unique().tolist():
            own = features[(label == one).cpu()]
            self._counts[one] = self._counts.get(one, 0) + len(own)
            self._sums[one] = self._sums.get(one, torch.zeros(())) + own.sum(0)
        square = features.T @ features
        self._squares = square if self._squares is None else self._squares + square

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw of the test images."""
        self._tests += [one for other in others for one in other._tests]

    def merge_training(self, others: Sequence[Self]) -> None:
        """Takes in what others saw of the training images."""
        for other in others:
            for one, count in other._counts.items():
                self._counts[one] = self._counts.get(one, 0) + count
                self._sums[one] = self._sums.get(one, torch.zeros(())) + other._sums[one]
            if other._squares is not None:
                self._squares = other._squares if self._squares is None else self._squares + other._squares

    def compute(self) -> float:
        """The share of all samples so far.

        Raises:
            ValueError: training images of fewer than two classes.
        """
        return self._right(2)

    def details(self) -> dict[str, float]:
        """The classifier's accuracy on the test images themselves."""
        return {"test images": self._right(1)}

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        seen = f"pixels, at most {SIDE} px a side" if self._features is None else self._features.protocol
        return {
            "classifier": f"linear discriminant analysis of training images, shrinkage {SHRINKAGE}",
            "features": seen,
        }

    def _right(self, which: int) -> float:
        classes, weights, offsets = self._fitted()
        right = [classes[(test[which] @ weights + offsets).argmax(1)] == test[0] for test in self._tests]
        return float(torch.cat(right).double().mean())

    def _fitted(self) -> tuple[Tensor, Tensor, Tensor]:
        """The classes there are, (K,), and what each says of features: weights (F, K) and offsets (K,)."""
        if len(self._counts) < 2 or self._squares is None:
            raise ValueError(f"a classifier needs two classes, and the training images are of {len(self._counts)}")
        classes = torch.tensor(sorted(self._counts))
        counts = torch.tensor([self._counts[one] for one in classes.tolist()], dtype=torch.float64)
        means = torch.stack([self._sums[one] for one in classes.tolist()]) / counts[:, None]
        within = (self._squares - means.T @ (counts[:, None] * means)) / counts.sum()
        even = within.diagonal().mean() * torch.eye(len(within), dtype=torch.float64)
        weights = torch.linalg.solve((1 - SHRINKAGE) * within + SHRINKAGE * even, means.T)
        return classes, weights, (counts / counts.sum()).log() - 0.5 * (means.T * weights).sum(0)

    def _of(self, images: Tensor) -> Tensor:
        """Features (B, F) of images, in float64 on the CPU."""
        if self._features is not None:
            return self._features(images).double()
        sides = [min(side, SIDE) for side in images.shape[2:]]
        return adaptive_avg_pool2d(images.double(), sides).flatten(1).cpu()
