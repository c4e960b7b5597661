"""Less memory for the same numbers: a batch in parts, activations computed again."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from helpers.engine import BATCH, SLOTS, assert_close, differing, images, in_turn, played, small, snapshot
from torch import Tensor

from zoo.check.cost import counted
from zoo.engine.engine import Engine
from zoo.model.model import Model

AGAIN = "train.activation_checkpointing=true"


# -- activation checkpointing --------------------------------------------------------------------------------


@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("name", SLOTS)
def test_activations_computed_again_change_no_bit(name: str, joint: bool) -> None:
    """Nor running statistics, spectral norm's vectors, or the numbers that dropout draws."""
    phases = () if joint else in_turn(name)
    kept, again = (played(small(name, *how, phases=phases), 3).model for how in ((), (AGAIN,)))
    assert not differing(snapshot(kept), snapshot(again))


def test_in_bfloat16_too() -> None:
    low = "train.precision=bfloat16"
    kept, again = (played(small("avae", low, *how, dtype=torch.float32), 2).model for how in ((), (AGAIN,)))
    assert not differing(snapshot(kept), snapshot(again))


@pytest.mark.parametrize("name", SLOTS)
def test_fewer_bytes_are_kept_for_the_backward(name: str) -> None:
    kept, again = (kept_bytes(small(name, *how)) for how in ((), (AGAIN,)))
    assert again < 0.55 * kept


def kept_bytes(model: Model) -> int:
    engine = Engine(model)
    plan = engine.plan_now(0)
    model.train()
    return counted(lambda: plan.forward({"x": images(0)}, 0, lambda caller: model.draw(caller)) and rows(engine, plan))[
        1
    ]


def rows(engine: Engine, plan: object) -> None:
    engine.gradients(plan, images(0))  # type: ignore[arg-type]


# -- gradient accumulation -----------------------------------------------------------------------------------


def parts_by_hand(model: Model, parts: int) -> dict[str, Tensor]:
    """The mean of what the parts give, each with its rows of the noise of the whole batch, at the same weights."""
    engine = Engine(model)
    plan, x = engine.plan_now(0), images(0)
    model.train()
    rows = BATCH // parts
    vectors = {key: tensor for key, tensor in snapshot(model).items() if key.endswith(("._u", "._v"))}
    total: dict[str, Tensor] = {}
    for part in range(parts):
        model.load_state_dict(vectors, strict=False)
        found = plan.compute(
            {"x": x[part * rows : (part + 1) * rows]}, 0, cut(model, part * rows, rows), lambda term: term.weight(0)
        )[1]
        total = {key: total.get(key, 0) + gradient / parts for key, gradient in found.items()}
    return total


def cut(model: Model, first: int, rows: int) -> Callable[[str], object]:
    class Rows:
        def __init__(self, caller: str) -> None:
            self._draw = model.draw("train", 0, (), caller)

        def normal(self, *shape: int) -> Tensor:
            return self._draw.normal(BATCH, *shape[1:])[first : first + rows]

        def uniform(self, *shape: int) -> Tensor:
            return self._draw.uniform(BATCH, *shape[1:])[first : first + rows]

    return Rows


@pytest.mark.parametrize("name", SLOTS)
def test_a_batch_in_parts_is_the_mean_of_its_parts(name: str) -> None:
    model = small(name, "train.accumulate=2")
    engine = Engine(model)
    model.train()
    found = engine.shares(engine.plan_now(0), {"x": images(0)}, (0, 0))[1]
    assert_close(found, parts_by_hand(small(name), 2), 1e-12)


@pytest.mark.parametrize("norm", ["none", "spectral"])
def test_without_batch_norm_parts_are_the_whole(norm: str) -> None:
    """GAN's terms are means over images, and its networks here see each image by itself. Spectral norm iterates once
    for all parts of a play, and its vectors end as those of the whole batch."""
    norms = ["slots.generator.norm=none", f"slots.critic.norm={norm}"]
    whole, parts = (played(small("gan", *norms, *how), 2).model for how in ((), ("train.accumulate=4",)))
    assert_close(snapshot(whole), snapshot(parts), 1e-9)
