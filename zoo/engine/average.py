"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from zoo.machine.torch_private import singular_vectors
from zoo.recipe.schedule import Schedule

STATISTICS = ("running_mean", "running_var")
"""Buffers that belong to the weights they were measured under."""


class Average:
    """Averaged weights: a <- d a + (1 - d) w with d = min(decay, (1 + t) / (10 + t)) after step t, decay in [0, 1),
    which may change with the step.

    The small d of the first steps lets the average forget the initialisation (as TensorFlow's ExponentialMovingAverage
    does with ``num_updates``). Parameters of floating type are averaged, and batch norm's statistics. Other buffers are
    the model's; those of spectral norm are made for the averaged weights.
    """

    def __init__(self, model: nn.Module, decay: Schedule) -> None:
        self.decay = decay
        self._model = model
        floating = {name: v for name, v in model.state_dict().items() if v.is_floating_point()}
        self._places = {name: _place(model, name, tensor) for name, tensor in floating.items()}
        self._held = {name: tensor.detach().clone() for name, tensor in floating.items()}
        buffers = {name for name, _ in model.named_buffers() if not name.endswith(STATISTICS)}
        self._means = [name for name in floating if name not in buffers]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes the present weights in."""
        decay = min(self.decay(step), (1 + step) / (10 + step))
        torch._foreach_lerp_([self._held[name] for name in self._means], self._live(self._means), 1 - decay)

    def _live(self, names: Iterable[str]) -> list[Tensor]:
        """The model's own; a module may put another tensor in the place of a buffer."""
        return [owner[key] for owner, key in map(self._places.__getitem__, names)]

    @property
    @torch.no_grad()
    def averaged(self) -> dict[str, Tensor]:
        """Every tensor of floating type, by its name in the model's state."""
        others = [name for name in self._held if name not in self._means]
        now = dict(zip(others, self._live(others), strict=True)) | singular_vectors(self._model, self._held)
        for name, tensor in now.items():
            self._held[name].copy_(tensor)
        return self._held

    def state_dict(self) -> dict[str, Tensor]:
        """The model's state with averages in place of what is averaged."""
        return {**self._model.state_dict(), **self.averaged}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the averaged weights for a while; its own come back bit for bit."""
        own = {name: tensor.clone() for name, tensor in zip(self._held, self._live(self._held), strict=True)}
        self._model.load_state_dict(self.averaged, strict=False)
        try:
            yield
        finally:
            self._model.load_state_dict(own, strict=False)

    def restore(self, averaged: Mapping[str, Tensor]) -> None:
        """Takes up averaged weights that were saved."""
        for name, tensor in self._held.items():
            tensor.copy_(averaged[name])


def _place(model: nn.Module, name: str, tensor: Tensor) -> tuple[Mapping[str, Any], str]:
    """Where a module keeps what its state names so: the mapping, and the key in it."""
    owner, _, key = name.rpartition(".")
    module = model.get_submodule(owner)
    held = next((held for held in (module._parameters, module._buffers) if key in held), None)
    return (held, key) if held is not None else ({key: tensor}, key)
