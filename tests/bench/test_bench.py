"""``zoo bench``: what is slow on purpose is found, what is counted is exact, nothing is written."""

from __future__ import annotations

import gc
import json
import time
from pathlib import Path

import pytest
import torch
from conftest import TINY, Run

from zoo.bench.clock import Middle, Spent, in_turns, ratio, timed
from zoo.bench.floor import Ceilings, floor
from zoo.bench.parts import Subject, batches_a_step, held, plays
from zoo.check.cost import costs
from zoo.model.model import Model
from zoo.recipe import Recipe, load_recipe, registry_for
from zoo.types import Examples

pytestmark = pytest.mark.usefixtures("tiny")

CPU = torch.device("cpu")

SLOW = '''
import time

from zoo import api


def slow(images, draw):
    """Takes 10 ms of the processor."""
    end = time.process_time() + 0.01
    while time.process_time() < end:
        pass
    return images


@api.hookimpl
def zoo_components():
    return [api.Component("augmentation", "slow", f"{__name__}:slow", "takes 10 ms")]
'''


@pytest.fixture
def tiny(here: Path) -> Path:
    (here / "slow.py").write_text(SLOW)
    file = here / "tiny.yaml"
    file.write_text(TINY)
    return file


def subject(*overrides: str) -> Subject:
    recipe = resolved(*overrides)
    zeros = torch.zeros(16, 3, 8, 8, dtype=torch.uint8)
    found = Subject.of(Model(recipe, CPU), Examples(zeros, zeros))
    found.step()
    return found


def resolved(*overrides: str) -> Recipe:
    return load_recipe("tiny.yaml", overrides, registry_for("tiny.yaml", ()))


# -- the command -----------------------------------------------------------------------------------------------


def test_what_is_slow_is_found_and_what_is_quicker_advised(tiny: Path, run_zoo: Run) -> None:
    before = sorted(tiny.parent.iterdir())
    slow = ("--plugin", "slow.py", "--set", "augment=[slow]", "--try", "augment=[]")
    outcome = run_zoo("bench", tiny, "--random-data", "--steps", 6, "--json", *slow, "--set", "train.ema=0.9")
    found = json.loads(outcome.out)
    assert sorted(path for path in tiny.parent.iterdir() if path.name != "__pycache__") == before
    assert (found["data"], found["batch"], found["first_step"], found["steps"]) == ("random numbers", 4, 1, 6)
    parts = {part["name"]: part for part in found["parts"]}
    assert list(parts)[:5] == ["data", "forward", "gradients", "optimiser", "average"]
    assert parts["data"]["seconds"] == pytest.approx(0.01, rel=0.3)
    assert sum(part["share"] for part in found["parts"]) == pytest.approx(1)
    assert found["flops"] == costs(resolved())[-1].flops
    assert 0 < found["of_floor"] < 1
    without = next(one for one in found["against"] if one["override"] == "augment=[]")
    assert without["ratio"]["median"] < 1
    assert any(one.startswith("Batches take ") and one.endswith("with augment: slow.") for one in found["advice"])


def test_a_page_for_people(tiny: Path, run_zoo: Run) -> None:
    outcome = run_zoo("bench", tiny, "--steps", 2, "--try", "train.cuda_graph=on")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith("tiny: 6 steps of 4 images in float32, from step 1 on\nCPU, ")
    assert "images: 64 of photos\n" in outcome.out
    for row in ("images/s", "a step", "same step twice", "of the floor", "training holds", "peak of the process"):
        assert f"\n{row}  " in outcome.out
    assert "train.cuda_graph=on  " in outcome.out
    assert "not timed" in outcome.out


