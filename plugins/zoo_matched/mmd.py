"""The discrepancy between two sets of codes.

Shapes: two sets of codes, (N, ...) and (M, ...), each of K numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor


def mmd(
    z_posterior: Tensor,
    z: Tensor,
    *,
    kernel: Literal["inverse_multiquadric", "gaussian"] = "inverse_multiquadric",
    scales: tuple[float, ...] = (1.0,),
    biased: bool = False,
) -> Tensor:
    """MMD^2 of two sets of codes: E k(a, a') + E k(b, b') - 2 E k(a, b) (Gretton et al. 2012, lemma 6).

    k is a sum over scales s, so at most their number: of C / (C + |a - b|^2) with C = 2 K s, 2 K being what two codes
    of N(0, I) are apart (Tolstikhin et al. 2018, section 4); or of exp(-|a - b|^2 / (K s)) (Zhao et al. 2019).

    Args:
        z_posterior: one set, such as codes of images.
        z: the other, such as codes from the prior.
        kernel: which k.
        scales: s, each more than 0; small ones see near codes alone.
        biased: whether a and a' may be the same code: then never negative, and 0 for equal sets.

    Raises:
        ValueError: no scale, or one that is not more than 0; fewer than two codes of a set where it is not biased.
    """
    if not scales or min(scales) <= 0:
        raise ValueError(f"scales are numbers above 0, at least one, and not {list(scales)}")
    if not biased and min(len(z_posterior), len(z)) < 2:
        raise ValueError("one code has no other to be compared with: give it a batch of at least 2, or 'biased: true'")
    a, b = z_posterior.flatten(1), z.flatten(1)
    within = sum(_kernels(one, one, kernel, scales, biased) for one in (a, b))
    return within - 2 * _kernels(a, b, kernel, scales, biased=True)


def _kernels(a: Tensor, b: Tensor, kernel: str, scales: Sequence[float], biased: bool) -> Tensor:
    """Mean of k over pairs; unless biased, of one set with itself, over pairs of two different codes."""
    squares = (a[:, None] - b[None]).square().sum(2)  # (N, M); not cdist, whose slope at 0 is not a number
    if not biased:
        squares = squares[~torch.eye(len(a), dtype=torch.bool, device=a.device)]
    spread = a.shape[1]
    if kernel == "gaussian":
        return sum(torch.exp(-squares / (spread * s)).mean() for s in scales)
    return sum((2 * spread * s / (2 * spread * s + squares)).mean() for s in scales)
