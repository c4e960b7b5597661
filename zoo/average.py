"""The exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """Averaged weights: a <- d a + (1 - d) w with d = min(decay, (1 + t) / (10 + t)) after step t.

    The small d of the first steps lets the average forget the initialisation (as TensorFlow's
    ExponentialMovingAverage does with ``num_updates``). Buffers of floating type (batch norm's statistics
    belong to the weights they were measured under) are averaged too, others copied.

    Args:
        model: the model whose weights are averaged.
        decay: in [0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self._model = model
        self._live = {k: v for k, v in model.state_dict().items() if v.is_floating_point()}
        self.averaged = {k: v.detach().clone() for k, v in self._live.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Takes the present weights in."""
        decay = min(self.decay, (1 + step) / (10 + step))
        torch._foreach_lerp_(list(self.averaged.values()), list(self._live.values()), 1 - decay)

    def state_dict(self) -> dict[str, Tensor]:
        """The model's state with averages in place of what is averaged."""
        return {**self._model.state_dict(), **self.averaged}

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The model holds the averaged weights for a while; its own come back bit for bit."""
        own = {name: tensor.clone() for name, tensor in self._live.items()}
        self._model.load_state_dict(self.averaged, strict=False)
        try:
            yield
        finally:
            self._model.load_state_dict(own, strict=False)

    def restore(self, averaged: Mapping[str, Tensor]) -> None:
        """Takes up averaged weights that were saved."""
        for name, tensor in self.averaged.items():
            tensor.copy_(averaged[name])