def test_phases_are_told_apart_and_weighed(tiny: Path, run_zoo: Run) -> None:
    tiny.write_text(
        TINY.replace("extends: avae", "extends: vaegan")
        .replace(" generator: {width: 4},", "")
        .replace("noise: 4\n", "")
        + "phases:\n  - encoder + decoder: {reconstruction: 1.0, kl: 1.0}\n"
        "  - rows: {critic: {discriminate: 1.0}}\n    every: 2\n    repeat: 3\n    fresh: true\n"
    )
    recipe = resolved()
    assert [plays(phase) for phase in recipe.phases] == [1, 1.5]
    assert batches_a_step(recipe) == 2.5
    found = json.loads(run_zoo("bench", tiny, "--random-data", "--steps", 2, "--json").out)
    assert {part["phase"] for part in found["parts"]} - {""} == {"1: encoder + decoder", "2: critic"}
    assert found["steps"] == 12  # three rounds, twice a step, and a cycle is two of them


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--steps", "0"], "zoo: error: --steps must be at least 1, not 0\n"),
        (["--try", "train.compil=true"], "--try train.compil=true: error: 'train' has no option 'compil'"),
        (["--set", "data.use=lsun-bedroom"], "; --random-data times the recipe without its images\n"),
        (["--device", "meta"], "zoo: error: --device meta: steps are timed on cpu and cuda, not on meta\n"),
    ],
)
def test_what_cannot_be_timed_is_said(arguments: list[str], sentence: str, tiny: Path, run_zoo: Run) -> None:
    outcome = run_zoo("bench", tiny, *arguments)
    assert outcome.code == 2
    assert sentence in outcome.err


# -- what it rests on ------------------------------------------------------------------------------------------


def test_a_short_training_is_never_over() -> None:
    found = subject("train.optimizer.rate={from: 1, to: 0}")
    for _ in range(5):
        found.step()
        assert 1 <= found.engine.step_index <= 3


def test_bytes_are_counted() -> None:
    found = subject("train.ema=0.5")
    numbers = [p.numel() for player in found.engine.players.values() for p in player.parameters.values()]
    bytes_held = held(found)
    assert bytes_held.weights == 4 * sum(numbers)
    assert bytes_held.optimizer == 2 * bytes_held.weights + 4 * len(numbers)  # Adam: two moments, and a count
    floating = [v for v in found.engine.model.state_dict().values() if v.is_floating_point()]
    assert bytes_held.average == 4 * sum(v.numel() for v in floating)
    whole = bytes_held.backward + bytes_held.average + bytes_held.optimizer + 2 * bytes_held.weights
    assert bytes_held.total == whole


def test_a_batch_in_parts_keeps_what_a_part_needs() -> None:
    whole, parts, half = held(subject()), held(subject("train.accumulate=2")), held(subject("train.batch=2"))
    other = 2 * 3 * 8 * 8 * 4  # the images of the other part are there too
    assert parts.backward == half.backward + other < whole.backward
    assert parts.moved == 2 * parts.backward


def test_the_floor_is_the_larger_of_products_and_bytes() -> None:
    best = Ceilings(flops=100.0, bandwidth=10.0)
    moved = 2 * 5 + 4 * 3 + 2 * 6
    assert (floor(1000, 5, 3, 6, best).seconds, floor(1000, 5, 3, 6, best).bound) == (10.0, "products")
    assert (floor(1, 5, 3, 6, best).seconds, floor(1, 5, 3, 6, best).bound) == (moved / 10, "bytes")


def test_sleep_takes_time_and_no_cpu() -> None:
    spent = timed(lambda: time.sleep(0.02), CPU)
    assert spent.wall >= 0.02
    assert spent.seconds < 0.01


def test_every_side_has_its_turn_each_round() -> None:
    turns: list[str] = []
    found = in_turns({"a": lambda: turns.append("a"), "b": lambda: turns.append("b")}, 8, CPU)
    rounds = [turns[i : i + 2] for i in range(0, 16, 2)]
    assert {frozenset(one) for one in rounds} == {frozenset("ab")}
    assert {tuple(one) for one in rounds} == {("a", "b"), ("b", "a")}
    assert [len(spent) for spent in found.values()] == [8, 8]
    assert gc.isenabled()


def test_ratios_are_of_rounds() -> None:
    a, b = ([Spent(seconds, 0, 0) for seconds in side] for side in ((1, 20, 3), (2, 10, 3)))
    assert ratio(a, b) == Middle(1.0, 0.75, 1.5)
    assert not ratio(a, b).quiet
    assert Middle(1.01, 0.99, 1.03).quiet
    assert str(Middle(1.0, 0.75, 1.5)) == "1.000 (0.750 to 1.500)"
