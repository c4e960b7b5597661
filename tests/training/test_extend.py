"""``zoo build --extend``: a run goes on longer, ends where it is, and under other settings of its training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import TINY, Outcome, Run
from safetensors.torch import load_file

from zoo.runs.history import keep

COSINE = TINY.replace("optimizer: {rate: 1.0}", "optimizer: {rate: {from: 1, to: 0, shape: cosine}}")
MORE = ("--set", "train.steps=6")
OTHERS = ("lr=0.0003", "clip=1", "ema=0.9", "precision=bfloat16", "batch=8", "accumulate=2")


def build(run_zoo: Run, *arguments: object, text: str = COSINE) -> Outcome:
    Path("tiny.yaml").write_text(text)
    return run_zoo("build", "tiny.yaml", "--no-tensorboard", *arguments)


def weights(run: str, name: str = "model.safetensors") -> dict[str, bytes]:
    return {key: tensor.numpy().tobytes() for key, tensor in load_file(Path(run) / name).items()}


@pytest.mark.usefixtures("here")
def test_longer_with_a_schedule_is_refused_and_then_told_recorded_and_shown(run_zoo: Run) -> None:
    assert build(run_zoo, "--stop-after", "train").code == 0
    refused = build(run_zoo, *MORE)
    assert refused.code == 2
    assert refused.err.endswith("Choose another --out, or train this run on under them with --extend\n")
    done = build(run_zoo, *MORE, "--extend")
    rates = ", ".join(f"train.optimizers.{player}.rate" for player in ("critic", "decoder", "encoder", "generator"))
    rate = f"{rates}: 1 to 0 over 6 steps, cosine (it was 1 to 0 over 3 steps, cosine): at step 3 it is 0.5, not 0"
    assert f"from here on, {rate}\nfrom here on, train.steps: 6 (it was 3)\n" in done.err
    assert "continuing at step 3 of 6" in done.err
    (entry,) = json.loads(Path("runs/tiny/history.json").read_text())
    assert (entry["step"], entry["changes"]) == (3, [rate, "train.steps: 6 (it was 3)"])
    assert "from step 3 on, train.steps: 6 (it was 3)" in Path("runs/tiny/report.html").read_text()
    assert "up to date" in build(run_zoo, *MORE).out
    assert run_zoo("sample", "runs/tiny").code == 0


def test_without_a_change_of_rates_it_is_one_training(finished: Path, here: Path, run_zoo: Run) -> None:
    shutil.copytree(finished, here / "runs" / "tiny")
    assert build(run_zoo, *MORE, "--extend", text=TINY).code == 0
    assert build(run_zoo, *MORE, "--out", "whole", text=TINY).code == 0
    assert weights("runs/tiny") == weights("whole")


def test_another_rate_clip_average_precision_and_batch(finished: Path, here: Path, run_zoo: Run) -> None:
    shutil.copytree(finished, here / "runs" / "tiny")
    others = [
        part for other in OTHERS for part in ("--set", f"train.{other}".replace("train.lr", "train.optimizer.lr"))
    ]
    assert build(run_zoo, *others, "--extend", text=TINY).err.endswith(
        "has all of its 3 steps; to train on, ask for more train.steps\n"
    )
    done = build(run_zoo, *MORE, *others, "--extend", text=TINY)
    assert done.code == 0, done.err
    assert "from here on, train.clip: 1.0 (it was 0.0)" in done.err
    assert weights("runs/tiny", "ema.safetensors") != weights("runs/tiny")
    seen = [json.loads(line)["seen_images"] for line in Path("runs/tiny/metrics.jsonl").read_text().splitlines()]
    assert seen == [4, 8, 12, 20, 28, 36]  # three steps of 4, and three of 8
    assert build(run_zoo, "--set", "train.steps=7", *others[:4], *others[6:], "--extend", text=TINY).code == 0
    refused = build(run_zoo, "--set", "train.steps=9", "--set", "train.optimizer.use=sgd", "--extend", text=TINY)
    assert "or remove the directory" in refused.err


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("weight", "told"),
    [
        ("{from: 0, to: 1}", "0 to 1 over 6 steps (it was 0 to 1 over 3 steps): at step 3 it is 0.5, not 1"),
        (
            "[{from: 0, to: 1, steps: 2}, {to: 0}]",
            "0 to 1 over 2 steps, then to 0 over 4 steps (it was 0 to 1 over 2 steps, then to 0 over 1 steps): "
            "at step 3 it is 0.75, not 0",
        ),
    ],
)
def test_a_weight_that_changes_goes_on_as_it_would_have_from_there(run_zoo: Run, weight: str, told: str) -> None:
    kl = ("--set", f"phases.0.encoder + decoder.kl={weight}")
    first = build(run_zoo, *kl, text=TINY)
    assert first.code == 0, first.err
    assert build(run_zoo, *MORE, *kl, text=TINY).code == 2
    done = build(run_zoo, *MORE, *kl, "--extend", text=TINY)
    assert done.code == 0, done.err
    assert told in done.err


def test_without_checkpoints_a_finished_training_is_not_begun_anew(finished: Path, here: Path, run_zoo: Run) -> None:
    shutil.copytree(finished, here / "runs" / "tiny")
    shutil.rmtree(here / "runs" / "tiny" / "state")
    before = weights("runs/tiny")
    for more in (MORE, (*MORE, "--extend")):
        refused = build(run_zoo, *more, text=TINY)
        assert refused.err.endswith(
            "runs/tiny: has no checkpoint (runs/tiny/state) from which its 3 steps could be trained on; "
            "bring one back, or train all 6 anew with another --out\n"
        )
    assert weights("runs/tiny") == before


@pytest.mark.usefixtures("here")
def test_what_changes_is_recorded_once_though_a_kill_comes_before_the_new_recipe(
    run_zoo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a schedule is told once, though its steps and its shape are others."""
    assert build(run_zoo, "--stop-after", "train").code == 0
    others = (*MORE, "--set", "train.optimizer.rate.shape=linear", "--extend")

    def killed(run: object, changes: list[str]) -> None:
        keep(run, changes)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.build.keep", killed)
        assert build(run_zoo, *others).code == 130
    assert build(run_zoo, *others).code == 0
    (entry,) = json.loads(Path("runs/tiny/history.json").read_text())
    assert (entry["step"], entry["changes"][0].count("critic.rate")) == (3, 1)


