"""Averaged weights: of a module that puts another tensor in the place of a buffer, and under spectral norm."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from zoo.engine.average import Average
from zoo.recipe.schedule import Schedule


class Counting(nn.Module):
    """Says how often it was called, in a new tensor each time."""

    running_mean: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("running_mean", torch.zeros(()))
        self.register_buffer("seen", torch.zeros(()))
        self.inner = nn.Linear(1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """x through the layer."""
        self.running_mean = self.running_mean + 1
        self.seen = self.seen + 1
        found: Tensor = self.inner(x)
        return found


def test_what_is_averaged_is_what_is_there_now() -> None:
    """a <- d a + (1 - d) w with d = (1 + t) / (10 + t), by hand; the model's own is as before afterwards."""
    model = Counting()
    average = Average(model, Schedule.of(0.999))
    expected = 0.0
    for step in range(4):
        model(torch.ones(1, 1))
        average.update(step)
        d = (1 + step) / (10 + step)
        expected = d * expected + (1 - d) * (step + 1)
    assert float(average.averaged["running_mean"]) == pytest.approx(expected)
    with average.applied():
        assert float(model.running_mean) == pytest.approx(expected)
        assert float(model.seen) == 4, "a buffer that is no statistic is the model's"
    assert float(model.running_mean) == 4


@pytest.mark.parametrize(("shape", "dim"), [((3, 7), 0), ((7, 3), 0), ((4, 6, 3, 3), 1)])
def test_averaged_weights_under_spectral_norm_have_the_largest_singular_value_1(
    shape: tuple[int, ...], dim: int
) -> None:
    """Of weights that were moved far between two averages; the raw ones keep their own vectors."""
    torch.manual_seed(0)
    model = nn.Module()
    model.weight = nn.Parameter(torch.randn(shape))
    spectral_norm(model, dim=dim)
    average = Average(model, Schedule.of(0.5))
    for step in range(5):
        nn.init.normal_(model.parametrizations.weight.original)
        average.update(step)
    model.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    kept = average.state_dict()
    with average.applied():
        matrix = model.weight.detach().movedim(dim, 0).flatten(1)
        assert float(torch.linalg.matrix_norm(matrix, 2)) == pytest.approx(1, abs=1e-5)
        assert all(torch.equal(tensor, kept[name]) for name, tensor in model.state_dict().items())
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
