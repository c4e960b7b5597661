"""What the engine costs beyond the tuned loop that an expert writes by hand (``benchmarks/hand/joint.py``): nothing.

Counted, not timed, so it holds on any machine. Both sides are handed the batch; the engine's average is off, as
``cases.built`` leaves it, since the loop has none. Noise is drawn on both sides. The loop computes what the engine
does, loss for loss: ``benchmarks/test_hand.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import pytest
import torch
from benchmarks.cases import SYSTEMS, built, engines_draw, photographs
from benchmarks.counting import Counts, counted
from benchmarks.hand import Joint
from torch import Tensor

from zoo.engine.engine import Engine
from zoo.engine.sentinel import Sentinel
from zoo.model.model import Model

EXTRA_OPERATIONS = 5
CASTS = {"vaegan": 3, "bigan": 2}
"""What comes on top in bfloat16: casts, back and forth, of what one network hands to another. A value is in float32
there, for a term may read it or take a gradient to it; the loop's are in bfloat16."""
KEPT = {"gan": 1, "vaegan": 2, "bigan": 1, "avae": 2}
"""Images that are kept in bfloat16 as well, for the same reason."""
PRECISIONS = ("float32", "bfloat16")
both = pytest.mark.parametrize("precision", PRECISIONS)
systems = pytest.mark.parametrize("name", SYSTEMS)


@cache
def counts(name: str, precision: str) -> tuple[Counts, Counts]:
    """A step of the engine and one of the hand-written loop, each after one that makes plans and states."""
    ours, theirs = (built(name, width=16, size=32, batch=16, precision=precision) for _ in range(2))
    dtype = torch.bfloat16 if precision == "bfloat16" else None
    engine, joint, x = Engine(ours), Joint(theirs, name, dtype), photographs(ours)
    steps = (lambda: engine.step(lambda _: x), lambda: joint.step(x, lambda _, *shape: torch.randn(*shape)))
    for step in steps:
        step()
    return counted(steps[0]), counted(steps[1])


@both
@systems
def test_the_products_are_those_of_the_loop_by_hand(name, precision):
    engine, hand = counts(name, precision)
    assert engine.flops == hand.flops > 0


@both
@systems
def test_a_step_dispatches_hardly_more_operations_than_the_loop_by_hand(name, precision):
    engine, hand = counts(name, precision)
    more = {key: n for key, n in (engine.operations - hand.operations).items() if n}
    allowed = EXTRA_OPERATIONS + (CASTS.get(name, 0) if precision == "bfloat16" else 0)
    assert engine.total <= hand.total + allowed, f"{engine.total} against {hand.total}: {more}"


@both
@systems
def test_a_step_keeps_no_more_for_the_backward_than_the_loop_by_hand(name, precision):
    engine, hand = counts(name, precision)
    images = KEPT.get(name, 0) if precision == "bfloat16" else 0
    assert engine.saved <= hand.saved + images * 16 * 3 * 32 * 32 * 2, f"{engine.saved} against {hand.saved}"


@pytest.mark.parametrize("overrides", [(), ("train.clip=1.0", "train.ema=0.99")], ids=["plain", "clipped and averaged"])
@systems
def test_the_host_waits_for_nothing_in_a_step(name, overrides):
    model = built(name, *overrides, width=4, size=16, batch=4, precision="bfloat16")
    engine, x = Engine(model), photographs(model)
    engine.sentinel = Sentinel(model.device, at_once=False)  # as on a GPU; at once is for the CPU, which is the host
    engine.step(lambda _: x)
    assert counted(lambda: engine.step(lambda _: x)).waits == []


def test_what_the_host_would_wait_for_is_seen():
    x = torch.arange(3.0)
    assert counted(lambda: x.sum().item()).waits == ["_local_scalar_dense.default"]
    assert counted(lambda: bool(x.sum() > 0)).waits == ["_local_scalar_dense.default"]
    assert counted(lambda: x[x > 1]).waits == ["index.Tensor"]
    assert counted(lambda: x[torch.tensor([0, 2])]).waits == []
    assert counted(lambda: torch.empty(3, device="meta").copy_(x)).waits == ["copy_.default"]
    assert counted(lambda: x.to("meta")).waits == ["_to_copy.default"]


# -- who moves, and which way ----------------------------------------------------------------------------------

RATE = 1e-3


def by_the_engine(model: Model, x: Tensor) -> dict[str, Tensor]:
    """Parameter -> gradient, read off one step of plain descent: what did not move took none."""
    before = {key: p.detach().clone() for key, p in model.named_parameters()}
    Engine(model).step(lambda _: x)
    return {key: (before[key] - p.detach()) / RATE for key, p in model.named_parameters()}


def by_hand(model: Model, name: str, x: Tensor) -> Mapping[str, Tensor]:
    """Parameter -> the gradient of its own row, 0 where it has none."""
    joint = Joint(model, name)
    rows, gradients = joint.gradients(x, engines_draw(model, 0))
    found = {key: torch.zeros_like(p) for key, p in model.named_parameters()}
    for row, taken in zip(rows, gradients, strict=True):
        keys = [f"{player}.{key}" for player in row.players for key, _ in model.network(player).named_parameters()]
        found |= {key: gradient for key, gradient in zip(keys, taken, strict=True) if gradient is not None}
    return found


@systems
def test_each_player_goes_down_the_gradient_of_its_own_row(name):
    descent = f"train.optimizer={{use: sgd, lr: {RATE}, rate: 1.0}}"
    ours, theirs = (built(name, descent, width=4, size=16, batch=4).double() for _ in range(2))
    x = photographs(ours)
    found, expected = by_the_engine(ours, x), by_hand(theirs, name, x)
    assert found.keys() == expected.keys()
    assert any(bool(gradient.any()) for gradient in expected.values())
    for key, gradient in expected.items():
        torch.testing.assert_close(found[key], gradient, rtol=1e-6, atol=1e-8, msg=lambda m, key=key: f"{key}: {m}")
