"""A run loads without the pretrained file that its encoder started from, from any directory."""

from __future__ import annotations

from pathlib import Path

import pytest
import timm
import torch
from conftest import Run
from safetensors.torch import load_file, save_file

import zoo
from zoo.errors import RecipeError

ENCODER = "slots.encoder={use: timm, model: test_resnet, pretrained: start.safetensors}"
SMALL = (
    "data={use: digits, size: 16}",
    "latent=4",
    "slots.decoder.width=4",
    "train.steps=2",
    "train.batch=4",
    "train.optimizer.rate=1.0",
    ENCODER,
)


def test_a_run_loads_without_its_pretrained_file(here: Path, run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file(timm.create_model("test_resnet").state_dict(), "start.safetensors")
    settings = [part for setting in SMALL for part in ("--set", setting)]
    assert run_zoo("build", "vae", *settings, "--no-tensorboard", "--out", "run").code == 0
    there = zoo.load("run")
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")
    (here / "start.safetensors").unlink()
    loaded = zoo.load("../run")
    assert all(torch.equal(there.state_dict()[name], tensor) for name, tensor in loaded.state_dict().items())
    assert torch.equal(there.sample(2, seed=0), loaded.sample(2, seed=0))
    assert run_zoo("sample", "../run", "-n", "2").code == 0
    with pytest.raises(RecipeError, match="does not exist"):
        zoo.build("vae", overrides=SMALL)  # a new model needs it


def test_a_stopped_training_goes_on_without_it(here: Path, run_zoo: Run) -> None:
    save_file(timm.create_model("test_resnet").state_dict(), "start.safetensors")
    settings = [part for setting in SMALL for part in ("--set", setting)]
    assert run_zoo("build", "vae", *settings, "--no-tensorboard", "--out", "whole").code == 0
    assert run_zoo("build", "vae", *settings, "--no-tensorboard", "--out", "run", "--set", "train.steps=1").code == 0
    (here / "start.safetensors").unlink()
    done = run_zoo("build", "vae", *settings, "--no-tensorboard", "--out", "run")
    assert done.code == 0, done.err
    assert "continuing at step 1 of 2" in done.err
    whole, run = (load_file(here / name / "model.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(run[name], tensor) for name, tensor in whole.items())
