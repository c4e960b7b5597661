"""The hand-written loops compute what the engine computes: same weights, images and noise, same losses."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from zoo.engine.engine import Engine
from zoo.machine.device import repeatable
from zoo.model.model import Model
from zoo.recipe import load_recipe

from .cases import SYSTEMS, built, engines_draw, photographs
from .hand import Captured, Joint, Naive
from .hand.captured import WARM_UP
from .loops import GRAPH, model_of
from .measuring import CUDA, DEVICE
from .plan import Step

SMALL: dict[str, Any] = {"width": 4, "size": 16, "batch": 4}
STEPS = 3


def twins(name: str, *overrides: str, **settings: Any) -> tuple[Model, Model]:
    """Two models with the same weights."""
    return tuple(built(name, *overrides, **{**SMALL, **settings}) for _ in range(2))  # type: ignore[return-value]


def compared(engine: Engine, step, tolerance: float) -> None:
    """Some steps of the engine and of a loop; every loss and, at the end, every parameter is the same."""
    for index in range(STEPS):
        x = photographs(engine.model, seed=index)
        draw = engines_draw(engine.model, index)
        ours, theirs = engine.step(lambda _, x=x: x), step(x, draw)
        assert ours.keys() == theirs.keys()
        for key, value in ours.items():
            assert float(theirs[key]) == pytest.approx(float(value), rel=tolerance, abs=tolerance), (index, key)


def close(ours: Model, theirs: Model, tolerance: float) -> None:
    """Every parameter within the tolerance of its namesake."""
    other = dict(theirs.named_parameters())
    far = {key: float((p - other[key]).detach().abs().max()) for key, p in ours.named_parameters()}
    assert max(far.values()) <= tolerance, max(far.items(), key=lambda item: item[1])


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_joint_loop_is_the_engine(name):
    ours, theirs = (model.double() for model in twins(name))
    engine, joint = Engine(ours), Joint(theirs, name)
    compared(engine, joint.step, 1e-9)
    close(ours, theirs, 1e-9)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_joint_loop_is_the_engine_in_bfloat16(name):
    ours, theirs = twins(name, precision="bfloat16")
    compared(Engine(ours), Joint(theirs, name, torch.bfloat16).step, 0.02)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_naive_loop_is_the_engine_with_a_phase_for_each_row(name):
    # spectral norm refines its estimate at every forward, of which the naive loop has more: without it here
    rows = [row for phase in load_recipe(name).phases for row in phase.rows]
    phases = [{row.label: {term.label: term.plain() for term in row.terms}} for row in rows]
    plain = ["slots.critic.norm=batch"] if name in ("gan", "vaegan", "bigan", "avae") else []
    ours, theirs = (model.double() for model in twins(name, f"phases={phases}", *plain))
    engine, naive = Engine(ours), Naive(theirs, name)
    compared(engine, naive.step, 1e-9)
    close(ours, theirs, 1e-9)


@pytest.mark.parametrize("name", SYSTEMS)
def test_the_captured_loop_is_the_joint_one(name):
    """The same images and the same stream of noise, so nothing is kept as it was at the capture."""
    ours, theirs = (model.double() for model in twins(name, device=DEVICE))
    joint, generator = Joint(theirs, name), torch.Generator(DEVICE).manual_seed(0)

    def draw(_: str, *shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, device=DEVICE, dtype=torch.float64)

    batches = [photographs(ours, seed=index) for index in range(STEPS)]
    captured = Captured(ours, name, batches[0], graph=GRAPH)
    for _ in range(WARM_UP):
        joint.step(batches[0], draw)
    for index, x in enumerate(batches):
        expected, found = joint.step(x, draw), captured.step(x)
        assert {key: pytest.approx(float(value), rel=1e-9) for key, value in expected.items()} == {
            key: float(value) for key, value in found.items()
        }, index
    close(ours, theirs, 1e-9)


@pytest.mark.skipif(not CUDA, reason="needs a GPU")
@pytest.mark.parametrize("name", SYSTEMS)
def test_captured_is_eager_as_it_is_timed(name):
    """In bfloat16; ``tests/engine/test_capture.py`` holds weights to it bit for bit in float32."""
    case, losses = Step(name, 32, 64, "bfloat16"), []
    for mode in ("eager", "captured"):
        engine = Engine(model_of(case.in_mode(mode)))
        assert bool(engine.eager) == (mode == "eager")
        batches = [photographs(engine.model, seed=step) for step in range(8)]
        with repeatable(DEVICE):
            losses.append([{k: float(v) for k, v in engine.step(lambda _, x=x: x).items()} for x in batches])
    for step, (eager, captured) in enumerate(zip(*losses, strict=True)):
        assert captured == {key: pytest.approx(v, rel=1e-3, abs=1e-3) for key, v in eager.items()}, step
