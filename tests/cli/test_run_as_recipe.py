"""A run is a recipe's argument; what advice says can be pasted; plugins that a run needs are said once."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from conftest import TINY, Run
from safetensors.torch import load_file

import zoo
from zoo.errors import RequestError

PLUGIN = """\
from zoo.api import Component, hookimpl

class Mine:
    better = "lower"

    def __init__(self):
        self.n = 0

    def update(self, x):
        self.n += len(x)

    def compute(self):
        return float(self.n)

@hookimpl
def zoo_components():
    return [Component("metric", "mine", "mine:Mine", "counts")]
"""


@pytest.fixture
def stopped(here: Path, run_zoo: Run) -> Path:
    """A run in a directory of its own, with a space in its name, stopped before it trained."""
    (here / "tiny.yaml").write_text(TINY)
    folder = here / "mine" / "lr 1"
    assert run_zoo("build", "tiny.yaml", "--out", folder, "--stop-after", "assemble").code == 0
    return folder


def test_the_advised_command_finishes_the_run(stopped: Path, run_zoo: Run) -> None:
    said = run_zoo("sample", stopped).err
    _, *command = shlex.split(said.partition("finish it with: ")[2])
    assert run_zoo(*command).code == 0
    assert not Path("runs").exists()
    assert run_zoo("sample", stopped).code == 0
    assert "up to date" in run_zoo("build", stopped).out
    assert "up to date" in run_zoo("build", stopped / "recipe.yaml").out


def test_check_explain_and_python_take_a_run(stopped: Path, run_zoo: Run) -> None:
    assert run_zoo("check", stopped).out == f"{stopped}: ok\n"
    assert run_zoo("explain", stopped).out.splitlines()[0] == run_zoo("explain", "tiny.yaml").out.splitlines()[0]
    assert zoo.build(stopped).recipe.latent == 4
    assert run_zoo("build", stopped, "--out", "other").code == 0
    assert not (stopped / "model.safetensors").exists()
    assert load_file("other/model.safetensors").keys() == zoo.build(stopped).state_dict().keys()


def test_a_run_says_once_which_plugin_file_to_give_again(here: Path, run_zoo: Run) -> None:
    (here / "mine.py").write_text(PLUGIN)
    (here / "tiny.yaml").write_text(TINY + "evaluate: {a: mine, b: {use: mine}, mse: null}\n")
    assert run_zoo("build", "tiny.yaml", "--plugin", "mine.py").code == 0
    said = f"zoo: error: runs/tiny: was built with plugins that are not here: give it again, --plugin {here}/mine.py\n"
    for command in ("sample", "evaluate", "build", "explain"):
        outcome = run_zoo(command, "runs/tiny")
        assert (outcome.code, outcome.err) == (2, said), command
    assert run_zoo("sample", "runs/tiny", "--plugin", "mine.py").code == 0
    with pytest.raises(RequestError, match="give it again"):
        zoo.load("runs/tiny")


def test_a_plugin_that_is_not_installed_is_named_with_its_pip_install(finished: Path, here: Path, run_zoo: Run) -> None:
    run = shutil.copytree(finished, here / "run")
    known = json.loads((run / "plugins.json").read_text())
    known["parts"]["term stranger/odd"] = {"distribution": "zoo-stranger", "version": "1.2", "plugin": "odd"}
    (run / "plugins.json").write_text(json.dumps(known))
    (run / "recipe.yaml").write_text((run / "recipe.yaml").read_text().replace("/kl", "/kll") + "# edited\n")
    said = "zoo: error: run: was built with plugins that are not here: pip install zoo-stranger==1.2\n"
    assert run_zoo("sample", "run").err == said
    (run / "plugins.json").write_text("{")
    assert "has no term 'kll'" in run_zoo("sample", "run").err


def test_a_stopped_training_can_be_sampled_from_its_newest_good_checkpoint(
    finished: Path, here: Path, run_zoo: Run
) -> None:
    run = shutil.copytree(finished, here / "run")
    whole = zoo.load(run).state_dict()
    (run / "model.safetensors").unlink()
    said = "run: is not finished; these are the raw weights of step {}"
    assert run_zoo("sample", "run").err == said.format(3) + "\n"
    with pytest.warns(UserWarning, match=said.format(3)):
        model = zoo.load("run").state_dict()
    assert all(torch.equal(model[name], whole[name]) for name in whole)
    with (run / "state" / "step-00000003.safetensors").open("r+b") as file:
        file.write(b"damaged")
    with pytest.warns(UserWarning, match=said.format(2)):
        zoo.load("run")


def test_a_metric_without_enough_images_is_refused_before_the_training(here: Path, run_zoo: Run) -> None:
    kid = "evaluate.kid={use: kernel, model: test_resnet, pretrained: false, subset: 9}"
    (here / "tiny.yaml").write_text(TINY)
    outcome = run_zoo("build", "tiny.yaml", "--set", kid)
    said = "error: metric 'kid': it needs at least 9 images, and 8 of the test split are scored\n"
    assert (outcome.code, outcome.err.endswith(said)) == (2, True), outcome.err
    assert not Path("runs/tiny/recipe.yaml").exists()


def test_an_override_of_a_run_that_reaches_no_player_is_refused(finished: Path, run_zoo: Run) -> None:
    """A run says an optimiser for every player, under which what is said of all of them does not come through."""
    refused = run_zoo("check", finished, "--set", "train.optimizer.lr=0.5")
    assert refused.code == 2
    said = "'lr' reaches nobody: every player has its own; write train.optimizers.encoder.lr"
    assert f"--set train.optimizer.lr=0.5: error: {said}" in refused.err
    assert run_zoo("check", finished, "--set", "train.optimizers.encoder.lr=0.5").code == 0
