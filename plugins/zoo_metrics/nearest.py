"""How near samples are to training images.

B batch, N test images and samples kept, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from zoo_metrics.features import Features
from zoo_metrics.neighbours import distances

PIXELS = "pixels"
SHOWN = 16
"""Samples whose neighbours are told."""


class Nearest:
    """Mean distance of samples to their nearest training image, over that of test images to theirs.

    1 is what a model that does not copy gives; far below 1, its samples are training images. A mean in place of the
    rank test of Meehan et al. 2020 ("A non-parametric test to detect data-copying"), section 3.

    Args:
        model: where distances are taken: ``pixels``, ``inception`` (FID's InceptionV3), ``lite0``, or a timm model.
        pretrained: true for the published weights; the path of a file; or false for random features (timm's alone).
        download: whether Inception's weights may be downloaded, 95 MB, once.
        n: test images and samples, the first ones.

    Raises:
        ValueError: unknown model, weights that are not there, or no images.
    """

    better: ClassVar = "one"

    def __init__(
        self, *, model: str = "pixels", pretrained: bool | str = True, download: bool = False, n: int = 1000
    ) -> None:
        if n < 1:
            raise ValueError(f"n must be at least 1, not {n}")
        self._features = None if model == PIXELS else Features(model, pretrained, None, download)
        self._n = n
        self._kept: tuple[list[Tensor], list[Tensor]] = ([], [])
        self._found: tuple[_Found, _Found] | None = None
        self._seen = 0

    def update(self, x: Tensor, sample: Tensor) -> None:
        """Takes a batch in: test images and samples, both (B, C, H, W) in [-1, 1]."""
        for kept, images in zip(self._kept, (x, sample), strict=True):
            left = self._n - sum(map(len, kept))
            if left > 0:
                kept.append(self._vectors(images)[:left])

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind kept, after what it kept itself, before any training images."""
        for mine, *theirs in zip(self._kept, *(other._kept for other in others), strict=True):
            first = torch.cat([*mine, *(vectors for kept in theirs for vectors in kept)])[: self._n]
            mine[:] = [first]

    def training(self, x: Tensor) -> None:
        """Takes training images in, (B, C, H, W) in [-1, 1], after the last update."""
        if self._found is None:
            test, samples = (torch.cat(kept) for kept in self._kept)
            self._found = _Found(test), _Found(samples)
        vectors = self._vectors(x)
        for found in self._found:
            found.update(vectors, self._seen)
        self._seen += len(x)

    def merge_training(self, others: Sequence[Self]) -> None:
        """Takes in the training images that others saw, who kept the same vectors; they come after its own."""
        for other in others:
            for mine, theirs in zip(self._found or (), other._found or (), strict=True):
                mine.take(theirs.distance, theirs.index + self._seen)
            self._seen += other._seen

    def __getstate__(self) -> dict[str, Any]:
        """Without what was kept, once training images have come: then all of its kind have the same."""
        return {**self.__dict__, "_kept": ([], [])} if self._found else self.__dict__

    def compute(self) -> float:
        """The ratio.

        Raises:
            ValueError: test images that are all training images.
        """
        test, samples = self._found or (None, None)
        if test is None or samples is None:
            raise ValueError("it has been given no training images")
        if not float(test.distance.mean()):
            raise ValueError("every test image is a training image too, so there is no distance to compare with")
        return float(samples.distance.mean() / test.distance.mean())

    def details(self) -> dict[str, list[float] | list[int]]:
        """Of the first samples of the first batch, the nearest training image and its distance."""
        samples = self._found[1] if self._found else None
        if samples is None:
            return {}
        return {"nearest": samples.index[:SHOWN].tolist(), "distance": samples.distance[:SHOWN].tolist()}

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        n_real, n_samples = (sum(map(len, kept)) for kept in self._kept)
        counts = {"n": n_real, "n_real": n_real, "n_samples": n_samples, "n_train": self._seen, "distance": "Euclidean"}
        space = self._features.protocol if self._features else {"model": PIXELS, "pretrained": None, "download": None}
        return {**space, **counts}

    def _vectors(self, images: Tensor) -> Tensor:
        return self._features(images) if self._features else images.detach().float().flatten(1).cpu()


class _Found:
    """The nearest so far of each vector.

    Args:
        vectors: (N, F).
    """

    def __init__(self, vectors: Tensor) -> None:
        self._vectors = vectors
        self.distance = torch.full((len(vectors),), float("inf"), dtype=torch.float64)
        self.index = torch.zeros(len(vectors), dtype=torch.long)

    def update(self, others: Tensor, first: int) -> None:
        """Looks at (B, F) more, numbered from ``first``."""
        blocks = [block.min(1) for block in distances(self._vectors, others)]
        distance = torch.cat([block.values for block in blocks])
        self.take(distance, torch.cat([block.indices for block in blocks]) + first)

    def take(self, distance: Tensor, index: Tensor) -> None:
        """Takes in the nearest of other vectors, (N,) and (N,); of two as near the first remains."""
        nearer = distance < self.distance
        self.distance = torch.where(nearer, distance, self.distance)
        self.index = torch.where(nearer, index, self.index)

    def __getstate__(self) -> dict[str, Any]:
        """Without the vectors, which every process has."""
        return {**self.__dict__, "_vectors": None}
