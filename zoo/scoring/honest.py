"""What a number is worth: its bias where images are few, its spread, and what it would be of infinitely many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.draws import seeded
from zoo.metrics.metric import optional
from zoo.scoring.clouds import Cloud
from zoo.scoring.measure import fill
from zoo.scoring.sets import Source

POINTS = 5
"""Sizes that a number is extrapolated from, evenly spaced in 1 / n, from half of the images to all."""
Remade = Callable[[], Any]
"""Makes a metric anew, that has seen nothing."""


@dataclass(frozen=True)
class Measured:
    """A metric and what it was shown, so that it can be shown some of that.

    Args:
        remade: makes it anew.
        judged: features of the images that are judged.
        reference: those of the others; None where published statistics stand for them.
        source: the others.
    """

    remade: Remade
    judged: Cloud
    reference: Cloud | None
    source: Source

    @property
    def clouds(self) -> list[Cloud]:
        """Those that images can be taken from."""
        return [cloud for cloud in (self.judged, self.reference) if cloud]

    @property
    def few(self) -> bool:
        """Whether a set has no more images than features."""
        return any(cloud.shape[0] <= cloud.shape[1] for cloud in self.clouds)

    def of(self, *which: Callable[[int], Tensor]) -> float:
        """The number of some images alone, ``which(n)`` of the n of each set; one for both, or one for each."""
        chosen = which * 2 if len(which) == 1 else which
        parts = [cloud.rows(some(cloud.shape[0])) for cloud, some in zip(self.clouds, chosen, strict=False)]
        return self.number(self.remade(), *parts)

    def number(self, metric: Any, judged: Iterable[Tensor], reference: Iterable[Tensor] = ()) -> float:
        """The number of such a metric, of features block by block; published statistics stand for no reference."""
        take_reference = None if self.reference else optional(metric, "reference")
        if take_reference and self.source.statistics:
            take_reference(self.source.statistics)
        return float(fill(metric, judged, reference).compute())


def bias(measured: Measured, value: float) -> float:
    """How much a number is too high because images are few, about: half as many of them add that much again.

    The bias of a Fréchet distance falls as 1 / n (Chong & Forsyth 2020), so d(n / 2) - d(n) = bias(n).
    """
    return measured.of(lambda n: torch.arange(0, n, 2)) - value


def interval(measured: Measured, value: float, draws: int, seed: int) -> dict[str, float]:
    """Between what the number lies in 95 of 100 cases, as far as the choice of images goes, by bootstrap.

    Images drawn twice make few look fewer, so the draws' mean is off; their spread about it is what is used.
    """
    found = []
    for draw in range(draws):
        generator = seeded("bootstrap", seed, draw)
        found.append(measured.of(partial(_drawn, generator)))
    low, high = np.quantile(found, (0.025, 0.975)) - np.mean(found)
    return {"low": value + float(low), "high": value + float(high), "draws": draws}


def extrapolated(measured: Measured, value: float, seed: int) -> float:
    """The number of infinitely many images: a line in 1 / n through those of some sizes (Chong & Forsyth 2020)."""
    found, inverse = [value], [1.0]
    for point in range(1, POINTS):
        share = 1 / (1 + point / (POINTS - 1))
        generator = seeded("extrapolate", seed, point)
        found.append(measured.of(partial(_some, generator, share)))
        inverse.append(1 / share)
    return float(np.polyfit(inverse, found, 1)[1])


def _drawn(generator: torch.Generator, n: int) -> Tensor:
    return torch.randint(n, (n,), generator=generator).sort().values


def _some(generator: torch.Generator, share: float, n: int) -> Tensor:
    return torch.randperm(n, generator=generator)[: int(n * share)]
