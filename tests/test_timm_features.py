"""The term ``perceptual`` and the metric ``frechet``: against arithmetic by hand, scipy and closed forms."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg
import timm
import torch
from conftest import TINY
from conftest import Run as Zoo
from helpers_engine import differing, images, played, small, snapshot
from torch import Tensor
from zoo_timm.features import Frechet, Moments, Perceptual, frechet

MODEL = "test_resnet"
RANDOM = "perceptual={model: test_resnet, pretrained: false, weight: 5}"


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pictures(n: int, seed: int = 0, size: int = 32, channels: int = 3) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def saved_weights(path: Path) -> Path:
    torch.manual_seed(1)
    torch.save(timm.create_model(MODEL).state_dict(), path)
    return path


# -- perceptual --------------------------------------------------------------------------------------------


def perceptual(**options: object) -> Perceptual:
    return Perceptual(3, 32, **{"model": MODEL, "pretrained": False, **options}).double()


def test_perceptual_is_a_sum_of_one_minus_cosines():
    term, x, y = perceptual(), pictures(3).double(), pictures(3, 1).double()
    a, b = (term.trunk.network.forward_intermediates(i)[1] for i in (x, y))
    cosines = [torch.nn.functional.cosine_similarity(f, g, dim=1) for f, g in zip(a, b, strict=True)]
    assert len(cosines) == len(term.taps) == 5
    assert float(term(x, y)) == pytest.approx(float(sum((1 - c).mean() for c in cosines)), rel=1e-9)
    assert float(term(x, x)) == 0


def test_chosen_stages_alone_count():
    x, y = pictures(2).double(), pictures(2, 1).double()
    whole = perceptual()
    parts = []
    for tap in whole.taps:
        one = perceptual(taps=(tap,))
        one.load_state_dict(whole.state_dict())
        parts.append(float(one(x, y)))
    assert whole.taps == ("stage1", "stage2", "stage3", "stage4", "stage5")
    assert float(whole(x, y)) == pytest.approx(sum(parts))


def test_a_stage_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"no stage 'stage9'; choose from stage1, .*, stage5"):
        perceptual(taps=("stage9",))


def test_gradient_goes_to_the_image_that_asks_for_it():
    term, x, y = perceptual(), pictures(2).double(), pictures(2, 1).double().requires_grad_()
    (grad,) = torch.autograd.grad(term(x, y), y)
    assert grad.isfinite().all()
    assert float(grad.abs().sum()) > 0
    assert not term(x, y.detach()).requires_grad
    direction = pictures(2, 2).double()
    slope = (term(x, y.detach() + 1e-6 * direction) - term(x, y.detach() - 1e-6 * direction)) / 2e-6
    assert float(slope) == pytest.approx(float((grad * direction).sum()), rel=1e-4)


def test_a_black_feature_map_has_a_finite_gradient():
    term, y = perceptual(), torch.zeros(2, 3, 32, 32, dtype=torch.float64, requires_grad=True)
    for parameter in term.trunk.parameters():
        parameter.zero_()
    (grad,) = torch.autograd.grad(term(pictures(2).double(), y), y)
    assert grad.isfinite().all()


def test_its_batch_norms_stay_in_evaluation_mode_while_a_model_trains():
    model = small("avae", f"phases.0.encoder + decoder.{RANDOM}", dtype=torch.float32)
    judge = model.owned["term_perceptual"]
    before = snapshot(model)
    played(model, 2)
    assert model.training
    assert not any(module.training for module in judge.modules())
    assert not any(parameter.requires_grad for parameter in judge.parameters())
    assert not any(key.startswith("owned") for key in differing(before, snapshot(model)))


def test_it_moves_the_decoder_that_it_judges_and_no_one_else():
    plain = small("avae", dtype=torch.float32)
    judged = small("avae", f"phases.0.encoder + decoder.{RANDOM}", dtype=torch.float32)
    before = [snapshot(played(model).model) for model in (plain, judged)]
    moved = {key.split(".")[0] for key in before[0] if not torch.equal(before[0][key], before[1][key])}
    assert moved == {"encoder", "decoder"}


def test_it_trains_in_bfloat16():
    model = small("avae", f"phases.0.encoder + decoder.{RANDOM}", "train.precision=bfloat16", dtype=torch.float32)
    engine = played(model)
    losses = engine.step(lambda turn: images(turn, torch.float32))
    assert losses["encoder + decoder/perceptual"].dtype == torch.float32
    assert losses["encoder + decoder/perceptual"].isfinite()


def test_check_takes_it_without_its_weights(tmp_path, run_zoo: Zoo):
    (tmp_path / "judged.yaml").write_text(TINY.replace("size: 8", "size: 32"))
    setting = "phases.0.encoder + decoder.perceptual={weight: 10, taps: [stage1, stage2]}"
    assert run_zoo("check", tmp_path / "judged.yaml", "--set", setting).code == 0
    outcome = run_zoo("check", tmp_path / "judged.yaml", "--set", setting.replace("stage2", "stage7"))
    assert "has no stage 'stage7'" in outcome.err


def test_pretrained_weights_judge_gray_images(tmp_path):
    path = saved_weights(tmp_path / "weights.pt")
    term = Perceptual(1, 32, model=MODEL, pretrained=str(path))
    assert 0 < float(term(pictures(2, channels=1), pictures(2, 1, channels=1))) < 10


# -- frechet -----------------------------------------------------------------------------------------------


def gaussian(features: int, rank: int, seed: int) -> tuple[Tensor, Tensor]:
    """A mean and a covariance of some rank."""
    numbers = np.random.default_rng(seed)
    factor = torch.from_numpy(numbers.normal(size=(features, rank)))
    return torch.from_numpy(numbers.normal(size=features)), factor @ factor.T / rank


def test_frechet_of_diagonal_gaussians_is_its_closed_form():
    """|m1 - m2|^2 + sum (s1 - s2)^2."""
    (m1, _), (m2, _) = gaussian(6, 1, 0), gaussian(6, 1, 1)
    s1, s2 = torch.arange(6).double(), torch.arange(6).double().flip(0) / 2
    expected = float((m1 - m2).square().sum() + (s1 - s2).square().sum())
    assert frechet(m1, s1.square().diag(), m2, s2.square().diag()) == pytest.approx(expected, rel=1e-12)


def test_frechet_of_scaled_gaussians_is_its_closed_form():
    """S2 = c^2 S1: (1 - c)^2 tr S1, whatever S1."""
    mean, covariance = gaussian(8, 20, 0)
    expected = 0.49 * float(covariance.trace())
    assert frechet(mean, covariance, mean, 0.09 * covariance) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("rank", [40, 8])
def test_frechet_agrees_with_scipys_square_root(rank: int):
    (m1, c1), (m2, c2) = gaussian(12, rank, 0), gaussian(12, 40, 1)
    root = scipy.linalg.sqrtm((c1 @ c2).numpy())
    expected = float((m1 - m2).square().sum() + (c1 + c2).trace()) - 2 * float(np.trace(root).real)
    assert frechet(m1, c1, m2, c2) == pytest.approx(expected, rel=1e-6)


def test_a_set_is_at_no_distance_from_itself_even_when_its_covariance_is_singular():
    mean, covariance = gaussian(200, 5, 0)
    assert frechet(mean, covariance, mean, covariance) < 1e-10 * float(covariance.trace())


@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_moments_that_stream_equal_those_at_once(shift: float):
    vectors = torch.randn(57, 9, dtype=torch.float64) + shift
    moments = Moments()
    for batch in vectors.split([20, 1, 30, 6]):
        moments.update(batch)
    assert moments.count == 57
    torch.testing.assert_close(moments.mean, vectors.mean(0))
    torch.testing.assert_close(moments.covariance(), vectors.T.cov(), rtol=1e-7, atol=1e-9)


def measured(x: Tensor, y: Tensor, batch: int, **options: object) -> Frechet:
    metric = Frechet(**{"model": MODEL, "pretrained": False, "resize": 32, **options})
    for real, made in zip(x.split(batch), y.split(batch), strict=True):
        metric.update(real, made)
    return metric


def test_batches_make_no_difference_and_runs_see_the_same_random_network():
    x, y = pictures(12), pictures(12, 1) * 0.5
    torch.manual_seed(5)
    whole = measured(x, y, 12)
    torch.manual_seed(6)
    assert whole.compute() == pytest.approx(measured(x, y, 5).compute(), rel=1e-4)
    assert whole.compute() > 1e-6
    assert whole.better == "lower"
    spread = float(whole._real.covariance().trace())
    assert measured(x, x, 5).compute() < 1e-9 * spread


def test_images_are_resized_to_the_side_that_the_model_was_made_for():
    metric = measured(pictures(4), pictures(4, 1), 4, resize=None)
    assert metric.protocol["resize"] == "160 px, bilinear, antialiased"


def test_protocol_names_the_weights(tmp_path):
    path = saved_weights(tmp_path / "weights.pt")
    protocol = measured(pictures(4), pictures(4, 1), 4, pretrained=str(path)).protocol
    assert protocol["weights"] == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert (protocol["n"], protocol["features"], protocol["model"]) == (4, 96, MODEL)
    assert measured(pictures(4), pictures(4, 1), 4).protocol["weights"].startswith("random, seed 0")


def test_what_frechet_refuses(tmp_path):
    with pytest.raises(ValueError, match="no model 'test_resnat'"):
        Frechet(model="test_resnat")
    with pytest.raises(ValueError, match="at least 2 images, and there are 1"):
        measured(pictures(1), pictures(1, 1), 1).compute()
    with pytest.raises(ValueError, match=r"none\.pt' cannot be read: No such file"):
        Frechet(pretrained=str(tmp_path / "none.pt"))


def test_a_run_keeps_the_score_with_its_protocol(tmp_path, run_zoo: Zoo):
    path = saved_weights(tmp_path / "weights.pt")
    score = f"{{model: {MODEL}, pretrained: {path}, resize: 32, with: {{reconstruction: sample}}}}"
    (tmp_path / "scored.yaml").write_text(f"{TINY}evaluate: {{mse: mse, frechet: {score}}}\n")
    outcome = run_zoo("build", tmp_path / "scored.yaml", "--out", tmp_path / "run")
    assert outcome.code == 0, outcome.err
    stored = json.loads((tmp_path / "run" / "scores.json").read_text())["frechet"]
    assert stored["value"] > 0
    assert stored["protocol"]["of"] == {"x": "x", "reconstruction": "sample"}
    assert stored["protocol"]["weights"].startswith("sha256:")
    assert stored["protocol"]["n"] == 8
