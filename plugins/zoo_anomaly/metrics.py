"""How well a score tells one kind of images from another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

import torch
from torch import Tensor


class Auroc:
    """Area under the ROC curve of ``anomaly_score`` for ``novel`` images: the share of pairs, one novel and one known,
    of which the novel one has the higher score; ties count half (Mann & Whitney 1947; Hanley & McNeil 1982).

    1 is a score that tells all, .5 one that tells nothing.
    """

    better: ClassVar = "higher"
    protocol: ClassVar = {"positive": "novel", "ties": "half"}

    def __init__(self) -> None:
        self._scores: list[Tensor] = []
        self._novel: list[Tensor] = []

    def update(self, anomaly_score: Tensor, novel: Tensor) -> None:
        """Takes a batch in: a score each, (B,), and 1 where an image is novel, (B,).

        Raises:
            ValueError: if there is not one score an image.
        """
        if anomaly_score.shape != novel.shape:
            raise ValueError(f"'anomaly_score' is {tuple(anomaly_score.shape)}, not one number for each image")
        self._scores.append(anomaly_score.detach().double().cpu())
        self._novel.append(novel.bool().cpu())

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            self._scores += other._scores
            self._novel += other._novel

    def compute(self) -> float:
        """The area.

        Raises:
            ValueError: if no image is novel, or every one.
        """
        scores, novel = torch.cat(self._scores), torch.cat(self._novel)
        count = int(novel.sum())
        if not 0 < count < len(novel):
            raise ValueError(f"{count} of {len(novel)} test images are novel, and it compares these with the others")
        _, place, ties = scores.unique(return_inverse=True, return_counts=True)
        ranks = (ties.cumsum(0) - (ties - 1) / 2)[place]  # from 1; of ties the mean
        below = float(ranks[novel].sum()) - count * (count + 1) / 2
        return below / (count * (len(novel) - count))
