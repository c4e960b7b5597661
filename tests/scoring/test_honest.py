"""What is said of how sure a number is, where it is known: Gaussians in few dimensions, and two processes for one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Run
from helpers.forks import Forks
from helpers.sets import folder, pixels
from zoo_metrics.frechet import Fid
from zoo_metrics.inception import PUBLISHED

from zoo.scoring.clouds import Cloud, Seen
from zoo.scoring.honest import Measured, bias, extrapolated, interval
from zoo.scoring.sets import Statistics

F = 16


@pytest.fixture
def measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Two sets of n points, standard normal in 16 dimensions, apart by ``far``: their true distance is its square."""
    monkeypatch.setattr(type(PUBLISHED), "find", lambda *_, **__: None)

    def make(n: int, seed: int = 0, far: float = 0.0) -> tuple[Measured, float]:
        clouds = []
        for name, shift in (("a", 0.0), ("b", far / F**0.5)):
            rows = np.random.default_rng([seed, ord(name)]).normal(shift, 1, (n, F)).astype(np.float32)
            file = tmp_path / f"{name}{n}-{seed}-{far}.f32"
            rows.tofile(file)
            clouds.append(Cloud(file, (n, F), Seen(n, "", {"32x32": n})))
        both = Measured(Fid, *clouds, Statistics("", {}, "", {}))
        return both, both.of(torch.arange)

    return make


def test_the_bias_is_that_of_few_images(measured) -> None:
    """All of the distance of two sets from one Gaussian is bias; it is told to a third, averaged over draws."""
    found = [(bias(both, value), value) for both, value in (measured(200, seed) for seed in range(8))]
    assert np.mean([told for told, _ in found]) == pytest.approx(np.mean([true for _, true in found]), rel=0.33)


def test_what_is_extrapolated_is_nearer_to_the_truth(measured) -> None:
    found = [(extrapolated(both, value, 0), value) for both, value in (measured(200, seed) for seed in range(8))]
    assert abs(np.mean([infinite for infinite, _ in found])) < 0.33 * np.mean([value for _, value in found])


def test_an_interval_has_the_spread_of_other_draws(measured) -> None:
    values = [measured(200, seed, far=2.0)[1] for seed in range(30)]
    both, value = measured(200, far=2.0)
    found = interval(both, value, 60, seed=0)
    assert found["low"] < value < found["high"]
    assert found["high"] - found["low"] == pytest.approx(3.92 * np.std(values), rel=0.35)
    assert interval(both, value, 60, seed=0) == found


def test_two_processes_give_the_numbers_of_one(
    forks: Forks, tmp_path: Path, run_zoo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder(tmp_path / "a", pixels(7))
    folder(tmp_path / "b", pixels(7, 1, tint=0.2))
    asked = ["score", "a", "b", "--metrics", "frechet,psnr", "--set", "model=test_resnet", "--set", "pretrained=false"]
    asked += ["--set", "resize=32", "--device", "cpu", "--json"]
    first, second = forks.ranks(2, *asked, cwd=tmp_path)
    assert first.code == second.code == 0, first.log + second.log
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "alone"))
    one, two = json.loads(run_zoo(*asked).out), json.loads(first.log[first.log.index("{") :])
    for label in ("frechet", "psnr"):
        assert two[label]["value"] == pytest.approx(one[label]["value"], rel=1e-6)
        assert two[label]["passport"]["judged"] == one[label]["passport"]["judged"]
