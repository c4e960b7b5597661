"""Metrics, each with one fault."""
# ruff: noqa: ARG002

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

COUNTER = itertools.count()


class Unshared:
    """A good metric that one process measures alone."""

    better: ClassVar[str] = "lower"
    protocol: ClassVar[dict[str, Any]] = {"reduction": "mean"}

    def __init__(self, *, power: float = 2.0) -> None:
        """Mean error.

        Args:
            power: of it.
        """
        self.power, self.sum, self.count = power, 0.0, 0

    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        self.sum += (x - reconstruction).abs().pow(self.power).double().sum().item()
        self.count += x.numel()

    def compute(self) -> float:
        return self.sum / self.count


class metric_good(Unshared):
    def merge(self, others: Sequence[Self]) -> None:
        self.sum += sum(other.sum for other in others)
        self.count += sum(other.count for other in others)


class metric_signature(metric_good):
    """Asks for a size that there is not."""

    def __init__(self, colour: int) -> None:
        super().__init__()


class metric_options_documented(metric_good):
    def __init__(self, *, power: float = 2.0) -> None:
        super().__init__(power=power)


class metric_options_round_trip(metric_good):
    """Mean error.

    Args:
        power: of it.
    """

    def __init__(self, *, power: int = 2.5) -> None:
        super().__init__(power=power)


class metric_example(metric_good):
    """Mean error.

    Args:
        power: of it.
    """

    def __init__(self, *, power: float) -> None:
        super().__init__(power=power)


class metric_score(metric_good):
    def compute(self) -> float:
        return float("inf")


class metric_streaming(metric_good):
    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        self.sum += (x - reconstruction).square().mean().item()
        self.count += 1


class metric_determinism(metric_good):
    def compute(self) -> float:
        return super().compute() * (1 + 1e-9 * next(COUNTER))


class metric_protocol(metric_good):
    protocol: ClassVar[dict[str, Any]] = {"features": torch.zeros(3)}


class metric_better(metric_good):
    better: ClassVar[str] = "up"


class metric_inputs_untouched(Unshared):
    def update(self, x: Tensor, reconstruction: Tensor) -> None:
        super().update(x, reconstruction)
        reconstruction.add_(1)


class metric_device_move(metric_good):
    def __init__(self) -> None:
        super().__init__()
        self.sum = torch.zeros(()).tolist()


class metric_merging(metric_good):
    def merge(self, others: Sequence[Self]) -> None:
        super().merge(others[:1])


class metric_travelling(metric_good):
    def __init__(self) -> None:
        super().__init__()
        self.network = nn.Identity()


class metric_no_global_side_effect(metric_good):
    def compute(self) -> float:
        os.environ["ZOO_BAD"] = str(next(COUNTER))
        return super().compute()
