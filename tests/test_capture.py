"""A phase replayed as a CUDA graph: what a replay is given. The graph itself needs a GPU (``make bench-gpu``); here one
that launches the same calls again takes its place, so that whatever was kept as it was at capture would show."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from helpers_engine import SLOTS, differing, images, in_turn, small, snapshot

import zoo.capture
from zoo.capture import WARM, why_not
from zoo.engine import Engine
from zoo.errors import RequestError, TrainingError
from zoo.faults import Sentinel
from zoo.model import Model

STEPS = WARM + 3
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


class Again:
    """Calls what it recorded."""

    def record(self, play: Callable[[], None], generators: list[torch.Generator]) -> None:
        self._play = play
        assert len(set(map(id, generators))) == len(generators)

    def replay(self) -> None:
        self._play()


@pytest.fixture
def again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.capture, "CudaGraph", Again)


def trained(model: Model, captured: bool, steps: int = STEPS) -> tuple[Engine, list[dict[str, float]]]:
    engine = Engine(model)
    engine.eager = "" if captured else "as the test wants it"
    batches = partial(images, dtype=model.dtype)
    losses = [{k: float(v) for k, v in engine.step(batches).items()} for _ in range(steps)]
    return engine, losses


@pytest.mark.usefixtures("again")
@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("name", SLOTS)
def test_captured_is_eager_step_for_step(name: str, joint: bool) -> None:
    """Images, noise, weights and rates that change with the step, step for step, to the last bit."""
    phases = () if joint else in_turn(name)
    rate = "train.optimizer={use: adam, lr: 2.0e-4, betas: [0.5, 0.999], rate: {from: 1, to: 0.1, steps: 9}}"
    eager, captured = (trained(small(name, rate, phases=phases), how) for how in (False, True))
    assert [{k: pytest.approx(v, rel=1e-6) for k, v in step.items()} for step in eager[1]] == captured[
        1
    ]  # losses are kept in single precision
    assert not differing(snapshot(eager[0].model), snapshot(captured[0].model))
    assert not differing(eager[0].state()[0], captured[0].state()[0])


@pytest.mark.usefixtures("again")
def test_a_weight_that_changes_is_not_kept() -> None:
    weight = "phases.0.generator.reverse_kl={from: 0.5, to: 1, steps: 9}"
    late = "phases.0.generator.latent_nll={from: 0, to: 1, steps: 9, start: 2}"
    low = torch.float32  # that of weights in a graph
    eager, captured = (trained(small("avae", weight, late, dtype=low), how, 2 * WARM + 2) for how in (False, True))
    assert captured[0].plan_now(0).captured
    assert not differing(eager[0].state()[0], captured[0].state()[0])


@pytest.mark.usefixtures("again")
def test_it_goes_on_from_a_checkpoint() -> None:
    whole, _ = trained(small("avae"), captured=True)
    half = Engine(small("avae"))
    half.eager = ""
    for _ in range(2):
        half.step(images)
    rest = Engine(small("avae"))
    rest.eager = ""
    rest.restore(*half.state())
    while rest.step_index < STEPS:
        rest.step(images)
    assert not differing(whole.state()[0], rest.state()[0])


# -- what is not captured, and why ---------------------------------------------------------------------------


def test_on_the_cpu_auto_is_eager_and_on_is_refused() -> None:
    assert "on cpu, not on CUDA" in Engine(small("vae")).eager
    assert Engine(small("vae", "train.cuda_graph=off")).eager == "train.cuda_graph is off"
    with pytest.raises(RequestError, match=r"train\.cuda_graph: on is not to be had: the model is on cpu"):
        Engine(small("vae", "train.cuda_graph=on"))


def test_what_else_stands_in_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def reason(*overrides: str) -> str:
        engine = Engine(small("vae", *overrides))
        monkeypatch.setattr(engine, "device", torch.device("cuda"))
        return why_not(engine)

    assert "takes a batch in parts" in reason("train.accumulate=2")
    assert "the optimiser of encoder, decoder works on the host" in reason("train.optimizer={use: rmsprop}")


# -- poison that the host hears of later ---------------------------------------------------------------------


def test_poison_on_the_device_moves_nothing_and_is_told_later() -> None:
    """The fused optimisers skip, and every later step too; the host is told which step was the first."""
    engine = Engine(small("vae"))
    engine.sentinel = Sentinel(engine.device, at_once=False)
    for _ in range(2):
        engine.step(images)
    engine.check()
    engine.step(images)
    healthy = snapshot(engine.model.encoder.log_sigma)
    engine.step(lambda turn: images(turn) * float("nan"))
    engine.step(images)
    assert not differing(healthy, snapshot(engine.model.encoder.log_sigma))
    with pytest.raises(TrainingError, match="step 3: a term or a gradient is not finite; nothing has moved by it"):
        engine.check()


# -- on a GPU ------------------------------------------------------------------------------------------------


@CUDA
@pytest.mark.parametrize("name", SLOTS)
def test_a_cuda_graph_is_eager_step_for_step(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    states = []
    for how in ("off", "on"):
        engine = Engine(small(name, f"train.cuda_graph={how}", dtype=torch.float32).cuda())
        for _ in range(STEPS):
            engine.step(lambda turn: images(turn, torch.float32).cuda())
        states.append(engine.state()[0])
    assert not differing(*states)
