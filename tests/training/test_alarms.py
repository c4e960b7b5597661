"""Sentinels: what they notice, when they tell, and that they change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY, Run

import zoo
from zoo.engine.engine import Engine
from zoo.errors import Interrupted
from zoo.model.model import Model
from zoo.recipe.yaml.read import read
from zoo.runs.run import Run as Folder
from zoo.training import loop
from zoo.training.alarms import Alarms
from zoo.types import Examples

pytestmark = pytest.mark.usefixtures("here")

IMAGES = torch.randint(256, (32, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)


def engine(*overrides: str) -> Engine:
    return Engine(zoo.build(read(TINY, "tiny.yaml").plain(), overrides=overrides))


def looks(engine: Engine, losses: dict[str, float], steps: tuple[int, ...] = (100, 200)) -> list[list[str]]:
    alarms = Alarms(engine.recipe, Examples(IMAGES, IMAGES), 1000)
    told = []
    for step in steps:
        engine.step_index = step
        told.append(alarms.look(engine, losses))
    return told


def silence(module: Any) -> None:
    """Zeroes what a network's last layers add: its output no longer depends on its input."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()


def spread(module: Any) -> None:
    """Weights with which a network's output varies, as a trained one's does."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.5)


@pytest.fixture
def healthy() -> Engine:
    made = engine()
    spread(made.model.encoder)
    spread(made.model.generator)
    return made


def test_a_healthy_model_gives_no_alarm(healthy: Engine) -> None:
    assert looks(healthy, {"critic/discriminate": 1.3}) == [[], []]


def test_posterior_collapse(healthy: Engine) -> None:
    silence(healthy.model.encoder)
    [first, [alarm]] = looks(healthy, {})
    assert not first  # once may be chance
    assert alarm.startswith("step 200: posterior collapse: the codes of 32 images are all alike")
    assert "kl: {from: 0, to: 1, steps: N}" in alarm


def test_generator_collapse(healthy: Engine) -> None:
    silence(healthy.model.generator)
    [_, [alarm]] = looks(healthy, {})
    assert alarm.startswith("step 200: generator collapse: 32 samples are all alike (their pixels vary 0 times")


def test_critic_saturation(healthy: Engine) -> None:
    [_, [alarm]] = looks(healthy, {"critic/discriminate": 1e-5, "generator/reverse_kl": 0.0})
    assert alarm.startswith("step 200: critic saturation: 'discriminate' of row 'critic' is 1e-05")


def test_a_loss_that_may_be_below_zero_is_no_saturation(healthy: Engine) -> None:
    assert looks(healthy, {"critic/discriminate": -40.0}) == [[], []]


def test_a_network_says_itself_that_it_is_about_to_fail(healthy: Engine) -> None:
    healthy.model.encoder.alarm = lambda: "half of it is asleep"
    assert looks(healthy, {}) == [[], ["step 200: slot 'encoder': half of it is asleep"]]


def test_looks_are_seldom_and_each_alarm_is_told_once(healthy: Engine) -> None:
    silence(healthy.model.generator)
    told = looks(healthy, {}, (50, 99, 100, 120, 125, 150, 160, 400))
    assert [len(alarms) for alarms in told] == [0, 0, 0, 0, 1, 0, 0, 0]


def test_looking_changes_no_bit(healthy: Engine) -> None:
    before = {name: tensor.clone() for name, tensor in healthy.model.state_dict().items()}
    state = torch.get_rng_state()
    looks(healthy, {"critic/discriminate": 0.0})
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(tensor, before[name]) for name, tensor in healthy.model.state_dict().items())


COLLAPSING = (
    TINY.replace("steps: 3", "steps: 100").replace("log_every: 1", "log_every: 10")
    + "phases: [{encoder + decoder: {kl: 1.0, reconstruction: 1e-9}}]\n"
)
"""Nothing but the KL term counts, which is least where no code tells anything."""
FAST = ("--set", "train.optimizers={encoder: {lr: 0.02}}", "--set", "outputs.sample=decoded_prior")


def test_the_command_warns_goes_on_and_reports(run_zoo: Run) -> None:
    Path("tiny.yaml").write_text(COLLAPSING)
    outcome = run_zoo("build", "tiny.yaml", *FAST)
    assert outcome.code == 0, outcome.err
    [alarm] = [line for line in outcome.errors if "posterior collapse" in line]
    assert alarm.startswith("step ")
    assert "posterior collapse" in unescape(Path("runs/tiny/report.html").read_text())


def test_on_alarm_stop_saves_and_says_why(run_zoo: Run) -> None:
    Path("tiny.yaml").write_text(COLLAPSING)
    outcome = run_zoo("build", "tiny.yaml", *FAST, "--on-alarm", "stop")
    assert outcome.code == 1
    sentence = outcome.errors[-1]
    assert sentence.startswith("zoo: error: stopped and saved at step ")
    assert "as --on-alarm stop asks: step " in sentence
    assert run_zoo("build", "tiny.yaml", *FAST).code == 0  # and goes on where it stopped
    assert sentence.partition("asks: ")[2] in unescape(Path("runs/tiny/report.html").read_text())


@pytest.mark.parametrize("log_every", [1, 7])
def test_a_training_in_pieces_tells_what_one_in_one_go_tells_and_each_once(
    log_every: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it suspects, what it has told and when it looks next are in the checkpoint."""

    def found(_: Alarms, engine: Engine, losses: dict[str, float]) -> Iterator[tuple[str, str]]:
        yield "early", f"early {losses}"
        if engine.step_index > 16:
            yield "late", "late"

    def train(folder: str, pieces: int) -> list[str]:
        told: list[str] = []
        with Folder(tmp_path / folder) as run:
            for piece in range(1, pieces + 1):
                steps = iter(range(40 // pieces if piece < pieces else 40))
                with suppress(Interrupted):
                    loop.train(
                        Model(recipe),
                        IMAGES,
                        run=run,
                        stop=lambda steps=steps: next(steps, None) is None,
                        on_alarm=told.append,
                    )
        return told

    monkeypatch.setattr(Alarms, "_seen", found)
    monkeypatch.setattr("zoo.training.alarms.SOONEST", 6)
    recipe = engine("train.steps=40", f"train.log_every={log_every}", "train.save_every=11").recipe
    whole = train("whole", 1)
    assert [alarm.partition(": ")[2][:4] for alarm in whole] == ["earl", "late"]
    assert train("pieces", 8) == whole
