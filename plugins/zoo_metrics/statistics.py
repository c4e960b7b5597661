"""Moments of vectors that come in batches.

B batch, F features.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor

Size = int | tuple[int, int]
"""Of images: the side of a square, or height and width."""


def shorter(size: Size) -> int:
    """The shorter side."""
    return size if isinstance(size, int) else min(size)


class Moments:
    """Mean (F,) and covariance of vectors that come in batches, in float64 (Chan et al. 1983, eq. 2.1).

    Args:
        diagonal: whether variances alone are kept, (F,), rather than the covariance, (F, F).
    """

    def __init__(self, diagonal: bool = False) -> None:
        self.count = 0
        self.mean = torch.zeros(0, dtype=torch.float64)
        self._diagonal = diagonal
        self._squares = torch.zeros(0, dtype=torch.float64)  # sum of (v - mean)(v - mean)^T, or its diagonal

    def update(self, vectors: Tensor) -> None:
        """Takes (B, F) in."""
        if not len(vectors):
            return
        vectors = vectors.detach().cpu().double()
        mean = vectors.mean(0)
        centred = vectors - mean
        squares = centred.square().sum(0) if self._diagonal else centred.T @ centred
        self._join(len(vectors), mean, squares)

    def merge(self, other: Self) -> None:
        """Takes in the vectors that another has seen."""
        if other.count:
            self._join(other.count, other.mean, other._squares)

    def _join(self, n: int, mean: Tensor, squares: Tensor) -> None:
        """Takes in n vectors with their mean and the sum of squares about it."""
        if not self.count:
            self.count, self.mean, self._squares = n, mean, squares
            return
        count, shift = self.count + n, mean - self.mean
        between = shift.square() if self._diagonal else torch.outer(shift, shift)
        self._squares = self._squares + (squares + between * (self.count * n / count))
        self.mean = self.mean + shift * (n / count)
        self.count = count

    @classmethod
    def of(cls, mean: Tensor, covariance: Tensor, count: int) -> Self:
        """Those of vectors that somebody else saw, from their mean (F,) and covariance (F, F) over n - 1."""
        moments = cls()
        moments.count, moments.mean = count, mean.double()
        moments._squares = covariance.double() * (count - 1)
        return moments

    def covariance(self, over: Literal["n - 1", "n"] = "n - 1") -> Tensor:
        """(F, F), or the variances (F,)."""
        if self.count < 2:
            what = "variance" if self._diagonal else "covariance"
            raise ValueError(f"a {what} needs at least 2 images, and there are {self.count}")
        return self._squares / (self.count - (over == "n - 1"))
