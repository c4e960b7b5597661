"""Moments of vectors that come in batches.

B batch, F features.
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from torch import Tensor
from torch.linalg import cholesky_ex, eigh

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
        self._rows: list[Tensor] = []  # all vectors, while there are no more of them than features
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
        self._keep([vectors])

    def merge(self, other: Self) -> None:
        """Takes in the vectors that another has seen."""
        if other.count:
            self._join(other.count, other.mean, other._squares)
            self._keep(other._rows)

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

    def _keep(self, rows: list[Tensor]) -> None:
        few = not self._diagonal and self.count <= len(self.mean)
        self._rows = [*self._rows, *rows] if few else []

    @classmethod
    def of(cls, mean: Tensor, covariance: Tensor, count: int) -> Self:
        """Those of vectors that somebody else saw, from their mean (F,) and covariance (F, F) over n - 1."""
        moments = cls()
        moments.count, moments.mean = count, mean.double()
        moments._squares = covariance.double() * (count - 1)
        return moments

    def covariance(self, over: Literal["n - 1", "n"] = "n - 1") -> Tensor:
        """(F, F), or the variances (F,)."""
        return self._squares / self._divisor(over)

    def root(self, over: Literal["n - 1", "n"] = "n - 1") -> Tensor:
        """R (F, rank) with R R^T the covariance; of few vectors they themselves, which costs nothing."""
        divisor = self._divisor(over)
        if sum(map(len, self._rows)) != self.count:
            return root(self.covariance(over))
        return (torch.cat(self._rows) - self.mean).T / divisor**0.5

    def _divisor(self, over: Literal["n - 1", "n"]) -> int:
        if self.count < 2:
            what = "variance" if self._diagonal else "covariance"
            raise ValueError(f"a {what} needs at least 2 images, and there are {self.count}")
        return self.count - (over == "n - 1")


def root(covariance: Tensor) -> Tensor:
    """R (F, rank) with R R^T the covariance (F, F) in float64: Cholesky's, or where it has no full rank that of its
    eigenvectors, which takes tens of times as long."""
    rounding = len(covariance) * torch.finfo(covariance.dtype).eps
    factor, failed = cholesky_ex(covariance)
    if not failed and factor.diagonal().square().min() > rounding * covariance.trace():
        return factor
    values, vectors = eigh(covariance)
    there = values > rounding * values[-1]  # few images have few directions
    return vectors[:, there] * values[there].sqrt()
