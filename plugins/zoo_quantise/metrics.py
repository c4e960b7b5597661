"""How much of a codebook is in use, over a whole split."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from zoo_quantise.quantised import Quantised, Quantiser, perplexity


class _Counts:
    """Counts of the entries that codes were given."""

    better: ClassVar = "higher"
    quick: ClassVar = True

    def __init__(self) -> None:
        self._counts: list[Tensor] = []

    def update(self, quantised: Quantised, quantiser: Quantiser) -> None:
        """Takes a batch in."""
        index = quantised.index.unbind(1)
        now = [torch.bincount(i.flatten(), minlength=n).cpu() for i, n in zip(index, quantiser.sizes, strict=True)]
        self._counts = [a + b for a, b in zip(self._counts, now, strict=True)] if self._counts else now

    def merge(self, others: Sequence[Self]) -> None:
        """Takes in what others of its kind saw."""
        for other in others:
            if other._counts:
                pairs = zip(self._counts, other._counts, strict=True)
                self._counts = [a + b for a, b in pairs] if self._counts else other._counts

    def details(self) -> dict[str, Any]:
        """By codebook: how many entries, how many in use, their perplexity, and the codes that were counted."""
        return {
            "entries": [len(c) for c in self._counts],
            "used": [int((c > 0).sum()) for c in self._counts],
            "perplexity": [perplexity(c) for c in self._counts],
            "codes": [int(c.sum()) for c in self._counts],
        }


class Usage(_Counts):
    """The share of a codebook's entries that some code of the split was given, from 0 to 1; of several the mean."""

    protocol: ClassVar = {"counted": "entries that one code or more was given, over all codes of the split"}

    def compute(self) -> float:
        """The share."""
        return sum(float((c > 0).double().mean()) for c in self._counts) / len(self._counts)


class Perplexity(_Counts):
    """exp H of entries' shares, from 1 to N (van den Oord et al. 2017): as many, used alike, tell as much.

    Of several codebooks the mean.
    """

    protocol: ClassVar = {"counted": "exp of the entropy of entries' shares, over all codes of the split"}

    def compute(self) -> float:
        """The number of entries."""
        return sum(perplexity(c) for c in self._counts) / len(self._counts)
