"""A plugin of parts that work until ``FAIL`` names the place and the moment at which they raise."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.optimizer import ParamsT

from zoo import api


class Unusual(BaseException):
    """No Exception at all."""


class Unspeakable(Exception):
    """Cannot say what it is."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


FAIL: dict[str, Any] = {"place": "", "error": None}
STAGE = {"is": ""}


def at(place: str) -> None:
    """Raises where it is this place's turn, or that of this place while it trains or evaluates."""
    if FAIL["place"] in (place, f"{place}, {STAGE['is']}"):
        error = FAIL["error"]
        if error == "exit":
            sys.exit(0)
        raise error


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """A part of each kind."""
    kinds = {"data": "Data", "prior": "Prior", "encoder": "Encoder", "metric": "Metric", "watcher": "Watcher"}
    kinds |= {"value": "raised_value", "term": "raised_term", "optimizer": "optimizer", "augmentation": "augmentation"}
    return tuple(
        api.Component(kind, target if kind in ("value", "term") else "raised", f"raising_parts:{target}", "raises")
        for kind, target in kinds.items()
    )


class Data:
    """Eight grey images."""

    def __new__(cls, *, size: int = 8, channels: int = 3) -> Any:
        """The images."""
        at("data")
        pixels = torch.arange(8 * channels * size * size).reshape(8, channels, size, size).to(torch.uint8)
        return api.Images(pixels, pixels[:4])


class Prior(nn.Module):
    """N(0, I)."""

    def __init__(self, latent: int) -> None:
        super().__init__()
        at("prior")
        self.latent = latent

    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        """Codes."""
        at("prior's sample")
        return draw.normal(batch, self.latent)

    def kl(self, posterior: api.Gaussian) -> Tensor:
        """(B, K)."""
        at("prior's kl")
        return 0.5 * (posterior.mean.square() + (2 * posterior.log_sigma).exp() - 1) - posterior.log_sigma

    def log_prob(self, z: Tensor) -> Tensor:
        """(B,)."""
        return -0.5 * torch.square(z).sum(1)


class Encoder(nn.Module):
    """One matrix."""

    def __init__(self, latent: int, channels: int, size: int) -> None:
        super().__init__()
        at("network")
        self.out = nn.Linear(channels * size * size, 2 * latent)

    def forward(self, x: Tensor) -> api.Gaussian:
        """The posterior."""
        at("network's forward")
        return api.Gaussian(*self.out(x.flatten(1)).chunk(2, 1))


class Metric:
    """Counts."""

    better = "lower"

    def __init__(self) -> None:
        at("metric")
        self.n = 0

    def update(self, x: Tensor) -> None:
        """Counts."""
        at("metric's update")
        self.n += len(x)

    def training(self, x: Tensor) -> None:
        """Counts."""
        at("metric's training")
        self.n += len(x)

    def merge(self, others: list[Metric]) -> None:
        """Adds."""
        at("metric's merge")
        self.n += sum(other.n for other in others)

    def compute(self) -> float:
        """The count."""
        at("metric's compute")
        return float(self.n)


class Watcher:
    """Knows when a training is on."""

    def __init__(self) -> None:
        at("watcher")

    def start(self, step: int, steps: int, batch: int) -> None:  # noqa: ARG002
        """Begins."""
        STAGE["is"] = "training"

    def log(self, record: api.Record) -> None:  # noqa: ARG002
        """Looks."""
        at("watcher's log")

    def end(self) -> None:
        """Ends."""
        STAGE["is"] = "evaluating"

    def scores(self, step: int, values: Mapping[str, float]) -> None:  # noqa: ARG002
        """Looks."""
        at("watcher's scores")


def raised_value(posterior: api.Gaussian) -> Tensor:
    """The mean."""
    at("value")
    return posterior.mean


def raised_term(raised_value: Tensor) -> Tensor:
    """Of the codes."""
    at("term")
    return raised_value.square().sum(1).mean()


class _Sgd(torch.optim.SGD):
    def step(self, closure: Any = None) -> Any:
        """A step."""
        at("optimizer's step")
        return super().step(closure)


def optimizer(parameters: ParamsT, *, lr: float = 0.01) -> torch.optim.Optimizer:
    """SGD."""
    at("optimizer")
    return _Sgd(parameters, lr)


def augmentation(images: Tensor, draw: api.Draw) -> Tensor:  # noqa: ARG001
    """Nothing."""
    at("augmentation")
    return images
