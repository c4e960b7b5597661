"""Weights sharded among processes (``train.fully_shard``): the model, and all that is told of it, stay the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Run
from helpers.engine import differing, small
from helpers.forks import Forks
from helpers.ranks_fully_shard import WHOLE
from safetensors.torch import load_file
from test_processes import QUICK, ended_well

from zoo.engine.engine import Engine
from zoo.errors import RequestError


@pytest.fixture(scope="module")
def everybody(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The findings of ``tests/helpers/ranks_fully_shard.py`` in each of two processes."""
    return _found(2, forks, tmp_path_factory.mktemp("ranks"))


def _found(count: int, forks: Forks, folder: Path) -> list[dict[str, Any]]:
    ended_well(forks.ranks(count, folder, module="helpers.ranks_fully_shard", cwd=folder))
    return torch.load(folder / "found.pt")  # type: ignore[no-any-return]


def assert_same(shared: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], tolerance: float = 1e-6) -> None:
    assert shared.keys() == expected.keys()
    for key, value in expected.items():
        close = {"rtol": tolerance, "atol": tolerance}
        torch.testing.assert_close(shared[key], value, **close, msg=lambda m, k=key: f"{k}: {m}")


@pytest.mark.parametrize("name", [*WHOLE, "r1", "frozen and tied", "a part of a slot", "timm"])
def test_two_processes_are_one_with_the_whole_batch(everybody: list[dict[str, Any]], name: str) -> None:
    """Weights, averages, statistics and losses after three steps with a clipped gradient, in single precision.

    A transformer is deep enough to round more.
    """
    assert_same(*everybody[0]["compared"][name], tolerance=5e-6 if name == "timm" else 1e-6)


def test_four_processes_are_one_with_the_whole_batch(forks: Forks, tmp_path: Path) -> None:
    assert_same(*_found(4, forks, tmp_path)[0]["compared"]["avae"])


@pytest.mark.parametrize(("name", "tolerance"), [("in parts", 1e-6), ("again", 1e-6), ("bfloat16", 2e-3)])
def test_options_are_what_they_are_with_whole_weights(
    everybody: list[dict[str, Any]], name: str, tolerance: float
) -> None:
    """Parts of a batch, activations computed again, and bfloat16, whose sums are rounded in another order."""
    for each in everybody:
        assert_same(*each["compared"][name], tolerance)


def test_a_process_holds_its_share(everybody: list[dict[str, Any]]) -> None:
    """Half of the weights, of Adam's moments and of the averages; what is small is whole, and so is a statistic."""
    for each in everybody:
        shared, whole = each["held"]["shared"], each["held"]["whole"]
        assert all(0.5 <= shared[part] / whole[part] < 0.54 for part in ("parameters", "moments", "averages"))


def test_no_whole_weight_is_kept_from_forward_to_backward(everybody: list[dict[str, Any]]) -> None:
    for each in everybody:
        (gathered, left), (lowered, left_lowered) = each["alive"]
        assert gathered > 2 * 11_000  # the networks' bytes, some called twice
        assert left == left_lowered == 0
        assert lowered < 0.65 * gathered  # bfloat16 is sent where autocast would cast; spectral norm is in float32


def test_a_model_is_whole_when_it_is_shown_and_when_it_is_trained(everybody: list[dict[str, Any]]) -> None:
    for each in everybody:
        (on_the_way, after), as_it_was = each["shown"]
        assert torch.equal(on_the_way, after)
        assert as_it_was


@pytest.mark.promise("Two processes that share out their weights go on bit for bit, and in one process too.")
def test_a_training_that_was_stopped_goes_on(everybody: list[dict[str, Any]]) -> None:
    """To the last bit in as many processes; in one, with whole weights, but for rounding. Adam's moments go along."""
    for each in everybody:
        assert not differing(each["resumed"]["stopped"], each["resumed"]["straight"])
    assert_same(everybody[0]["resumed"]["alone"], everybody[0]["resumed"]["straight"])


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("spoilt_weight", "TrainingError: step 1: weights of critic are no longer finite"),
        ("spoilt_gradient", "its gradient is not finite; every weight is finite; no"),
        ("walking", "TrainingError: train.fully_shard: a value or a term calls parameters() of a network"),
        ("another_optimizer", "the optimiser 'sgd' of encoder (Adafactor) may move a parameter as a whole"),
        ("over", "TrainingError: train.fully_shard: this training is over and its model whole again"),
        ("one_by_one", "nothing"),
    ],
)
def test_all_processes_say_the_same(everybody: list[dict[str, Any]], fault: str, sentence: str) -> None:
    """Also of what but one of them can see; nobody waits for one who has left."""
    first, second = (each["said"][fault] for each in everybody)
    assert sentence in first
    assert first == second


def test_zoo_build_with_weights_shared_out(
    forks: Forks, tmp_path: Path, run_zoo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes stopped half way: one process goes on with it, and comes to what it alone comes to."""
    monkeypatch.chdir(tmp_path)
    train = "train: {fully_shard: true, sync_batch_norm: true, optimizer: {use: sgd, lr: 1.0e-3, momentum: 0.5}, "
    plain = TINY.replace("width: 4", "width: 64").replace(", optimizer: {rate: 1.0}}", "}").replace("train: {", train)
    Path("tiny.yaml").write_text(f"batch_stats: batch\n{plain.replace('ema: 0.0', 'ema: 0.9, clip: 1.0')}{QUICK}")
    ended_well(forks.ranks(2, "build", "tiny.yaml", "--set", "train.steps=2", "--device", "cpu", cwd=tmp_path))
    assert run_zoo("build", "tiny.yaml", "--set", "train.fully_shard=false").code == 0
    assert run_zoo("build", "tiny.yaml", "--out", "runs/alone").code == 0
    for file in ("model.safetensors", "ema.safetensors"):
        assert_same(*(load_file(tmp_path / "runs" / name / file) for name in ("tiny", "alone")), 1e-5)


# -- what needs no second process --------------------------------------------------------------------------


def test_one_process_keeps_its_model_as_it_is() -> None:
    model = small("avae", "train.fully_shard=true")
    before = [*model.parameters(), *map(type, model.modules())]
    engine = Engine(model)
    assert not engine.shards.collective
    after = [*model.parameters(), *map(type, model.modules())]
    assert all(one is other for one, other in zip(before, after, strict=True))


def test_fully_shard_does_not_go_with_compile() -> None:
    with pytest.raises(RequestError, match=r"train\.fully_shard does not go with train\.compile; set one to false"):
        Engine(small("vae", "train.fully_shard=true", "train.compile=true"))