@pytest.mark.usefixtures("here")
def test_a_schedule_that_is_over_is_said(run_zoo: Run) -> None:
    assert build(run_zoo, "--stop-after", "train").code == 0
    done = build(run_zoo, *MORE, "--set", "train.optimizer.rate.steps=3")
    assert done.code == 0
    assert "critic.rate: 0 at every step that is left, so nothing is learnt there; --set " in done.err
    assert "--set train.optimizers.encoder.rate.steps=6 spreads it\n" in done.err


@pytest.mark.usefixtures("here")
def test_a_stopped_run_says_how_many_steps_it_has_and_ends_there(run_zoo: Run) -> None:
    assert build(run_zoo, "--stop-after", "train").code == 0
    for name in ("model.safetensors", "state/done.json"):
        (Path("runs/tiny") / name).unlink(missing_ok=True)
    for ending in ("json", "safetensors"):
        (Path("runs/tiny/state") / f"step-00000003.{ending}").unlink()
    refused = build(run_zoo, "--set", "train.steps=1")
    assert refused.err == (
        "zoo: error: runs/tiny: has 2 steps in all, more than the 1 asked for; "
        "end it where it is with --set train.steps=2 --extend, or build it as it is with zoo build runs/tiny, "
        "or choose another --out\n"
    )
    ended = build(run_zoo, "--set", "train.steps=2", "--extend")
    assert ended.code == 0, ended.err
    assert "has 2 steps in all, more than" in build(run_zoo, "--set", "train.steps=1").err
