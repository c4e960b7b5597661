"""Averaged weights of a module that puts another tensor in the place of a buffer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from zoo.engine.average import Average


class Counting(nn.Module):
    """Says how often it was called, in a new tensor each time."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(()))
        self.inner = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x through the layer."""
        self.seen = self.seen + 1
        found: Tensor = self.inner(x)
        return found


def test_what_is_averaged_is_what_is_there_now() -> None:
    """a <- d a + (1 - d) w with d = (1 + t) / (10 + t), by hand; the model's own is as before afterwards."""
    model = Counting()
    average = Average(model, decay=0.999)
    expected = 0.0
    for step in range(4):
        model(torch.ones(1, 1))
        average.update(step)
        d = (1 + step) / (10 + step)
        expected = d * expected + (1 - d) * (step + 1)
    assert float(average.averaged["seen"]) == pytest.approx(expected)
    with average.applied():
        assert float(model.seen) == pytest.approx(expected)
    assert float(model.seen) == 4
