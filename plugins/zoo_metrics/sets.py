"""Metrics that compare a set of images with the real ones.

B batch, C channels, H, W image sides, F features.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
from torch import Tensor

from zoo_metrics.features import Features
from zoo_metrics.protocols import Change

Split = Literal["test", "train"]


class TwoSets(ABC):
    """Features of the real images of a split, and of others; what becomes of them, a subclass says.

    Args:
        features: of an image.
        split: the real images.
        samples: how many others in all; 0 for one for each real image.
    """

    def __init__(self, features: Features, split: Split, samples: int) -> None:
        if samples < 0:
            raise ValueError(f"samples must be 0, for one for each real image, or more, not {samples}")
        self.features, self.split, self.samples = features, split, samples
        self.n_real = self.n_samples = 0

    def update(self, x: Tensor, sample: Tensor) -> None:
        """Takes a batch in: real images and those to judge, both (B, C, H, W) in [-1, 1]."""
        self.take(self.features(x), real=True)
        self.more(sample)

    def more(self, sample: Tensor) -> None:
        """Takes images to judge alone, (B, C, H, W) in [-1, 1]; there may be none."""
        if len(sample):
            self.take(self.features(sample), real=False)

    def take(self, features: Tensor, real: bool) -> None:
        """Takes the features of a batch in, (B, F)."""
        if real:
            self.n_real += len(features)
        else:
            self.n_samples += len(features)
        self.see(features, real)

    @abstractmethod
    def see(self, features: Tensor, real: bool) -> None:
        """Does with the features of a batch, (B, F), what there is to do."""

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw, after what it saw itself."""
        for other in others:
            self.n_real += other.n_real
            self.n_samples += other.n_samples

    def alternatives(self) -> dict[str, Change]:
        """Single changes to how images are prepared that people make, by what they are called: ``change``'s values."""
        return self.features.view.alternatives()

    @property
    def protocol(self) -> dict[str, Any]:
        """The conditions under which scores of this name may be compared."""
        return {**self.features.protocol, "n_real": self.n_real, "n_samples": self.n_samples, "samples": None}


class TwoClouds(TwoSets):
    """Two sets of which every feature is kept, in float32."""

    def __init__(self, features: Features, split: Split, samples: int) -> None:
        super().__init__(features, split, samples)
        self._clouds: dict[bool, list[Tensor]] = {True: [], False: []}

    def see(self, features: Tensor, real: bool) -> None:
        """Keeps the features of a batch, (B, F)."""
        self._clouds[real].append(features)

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw, after what it saw itself."""
        super().merge(others)
        for other in others:
            for real, features in other._clouds.items():
                self._clouds[real] += features

    def clouds(self, least: int) -> tuple[Tensor, Tensor]:
        """Features of the real images (N, F) and of the others (M, F).

        Raises:
            ValueError: fewer than ``least`` in one of them.
        """
        if min(self.n_real, self.n_samples) < least:
            there = f"{self.n_real} real and {self.n_samples} others"
            raise ValueError(f"it needs at least {least} images in each set, and there are {there}")
        return torch.cat(self._clouds[True]), torch.cat(self._clouds[False])
