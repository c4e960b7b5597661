"""``train.compile``: a phase traced and compiled as one graph computes what the engine computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.engine import SLOTS, images, small
from torch import Tensor, nn

from zoo import api
from zoo.engine.compiled import unmoved
from zoo.engine.engine import Engine
from zoo.errors import TrainingError
from zoo.model.model import Model

HERE = Path(__file__)
SCHEDULED = "phases.0.generator.reverse_kl={from: 0.5, to: 1, steps: 4}"


def steps(model: Model, count: int = 3) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    engine = Engine(model)
    side = model.recipe.sizes.size
    for _ in range(count):
        losses = engine.step(lambda turn: images(turn)[..., :side, :side].contiguous())
    return model.state_dict(), losses


def assert_same(name: str, *overrides: str, phases: Any = ()) -> None:
    eager, losses = steps(small(name, *overrides, phases=phases, plugins=[HERE]))
    compiled, told = steps(small(name, "train.compile=true", *overrides, phases=phases, plugins=[HERE]))
    assert losses.keys() == told.keys()
    for key, expected in {**eager, **losses}.items():
        torch.testing.assert_close({**compiled, **told}[key], expected, rtol=1e-7, atol=1e-7)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The traced graph is run as it is: what is traced is looked at, not torch's compiler."""
    monkeypatch.setattr(torch, "compile", lambda graph, **_: graph)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize("name", SLOTS)
def test_each_system_traced(name: str) -> None:
    """Weights, running statistics, spectral norm's vectors and losses after three steps; noise is new in each."""
    assert_same(name)


@pytest.mark.usefixtures("uncompiled")
@pytest.mark.parametrize(
    "overrides",
    [(SCHEDULED,), ("train.accumulate=2",), ("train.clip=0.1",)],
    ids=["schedule", "parts", "clip"],
)
def test_avae_traced_with(overrides: tuple[str, ...]) -> None:
    assert_same("avae", *overrides)


@pytest.mark.usefixtures("uncompiled")
def test_a_gradient_of_a_gradient_is_traced() -> None:
    """R1: ``torch.compile`` alone takes no gradient of a compiled gradient; here it has been taken before."""
    assert_same("gan", phases=[{"generator": {"non_saturating": 1.0}, "critic": {"discriminate": 1.0, "slope": 1.0}}])


def test_through_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once, as ``torch.compile`` makes it; its pool of processes would outlive the test; a kernel is seconds of g++."""
    monkeypatch.setattr("torch._inductor.config.compile_threads", 1)
    assert_same("vae", "data.size=8")


@pytest.mark.usefixtures("uncompiled")
def test_who_looks_at_numbers_is_told() -> None:
    phases = [{"encoder + decoder": {"reconstruction": 1.0, "looks": 1.0}}]
    with pytest.raises(
        TrainingError, match=r"train.compile: this phase cannot be traced: .*; set train.compile: false"
    ):
        steps(small("vae", "train.compile=true", phases=phases, plugins=[HERE]))


def test_tracing_moves_nothing() -> None:
    """Buffers, and the stream that dropout draws from, are as they were."""
    model = small("avae", "train.compile=true")
    engine = Engine(model)
    plan, before = engine.plan_now(0), {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    with unmoved(model):
        model.train()
        engine.gradients(plan, images(0))
        torch.rand(3)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


# -- the plugin of toys ------------------------------------------------------------------------------------


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Terms that are hard to trace."""
    return tuple(api.Component("term", name, f"test_compiled:{name}", "a toy") for name in ("looks", "slope"))


def looks(reconstruction: Tensor) -> Tensor:
    """Python looks at a number of it."""
    total = reconstruction.sum()
    return total if float(total.detach()) > 0 else -total


def slope(critic: nn.Module, x: Tensor) -> Tensor:
    """R1: |dC/dx|^2 (Mescheder et al. 2018)."""
    leaves = x.detach().requires_grad_()
    (slopes,) = torch.autograd.grad(critic(leaves).logit.sum(), leaves, create_graph=True)
    return slopes.square().sum([1, 2, 3]).mean()
