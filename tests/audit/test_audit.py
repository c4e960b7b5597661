"""The context manager, the command and what they tell: names, tables, JSON, a page; torch is as it was afterwards."""

from __future__ import annotations

import importlib
import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import Run, python
from nets import VAE, critic, kl, mlp, pixels
from torch import Tensor, nn
from torch.optim import Adam

import zoo

SCRIPT = """\
import sys
import torch
from torch import nn

torch.manual_seed(0)
model = nn.Sequential(nn.Linear(2, 4), nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for step in range(int(sys.argv[1])):
    loss = model(torch.randn(8, 2)).square().mean()
    ZERO
    loss.backward()
    optimizer.step()
    print("step", step)
print("the end")
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    file = tmp_path / "train.py"
    file.write_text(SCRIPT.replace("ZERO", "optimizer.zero_grad()"))
    return file


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    file = tmp_path / "faulty.py"
    file.write_text(SCRIPT.replace("ZERO", "pass"))
    return file


class VaeGan:
    def __init__(self) -> None:
        self.vae, self.critic, self.features = VAE(), mlp(6, 8, 1), mlp(6, 4).eval().requires_grad_(False)
        self.opt_vae, self.opt_critic = Adam(self.vae.parameters(), 1e-3), Adam(self.critic.parameters(), 1e-3)

    def train(self, batches: int = 4) -> None:
        for x in pixels(batches):
            self.batch(x)

    def batch(self, x: Tensor) -> None:
        y, mean, log_variance = self.vae(x)
        perceptual = F.mse_loss(self.features(y), self.features(x))
        self.opt_vae.zero_grad()
        vae_loss = F.mse_loss(y, x) + perceptual + kl(mean, log_variance) - self.critic(y).mean()
        vae_loss.backward()
        self.opt_vae.step()
        self.opt_critic.zero_grad()
        critic_loss = F.relu(1 - self.critic(x)).mean() + F.relu(1 + self.critic(y.detach())).mean()
        critic_loss.backward()
        self.opt_critic.step()


def test_the_table_says_who_learns_receives_passes_and_stops() -> None:
    trainer = VaeGan()
    with zoo.audit() as found:
        trainer.train()
    assert found.problems == []
    first, second = found.losses
    assert first["networks"] == {"vae": "learns", "features": "passes", "critic": "receives"}
    assert second["networks"] == {"vae": "stops", "features": ".", "critic": "learns"}
    assert (first["name"], second["name"], first["calls"]) == ("vae_loss", "critic_loss", 4)
    line = first["place"].rpartition(":")[2]
    assert "vae_loss.backward()" in Path(__file__).read_text().splitlines()[int(line) - 1]
    told = {each["name"]: each["networks"] for each in found.optimizers}
    assert told["opt_vae"]["vae"]["shares"] == {"vae_loss": pytest.approx(1.0)}
    assert told["opt_critic"]["critic"]["shares"] == {"critic_loss": pytest.approx(1.0)}


def test_shares_and_cosines_are_those_of_the_gradients() -> None:
    """Of a network whose two gradients are written by hand: 3 and 4 times a unit vector, at a right angle."""
    weight = nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([weight], 0.1)
    with zoo.audit() as found:
        for _ in range(3):
            optimizer.zero_grad()
            across = 3 * weight[0]
            up = 4 * weight[1]
            across.backward()
            up.backward()
            optimizer.step()
    (told,) = found.optimizers
    assert told["networks"]["weight"]["shares"] == {"across": pytest.approx(3 / 7), "up": pytest.approx(4 / 7)}
    assert told["networks"]["weight"]["cosines"] == {"across, up": pytest.approx(0.0)}


def test_torch_and_the_random_numbers_are_as_they_were() -> None:
    def names() -> list[Any]:
        modules = torch.nn.modules.module
        hooks = [modules._global_forward_hooks, modules._global_forward_pre_hooks]
        functions = [torch.autograd.backward, torch.autograd.grad, torch.compile, torch.optim.Optimizer.add_param_group]
        return [*functions, torch.optim.lr_scheduler.LRScheduler.step, *map(dict, hooks)]

    before = names()
    trainer = VaeGan()
    torch.manual_seed(0)
    trainer.train()
    after_without = (torch.rand(1), random.random(), np.random.rand())
    states = (random.getstate(), np.random.get_state()[1][:4].tolist())
    torch.manual_seed(0)
    with zoo.audit():
        trainer.train()
        assert (random.getstate(), np.random.get_state()[1][:4].tolist()) == states
    assert torch.equal(torch.rand(1), after_without[0])
    assert names() == before
    assert not any(p._backward_hooks for net in (trainer.vae, trainer.critic) for p in net.parameters())


def test_what_is_raised_inside_passes_and_is_read_all_the_same() -> None:
    def stumble() -> None:
        VaeGan().train(2)
        raise KeyError

    with pytest.raises(KeyError), zoo.audit() as found:
        stumble()
    assert [loss["calls"] for loss in found.losses] == [2, 2]


def test_the_block_ends_once_the_steps_are_watched() -> None:
    with zoo.audit(steps=3) as found:
        VaeGan().train(8)
    assert [(each["name"], each["steps"]) for each in found.optimizers] == [("opt_vae", 3), ("opt_critic", 3)]


def test_the_name_is_a_function_s_however_it_is_imported() -> None:
    assert importlib.import_module("zoo.audit") is zoo.audit
    assert callable(zoo.audit)


def test_compiled_networks_are_watched_uncompiled() -> None:
    net = critic()
    compiled = torch.compile(net)
    optimizer = Adam(compiled.parameters(), 1e-3)
    with zoo.audit() as found:
        for x in (torch.randn(4, 2), torch.randn(4, 2), torch.randn(4, 2)):
            optimizer.zero_grad()
            compiled(x).mean().backward()
            optimizer.step()
    assert found.problems == []
    assert found.networks == ["compiled"]
    assert "uncompiled" in found.notes[0]


def test_a_script_runs_as_it_is_until_the_steps_are_watched(run_zoo: Run, script: Path) -> None:
    outcome = run_zoo("audit", "--steps", 4, script, 1000)
    assert outcome.code == 0
    assert outcome.err.splitlines()[-1] == "step 3"
    assert "0 problems found." in outcome.out
    assert "loss  " in outcome.out
    whole = run_zoo("audit", script, 3)
    assert whole.err.splitlines()[-1] == "the end"


def test_problems_are_told_as_text_json_and_a_page(run_zoo: Run, faulty: Path, tmp_path: Path) -> None:
    page = tmp_path / "audit.html"
    outcome = run_zoo("audit", "--to", page, "--json", "--", faulty, 5)
    assert outcome.code == 1
    told = json.loads(outcome.out)
    (problem,) = told["problems"]
    assert problem["kind"] == "never zeroed"
    assert problem["place"].endswith("faulty.py:12")
    assert problem["evidence"] == "in 4 of 5 steps, of loss"
    assert set(problem) == {"kind", "place", "what", "evidence", "effect", "cure"}
    html = page.read_text()
    assert "Never zeroed" in html
    assert "in 4 of 5 steps, of loss" in html
    assert "http" not in html.replace("http-equiv", "")
    text = run_zoo("audit", faulty, 5).out
    assert "faulty.py:12: never zeroed: optimizer steps model with gradients that it has stepped with before" in text


def test_a_script_that_raises_is_told_with_its_traceback(run_zoo: Run, tmp_path: Path) -> None:
    file = tmp_path / "train.py"
    file.write_text("raise ValueError('no data')\n")
    outcome = run_zoo("audit", file)
    assert outcome.code == 1
    assert "ValueError: no data" in outcome.err
    assert "the script raised ValueError: no data" in outcome.out


def test_there_is_no_such_script(run_zoo: Run) -> None:
    outcome = run_zoo("audit", "nowhere.py")
    assert (outcome.code, outcome.err) == (2, "zoo: error: there is no script 'nowhere.py'\n")


def test_as_a_module_and_of_a_module(script: Path) -> None:
    root = Path(__file__).parents[2]
    command = ("-m", "zoo.audit", "--steps", 2, "-m", "--", script.stem, 50)
    outcome = python(*command, cwd=script.parent, env={"PYTHONPATH": str(root)})
    assert outcome.code == 0, outcome.err
    assert "model" in outcome.out
