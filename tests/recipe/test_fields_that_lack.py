"""What a recipe asks of its data and they do not bring: the cure, before anything is read or trained."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from conftest import Run
from zoo_losses.aggregate import code_covariance, code_log_densities, codes_permuted

from zoo import api
from zoo.draws import Draw

HAVING = "data cifar10, cifar100, digits, fashion-mnist, mnist, svhn have it (docs/data.md)"


@pytest.mark.parametrize(
    ("recipe", "setting", "cure"),
    [
        ("cvae", "data={use: sprites}", f"a field of this data, 'with: {{label: shape or texture}}'; or: {HAVING}"),
        ("cvae", "data={use: photos}", f"neither a slot of this recipe nor a value; {HAVING}"),
        ("pix2pix", "data={use: digits}", "neither a slot of this recipe nor a value; data sprites have it"),
        ("cyclegan", "data.size=64", "here are sets of data, each with its own: data.x.size, data.y.size"),
    ],
)
def test_what_data_lack_is_told_with_a_cure(run_zoo: Run, recipe: str, setting: str, cure: str) -> None:
    outcome = run_zoo("check", recipe, "--set", setting)
    assert outcome.code == 2
    assert cure in outcome.err


ONE = api.Gaussian(torch.zeros(1, 3), torch.zeros(1, 3))


@pytest.mark.parametrize(
    "spread",
    [
        lambda: code_covariance(ONE),
        lambda: code_log_densities(ONE, ONE.mean),
        lambda: codes_permuted(ONE.mean, Draw(0, device=torch.device("cpu"), dtype=torch.float32)),
    ],
    ids=["dip-vae", "beta-tcvae", "factor-vae"],
)
def test_one_code_has_no_spread(spread: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=r"a batch of one code .* set train.batch to 2 or more"):
        spread()
