"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """Averaged weights: a <- d a + (1 - d) w with d = min(decay, (1 + t) / (10 + t)) after step t, decay in [0, 1).

    The small d of the first steps lets the average forget the initialisation (as TensorFlow's ExponentialMovingAverage
    does with ``num_updates``). Buffers of floating type (batch norm's statistics belong to the weights they were
    measured under) are averaged too, others copied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        floating = {name: v for name, v in model.state_dict().items() if v.is_floating_point()}
        self._places = [_place(model, name, tensor) for name, tensor in floating.items()]
        self.averaged = {name: tensor.detach().clone() for name, tensor in floating.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes the present weights in."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.averaged.values()), self._live(), 1 - decay)

    def _live(self) -> list[Tensor]:
        """The model's own; a module may put another tensor in the place of a buffer."""
        return [owner[key] for owner, key in self._places]

    def state_dict(self) -> dict[str, Tensor]:
        """The model's state with averages in place of what is averaged."""
        return {**self._model.state_dict(), **self.averaged}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the averaged weights for a while; its own come back bit for bit."""
        own = {name: tensor.clone() for name, tensor in zip(self.averaged, self._live(), strict=True)}
        self._model.load_state_dict(self.averaged, strict=False)
        try:
            yield
        finally:
            self._model.load_state_dict(own, strict=False)

    def restore(self, averaged: Mapping[str, Tensor]) -> None:
        """Takes up averaged weights that were saved."""
        for name, tensor in self.averaged.items():
            tensor.copy_(averaged[name])


def _place(model: nn.Module, name: str, tensor: Tensor) -> tuple[Mapping[str, Any], str]:
    """Where a module keeps what its state names so: the mapping, and the key in it."""
    owner, _, key = name.rpartition(".")
    module = model.get_submodule(owner)
    held = next((held for held in (module._parameters, module._buffers) if key in held), None)
    return (held, key) if held is not None else ({key: tensor}, key)
