"""Each thing a checkpoint holds is lost in turn: it is missed at once, or the result is another. None is ballast."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from helpers.engine import in_batches
from torch import Tensor

import zoo
from faults.tiny import tiny
from zoo.data.augment import augmentations
from zoo.data.batches import Batches
from zoo.engine.engine import Engine
from zoo.training.alarms import FIRST, Alarms
from zoo.types import Examples

STEPS = 2
REFUSED = (LookupError, RuntimeError, ValueError, TypeError)
"""What is raised where something is missing; the run then goes back to the checkpoint before, and says so."""
MADE_ANEW = ("._u reset", "._v reset")
"""Spectral norm's two vectors: a step makes each from the other and the weight (Miyato et al. 2018, algorithm 1). They
are saved because an evaluation, which makes no step, reads both."""
UNREAD = "/step reset"
"""A count that torch's RMSprop keeps, wants back, and never reads."""
ALIKE = torch.zeros(4, 3, 16, 16, dtype=torch.uint8)
"""Images whose codes are alike: a collapse, if one goes by them."""
OPTIMIZERS = ("{use: sgd, momentum: 0.9}", "rmsprop", "adamw")


def a_player(*overrides: str, name: str = "avae") -> tuple[Engine, Batches]:
    """An engine at its beginning, and its images."""
    recipe = tiny(name, "data.size=16", "train.steps=9", *overrides)  # rates that end at 0 move nothing there
    pixels = torch.randint(256, (24, 3, 16, 16), generator=torch.Generator().manual_seed(7)).to(torch.uint8)
    engine = Engine(zoo.model.model.Model(recipe))
    return engine, in_batches(pixels, recipe.train.batch, recipe.seed, augment=augmentations(recipe))


def copied(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in tensors.items()}


@pytest.fixture(autouse=True)
def _early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.training.alarms.SOONEST", STEPS)


Result = tuple[dict[str, Tensor], list[str]]


def result(engine: Engine, batches: Batches, until: int) -> Result:
    """The weights, their averages and the count of images of the step after ``STEPS``; and the alarms on the way."""
    sentinels, told = Alarms(engine.recipe, Examples(ALIKE, ALIKE), int(STEPS / FIRST)), []
    while engine.step_index < until:
        engine.step(batches)
        told += sentinels.look(engine, {})
    kept = copied(engine.state()[0]) | {"images": torch.tensor(engine.seen_images)}
    return {name: tensor for name, tensor in kept.items() if not name.startswith("optimizer/")}, told


def same(one: Result, other: Result) -> bool:
    return one[1] == other[1] and all(torch.equal(one[0][name], other[0][name]) for name in one[0])


def unnoticed(engine: Engine, batches: Batches) -> tuple[list[str], int]:
    """What could be lost without anybody noticing, and how many losses were tried."""
    start, begin = copied(engine.state()[0]), engine.state()[1]
    assert not result(engine, batches, STEPS)[1]
    saved, plain = copied(engine.state()[0]), engine.state()[1]
    expected = result(engine, batches, STEPS + 1)
    assert len(expected[1]) == 1
    engine.restore(saved, plain)
    assert same(expected, result(engine, batches, STEPS + 1)), "what is saved is not enough"
    losses = [*_removed(saved), *_reset(saved, start)]
    passed = [told for told, tensors in losses if _passes(engine, batches, tensors, plain, expected)]
    passed += [f"{key} reset" for key in plain if _passes(engine, batches, saved, {**plain, key: begin[key]}, expected)]
    for key in plain:
        with pytest.raises(REFUSED):
            engine.restore(saved, {name: value for name, value in plain.items() if name != key})
    return passed, len(losses) + 2 * len(plain)


def _removed(saved: dict[str, Tensor]) -> Iterable[tuple[str, dict[str, Tensor]]]:
    for lost in saved:
        yield f"{lost} removed", {name: tensor for name, tensor in saved.items() if name != lost}


def _reset(saved: dict[str, Tensor], start: dict[str, Tensor]) -> Iterable[tuple[str, dict[str, Tensor]]]:
    """Each back to what it was before the first step; an optimiser begins with zeros."""
    for lost, tensor in saved.items():
        initial = start.get(lost, torch.zeros_like(tensor))
        if not torch.equal(initial, tensor):
            yield f"{lost} reset", {**saved, lost: initial}


def _passes(
    engine: Engine, batches: Batches, tensors: dict[str, Tensor], plain: dict[str, Any], expected: Result
) -> bool:
    """Whether the loss is neither refused nor seen in the result."""
    for tensor in engine.state()[0].values():
        tensor.detach().zero_()  # nothing is left of the trial before
    try:
        engine.restore(tensors, plain)
        return same(expected, result(engine, batches, STEPS + 1))
    except REFUSED:
        return False


PROMISE = "Nothing that is saved can be lost unnoticed: each item of a checkpoint, removed or reset, shows."


@pytest.mark.promise(PROMISE)
def test_everything_of_an_avae(record_property: Callable[[str, object], None]) -> None:
    made = a_player("phases.0.generator.entropy={estimator: score, weight: -0.01}", "train.precision=float32")
    passed, tried = unnoticed(*made)
    record_property("cases", tried)
    passed = [told for told in passed if not told.endswith(MADE_ANEW)]
    assert not passed, "\n".join(passed)


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_everything_of_an_optimiser(optimizer: str, record_property: Callable[[str, object], None]) -> None:
    made = a_player(f"train.optimizer={optimizer}", "train.precision=float32", name="vae")
    passed, tried = unnoticed(*made)
    record_property("cases", tried)
    if optimizer == "rmsprop":
        passed = [told for told in passed if not told.endswith(UNREAD)]
    assert not passed, "\n".join(passed)
