"""Judges that networks learn from are the metrics of their names, with gradients that stay finite."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from helpers.timm import pictures
from test_metrics_references import trunk
from torch import nn
from zoo_metrics.judges import Lpips, PdLite0
from zoo_metrics.pairs import Lpips as LpipsMetric
from zoo_metrics.pairs import PdLite0 as PdLite0Metric

from zoo.machine.process import weights_follow


@pytest.mark.parametrize("name", ["lpips", "pd-lite0"])
def test_a_judge_is_its_metric_and_comes_back_without_its_files(name: str, tmp_path: Path) -> None:
    squeeze = {"net": "squeeze", "pretrained": str(tmp_path / "squeeze.pt")}
    if name == "lpips":
        trunk("squeeze", tmp_path / "squeeze.pt")
    judge: nn.Module = Lpips(3, 32, **squeeze) if name == "lpips" else PdLite0(3)
    metric = LpipsMetric(32, **squeeze) if name == "lpips" else PdLite0Metric(3)
    x, other = pictures(3), pictures(3, 1)
    metric.update(x, other)
    judge.train()
    torch.testing.assert_close(judge(x, other).mean().double(), torch.tensor(metric.compute(), dtype=torch.float64))
    (tmp_path / "squeeze.pt").unlink(missing_ok=True)
    with weights_follow():
        again: nn.Module = Lpips(3, 32, **squeeze) if name == "lpips" else PdLite0(3)
    again.load_state_dict(judge.state_dict())
    assert torch.equal(again(x, other), judge(x, other))
    for at in (x, torch.zeros_like(x)):  # equal images, and features that are 0 somewhere
        image = at.clone().requires_grad_()
        (slope,) = torch.autograd.grad(judge(at, image).sum(), image)
        assert slope.isfinite().all()
    assert not any(p.requires_grad for p in judge.parameters())


def test_a_judge_refuses_what_it_cannot_see() -> None:
    with pytest.raises(ValueError, match=r"nothing is left of images of 8 px in vgg: take 16 or more"):
        Lpips(3, 8)
    with pytest.raises(ValueError, match="images of 1 or 3 channels, and these have 4"):
        PdLite0(4)
