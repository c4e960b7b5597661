"""Interrupted anywhere and continued is bit for bit the uninterrupted run: weights, optimisers, averages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.engine import BATCH, in_batches, in_turn, pixels, small
from torch import Tensor

from zoo.api import Record
from zoo.data.batches import Batches
from zoo.engine.engine import Engine
from zoo.errors import Interrupted
from zoo.model.model import Model
from zoo.recipe import Recipe, write_recipe
from zoo.runs.checkpoint import checkpoints
from zoo.runs.run import Run
from zoo.training.journal import Journal, read_journal
from zoo.training.loop import train
from zoo.types import to_pixels

STEPS = 4
OPTIONS = ("train.ema=0.9", "train.log_every=1", f"train.steps={STEPS}")


def recipe(name: str = "avae", *overrides: str, phases: Any = ()) -> Recipe:
    return small(name, *OPTIONS, *overrides, phases=phases, dtype=torch.float32).recipe


def trained(made: Recipe, folder: Path, stop: Any = lambda: False, watchers: Any = (), say: Any = print) -> Engine:
    """A new process would do this: build the model, take up the run, go on."""
    with Run(folder) as run:
        run.write("recipe.yaml", write_recipe(made))
        journal = Journal(run.path("metrics.jsonl"))
        return train(Model(made), pixels(), watchers=(journal, *watchers), run=run, stop=stop, say=say)


def kept(folder: Path) -> list[Path]:
    with Run(folder) as run:
        return checkpoints(run)


def interrupted_at_every_step(made: Recipe, folder: Path) -> Engine:
    for _ in range(made.train.steps - 1):
        with pytest.raises(Interrupted):
            trained(made, folder, stop=lambda: True)
    return trained(made, folder)


def assert_same(a: Engine, b: Engine) -> None:
    (tensors, plain), (others, other_plain) = a.state(), b.state()
    assert plain == other_plain == {"step": STEPS, "images": STEPS * BATCH, "alarms": {}}
    assert tensors.keys() == others.keys()
    assert {key.split("/")[0] for key in tensors} == {"model", "ema", "optimizer"}
    assert [key for key in tensors if not torch.equal(tensors[key], others[key])] == []


# -- bit for bit -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "precision"), [("avae", "float32"), ("vaegan", "bfloat16")])
def test_a_run_interrupted_at_every_step_is_the_uninterrupted_one(tmp_path, name, precision):
    made = recipe(name, f"train.precision={precision}")
    assert_same(trained(made, tmp_path / "whole"), interrupted_at_every_step(made, tmp_path / "pieces"))


def test_with_phases_in_turn_repeated_fresh_and_late(tmp_path):
    vae, generator, critic = in_turn("avae")
    phases = [
        vae,
        {"rows": critic, "repeat": 2, "fresh": True, "start": 1, "until": 3},
        {"rows": generator, "every": 2},
    ]
    made = recipe("avae", "train.clip=1.0", phases=phases)
    assert_same(trained(made, tmp_path / "whole"), interrupted_at_every_step(made, tmp_path / "pieces"))


def test_with_schedules(tmp_path):
    ramp = {"weight": [{"from": 0.0, "to": 1.0, "steps": 2, "start": 1}, {"to": 0.5, "shape": "cosine"}]}
    phases = [{"encoder + decoder": {"reconstruction": 1.0, "kl": ramp}}]
    betas = "[[{from: 0.5, to: 0.9, steps: 2}, {to: 0.1}], 0.99]"
    rate = f"rate: {{from: 1.0, to: 0.1, steps: 4, shape: cosine}}, betas: {betas}"
    ema = "train.ema=[{from: 0.01, to: 0.2, steps: 2}, {to: 0.05}]"
    made = recipe("vae", f"train.optimizer={{use: adam, {rate}}}", ema, phases=phases)
    assert_same(trained(made, tmp_path / "whole"), interrupted_at_every_step(made, tmp_path / "pieces"))


@pytest.mark.parametrize("optimizer", ["adamw", "{use: sgd, momentum: 0.9}", "sgd", "rmsprop"])
def test_with_each_optimiser(tmp_path, optimizer):
    made = recipe("gan", f"train.optimizer={optimizer}")
    whole, pieces = trained(made, tmp_path / "whole"), interrupted_at_every_step(made, tmp_path / "pieces")
    (tensors, _), (others, _) = whole.state(), pieces.state()
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[key], others[key]) for key in tensors)


def test_the_callers_random_numbers_are_left_alone(tmp_path):
    made = recipe("vae")
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    trained(made, tmp_path)
    assert torch.equal(torch.rand(3), expected)


# -- crashes -----------------------------------------------------------------------------------------------


class Crash:
    """A watcher that breaks at a step, before its checkpoint is written."""

    def __init__(self, step: int) -> None:
        self.step = step

    def start(self, *_: int) -> None: ...

    def end(self) -> None: ...

    def log(self, record: Record) -> None:
        if record.step == self.step:
            raise KeyboardInterrupt


def test_a_crash_between_checkpoints_goes_back_to_the_last_and_leaves_each_step_once(tmp_path):
    made = recipe("vae", "train.save_every=2")
    with pytest.raises(KeyboardInterrupt):
        trained(made, tmp_path / "crashed", watchers=[Crash(3)])
    assert [r["step"] for r in read_journal(tmp_path / "crashed/metrics.jsonl")] == [1, 2, 3]
    whole, again = trained(made, tmp_path / "whole"), trained(made, tmp_path / "crashed")
    assert_same(whole, again)
    journals = [[*read_journal(tmp_path / name / "metrics.jsonl")] for name in ("whole", "crashed")]
    assert [r["step"] for r in journals[1]] == [1, 2, 3, 4]
    assert [r["losses"] for r in journals[0]] == [r["losses"] for r in journals[1]]


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def scribbled(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [truncated, emptied, scribbled])
def test_a_damaged_checkpoint_falls_back_to_the_one_before_and_says_so(tmp_path, damage):
    made, said = recipe("vae", "train.save_every=1"), []
    with pytest.raises(KeyboardInterrupt):
        trained(made, tmp_path / "damaged", watchers=[Crash(4)])
    newest = kept(tmp_path / "damaged")[0]
    damage(newest)
    again = trained(made, tmp_path / "damaged", say=said.append)
    assert f"{newest}: cannot be read" in said[0]
    assert said[1:] == [f"continuing at step 2 of {STEPS}"]
    assert_same(trained(made, tmp_path / "whole"), again)
    assert [r["step"] for r in read_journal(tmp_path / "damaged/metrics.jsonl")] == [1, 2, 3, 4]


def test_the_newest_two_checkpoints_are_kept(tmp_path):
    trained(recipe("vae", "train.save_every=1"), tmp_path)
    assert [path.stem for path in kept(tmp_path)] == ["step-00000004", "step-00000003"]


def test_a_finished_run_takes_no_more_steps(tmp_path):
    made = recipe("vae")
    assert_same(trained(made, tmp_path), trained(made, tmp_path))


# -- the order of the data ---------------------------------------------------------------------------------


def numbered(n: int, batch: int, seed: int = 0) -> Batches:
    """n images that show their own number."""
    return in_batches(torch.arange(n, dtype=torch.uint8).view(n, 1, 1, 1), batch, seed)


def shown(images: Tensor) -> list[int]:
    return to_pixels(images).flatten().tolist()


def stream(batches: Batches, turns: int) -> list[int]:
    return [number for turn in range(turns) for number in shown(batches(turn)["x"])]


def test_each_epoch_shows_every_image_once_in_an_order_of_its_own():
    numbers = stream(numbered(10, 5), 6)
    epochs = [numbers[i : i + 10] for i in (0, 10, 20)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3


def test_a_batch_may_span_epochs():
    numbers = stream(numbered(10, 4), 5)
    assert [sorted(numbers[:10]), sorted(numbers[10:])] == [list(range(10))] * 2


def test_a_set_smaller_than_a_batch_goes_round():
    numbers = stream(numbered(3, 8), 3)
    assert all(sorted(numbers[i : i + 3]) == [0, 1, 2] for i in range(0, 24, 3))


def test_a_batch_is_a_function_of_its_turn_and_the_seed():
    batches = numbered(10, 4)
    expected = shown(batches(7)["x"])
    stream(batches, 3)
    assert shown(batches(7)["x"]) == expected == shown(numbered(10, 4)(7)["x"])
    assert shown(numbered(10, 4, seed=1)(7)["x"]) != expected
