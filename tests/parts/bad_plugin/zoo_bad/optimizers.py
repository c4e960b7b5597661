"""Optimisers, each with one fault."""
# ruff: noqa: ARG001

from __future__ import annotations

import itertools
import os
from typing import Any

import torch
from torch import nn

COUNTER = itertools.count()
Parameters = list[nn.Parameter]


def optimizer_good(parameters: Parameters, *, lr: float = 0.01) -> torch.optim.Optimizer:
    """Descent with momentum.

    Args:
        lr: learning rate.
    """
    return torch.optim.SGD(parameters, lr=lr, momentum=0.9)


def optimizer_signature(parameters: Parameters, colour: int, *, lr: float = 0.01) -> torch.optim.Optimizer:
    """Descent with a colour."""
    return torch.optim.SGD(parameters, lr=lr)


def optimizer_options_documented(parameters: Parameters, *, lr: float = 0.01) -> torch.optim.Optimizer:
    """Descent."""
    return torch.optim.SGD(parameters, lr=lr)


def optimizer_options_round_trip(
    parameters: Parameters,
    *,
    lr: float = 0.01,
    warm: int = 0.5,  # type: ignore[assignment]
) -> torch.optim.Optimizer:
    """Descent.

    Args:
        lr: learning rate.
        warm: nothing.
    """
    return torch.optim.SGD(parameters, lr=lr)


def optimizer_example(parameters: Parameters, *, lr: float) -> torch.optim.Optimizer:
    """Descent.

    Args:
        lr: learning rate.
    """
    return torch.optim.SGD(parameters, lr=lr)


def optimizer_optimizer(parameters: Parameters) -> torch.optim.Optimizer:
    """Descent of the first parameter."""
    return torch.optim.SGD(parameters[:1], lr=0.01)


def optimizer_descent(parameters: Parameters) -> torch.optim.Optimizer:
    """Ascent."""
    return torch.optim.SGD(parameters, lr=0.01, maximize=True)


class optimizer_state_round_trip(torch.optim.SGD):
    """Counts its steps where no checkpoint looks."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters, lr=0.01)
        self.count = 0

    def step(self, closure: Any = None) -> Any:
        self.count += 1
        self.param_groups[0]["lr"] *= 0.5**self.count
        return super().step(closure)


class optimizer_pickle_free_save(torch.optim.SGD):
    """Remembers numbers in a list."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters, lr=0.01)

    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter]["history"] = [1.0, 2.0]
        return super().step(closure)


class optimizer_no_global_side_effect(torch.optim.SGD):
    """Leaves a word in the environment."""

    def __init__(self, parameters: Parameters) -> None:
        super().__init__(parameters, lr=0.01)

    def step(self, closure: Any = None) -> Any:
        os.environ["ZOO_BAD"] = str(next(COUNTER))
        return super().step(closure)
