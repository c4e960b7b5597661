"""The term ``perceptual``: against arithmetic by hand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from conftest import TINY
from conftest import Run as Zoo
from helpers.engine import differing, images, played, small, snapshot
from helpers.timm import MODEL, pictures, saved_weights
from zoo_timm.features import Perceptual

RANDOM = "perceptual={model: test_resnet, pretrained: false, weight: 5}"


@pytest.fixture(autouse=True)
def _seeded_on_one_thread() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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


def test_check_says_at_once_that_weights_cannot_be_had(tmp_path, run_zoo: Zoo, monkeypatch):
    """The hub is asked once, though the library that downloads would go on asking."""
    asked = []

    def refuse(url: str, timeout: float) -> None:
        asked.append((url, timeout))
        raise ConnectionError("nobody there")

    monkeypatch.setattr("huggingface_hub.get_hf_file_metadata", refuse)
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    (tmp_path / "judged.yaml").write_text(TINY.replace("size: 8", "size: 32"))
    setting = "phases.0.encoder + decoder.perceptual={weight: 10, taps: [stage1, stage2]}"
    (said,) = run_zoo("check", tmp_path / "judged.yaml", "--set", setting).errors
    assert "from timm's hub cannot be loaded: https://huggingface.co/timm/" in said
    assert "does not answer (nobody there); give the path of a .safetensors or .pt file of this model" in said
    assert len(asked) == 1
    outcome = run_zoo("check", tmp_path / "judged.yaml", "--set", setting.replace("stage2", "stage7"))
    assert "has no stage 'stage7'" in outcome.err


def test_pretrained_weights_judge_gray_images(tmp_path):
    path = saved_weights(tmp_path / "weights.pt")
    term = Perceptual(1, 32, model=MODEL, pretrained=str(path))
    assert 0 < float(term(pictures(2, channels=1), pictures(2, 1, channels=1))) < 10
