"""Moments of vectors that come in batches.

B batch, F features.
"""

from __future__ import annotations

import torch
from torch import Tensor


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
        if not self.count:
            self.count, self.mean, self._squares = len(vectors), mean, squares
            return
        count, shift = self.count + len(vectors), mean - self.mean
        between = shift.square() if self._diagonal else torch.outer(shift, shift)
        self._squares += squares + between * (self.count * len(vectors) / count)
        self.mean = self.mean + shift * (len(vectors) / count)
        self.count = count

    def covariance(self) -> Tensor:
        """(F, F), or the variances (F,), over n - 1."""
        if self.count < 2:
            what = "variance" if self._diagonal else "covariance"
            raise ValueError(f"a {what} needs at least 2 images, and there are {self.count}")
        return self._squares / (self.count - 1)
