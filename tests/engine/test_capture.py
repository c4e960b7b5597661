"""A phase replayed as a CUDA graph: what a replay is given. The graph itself needs a GPU (``make gpu``); here a
tape takes its place, which knows tensors and operations alone: whatever else was kept as it was at recording shows."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from helpers.engine import SLOTS, differing, images, in_turn, small, snapshot
from helpers.tape import Recorder

import zoo.engine.capture
import zoo.engine.engine
from zoo.engine.capture import WARM, CaptureError, why_not
from zoo.engine.engine import Engine
from zoo.engine.sentinel import Sentinel, Unwell
from zoo.errors import RequestError, TrainingError
from zoo.model.model import Model

STEPS = WARM + 3
CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
FALLING = "train.optimizer={use: adam, lr: 2.0e-4, betas: [0.5, 0.999], rate: {from: 1, to: 0.1, steps: 9}}"
SINGLE = torch.float32
"""That of the weights of terms, and of the losses that are told, in a graph."""


@pytest.fixture
def taped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.engine.engine, "Recorder", Recorder)


def as_on_a_gpu(model: Model, eager: str = "") -> Engine:
    """An engine for which nothing that changes is a number of Python's, and no step is looked at."""
    engine = Engine(model)
    for player in engine.players.values():
        player.put_on_device()
    engine.sentinel = Sentinel(engine.device, at_once=False)
    engine.eager = eager
    return engine


def trained(model: Model, captured: bool, steps: int = STEPS) -> tuple[Engine, list[dict[str, float]]]:
    engine = as_on_a_gpu(model, "" if captured else "as the test wants it")
    batches = partial(images, dtype=model.dtype)
    losses = [{k: float(v) for k, v in engine.step(batches).items()} for _ in range(steps)]
    engine.check()
    return engine, losses


def assert_as_eager(steps: int, make: Callable[[], Model]) -> Engine:
    """The same models come out, and the same terms were told; gives the engine whose steps were recorded."""
    eager, captured = (trained(make(), how, steps) for how in (False, True))
    assert captured[0].recorder is not None
    assert [{k: pytest.approx(v, rel=1e-6) for k, v in step.items()} for step in eager[1]] == captured[1]
    assert not differing(snapshot(eager[0].model), snapshot(captured[0].model))
    return captured[0]


@pytest.mark.usefixtures("taped")
@pytest.mark.parametrize("joint", [True, False])
@pytest.mark.parametrize("name", SLOTS)
def test_captured_is_eager_step_for_step(name: str, joint: bool) -> None:
    """Images, noise and rates that change with the step, step for step, to the last bit."""
    phases = () if joint else in_turn(name)
    assert_as_eager(STEPS, lambda: small(name, FALLING, phases=phases, dtype=SINGLE))


@pytest.mark.usefixtures("taped")
@pytest.mark.parametrize(
    "overrides",
    [
        ("train.precision=bfloat16",),
        ("train.clip=0.1", "train.ema=0.9"),
        ("train.optimizer={use: sgd, lr: 1.0e-4, momentum: 0.9}",),
    ],
    ids=["bfloat16", "clip and ema", "momentum"],
)
def test_so_it_is_with(overrides: tuple[str, ...]) -> None:
    assert_as_eager(STEPS, lambda: small("avae", *overrides, dtype=SINGLE))


@pytest.mark.usefixtures("taped")
def test_a_weight_that_changes_is_not_kept() -> None:
    weight = "phases.0.generator.reverse_kl=[{from: 0.5, to: 1, steps: 4}, {to: 0.2, steps: 5}]"
    late = "phases.0.generator.latent_nll={from: 0, to: 1, steps: 9, start: 2}"
    engine = assert_as_eager(2 * WARM + 2, lambda: small("avae", weight, late, dtype=SINGLE))
    assert engine.plan_now(0).captured


@pytest.mark.usefixtures("taped")
def test_a_phase_that_has_not_begun_is_not_recorded() -> None:
    row, begins = "phases.0.encoder + decoder", f"{{from: 1, to: 1, start: {STEPS}}}"
    late = [f"{row}.{term}={begins}" for term in ("reconstruction", "kl")]
    engine, losses = trained(small("vae", *late, dtype=SINGLE), captured=True, steps=2 * STEPS)
    assert losses[:STEPS] == [{}] * STEPS
    assert len(losses[-1]) == 2
    assert engine.plan_now(0).captured


@pytest.mark.usefixtures("taped")
def test_it_goes_on_from_a_checkpoint() -> None:
    """Also an engine that has recorded: what a graph moves is then no longer what the optimiser keeps."""
    whole, _ = trained(small("avae", dtype=SINGLE), captured=True)
    half, _ = trained(small("avae", dtype=SINGLE), captured=True, steps=2)
    rest, _ = trained(small("avae", dtype=SINGLE), captured=True)
    rest.restore(*half.state())
    while rest.step_index < STEPS:
        rest.step(partial(images, dtype=SINGLE))
    assert not differing(whole.state()[0], rest.state()[0])


# -- what is not captured, and why ---------------------------------------------------------------------------


def test_on_the_cpu_auto_is_eager_and_on_is_refused() -> None:
    assert "on cpu, not on CUDA" in Engine(small("vae")).eager
    assert Engine(small("vae", "train.cuda_graph=off")).eager == "train.cuda_graph is off"
    with pytest.raises(RequestError, match=r"train\.cuda_graph: on is not to be had: the model is on cpu"):
        Engine(small("vae", "train.cuda_graph=on"))


def test_what_else_stands_in_the_way() -> None:
    def reason(*overrides: str) -> str:
        engine = Engine(small("vae", *overrides))
        return why_not(engine.recipe, torch.device("cuda"), engine.players.values(), 1, False)

    assert "takes a batch in parts" in reason("train.accumulate=2")
    assert "the optimiser of encoder, decoder works on the host" in reason("train.optimizer={use: rmsprop}")


def refused(*_: object) -> None:
    raise CaptureError("it waits for the device")


@pytest.mark.usefixtures("taped")
def test_a_phase_that_waits_for_the_device_is_played_eagerly_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo.engine.capture.Captured, "_rehearse", refused)
    engine, _ = trained(small("vae", dtype=SINGLE), captured=True)
    assert engine.eager == "it waits for the device"
    assert not differing(snapshot(engine.model), snapshot(trained(small("vae", dtype=SINGLE), captured=False)[0].model))
    wanted = Engine(small("vae", dtype=SINGLE))
    wanted.eager, wanted.plan_now(0).played = "", WARM
    wanted.recipe = zoo.build("vae", overrides=["train.cuda_graph=on"]).recipe
    with pytest.raises(RequestError, match=r"train\.cuda_graph: on is not to be had: it waits for the device; choose"):
        wanted.step(partial(images, dtype=SINGLE))


@pytest.mark.usefixtures("taped")
def test_a_recording_that_fails_says_where_and_what_to_do() -> None:
    engine = as_on_a_gpu(small("vae", dtype=SINGLE))
    engine.sentinel = Sentinel(engine.device, at_once=True)  # which asks for a number
    for _ in range(WARM):
        engine.step(partial(images, dtype=SINGLE))
    with pytest.raises(TrainingError, match=r"cannot be recorded: .*synchronizing.*; set train\.cuda_graph: off"):
        engine.step(partial(images, dtype=SINGLE))


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
    with pytest.raises(Unwell, match="step 3: a term or a gradient is not finite; no weight has moved by it"):
        engine.check()


def test_a_continued_training_counts_from_where_it_was() -> None:
    engine = Engine(small("vae"))
    engine.restore(*trained(small("vae"), captured=False, steps=4)[0].state())
    engine.sentinel = Sentinel(engine.device, at_once=False)
    engine.sentinel.begin(engine.step_index)
    engine.step(images)
    engine.step(lambda turn: images(turn) * float("nan"))
    with pytest.raises(Unwell, match="step 5: "):
        engine.check()


# -- on a GPU ------------------------------------------------------------------------------------------------

TIMM = "slots.encoder={use: timm, model: resnet18, drop_rate: 0.1}"
"""With dropout, which draws from the global stream."""

ON_A_GPU = {
    **{name: (name, ()) for name in SLOTS},
    "bfloat16": ("avae", ("train.precision=bfloat16",)),
    "clip, ema and a falling rate": ("avae", ("train.clip=0.1", "train.ema=0.9", FALLING)),
    "a weight that begins late": ("avae", ("phases.0.generator.latent_nll={from: 0, to: 1, steps: 9, start: 2}",)),
    "momentum": ("vae", ("train.optimizer={use: sgd, lr: 1.0e-4, momentum: 0.9}",)),
    "checkpointed activations": ("avae", ("train.activation_checkpointing=true",)),
    "compiled": ("vae", ("train.compile=true",)),
}


def on_a_gpu(name: str, how: str, *overrides: str) -> Engine:
    return Engine(small(name, f"train.cuda_graph={how}", *overrides, dtype=SINGLE).cuda())


def gpu_images(turn: int) -> torch.Tensor:
    return images(turn, SINGLE).cuda()


@CUDA
@pytest.mark.parametrize("case", ON_A_GPU)
def test_a_cuda_graph_is_eager_step_for_step(case: str) -> None:
    name, overrides = ON_A_GPU[case]
    states = []
    for how in ("off", "on"):
        engine = on_a_gpu(name, how, *overrides)
        for _ in range(2 * STEPS):
            engine.step(gpu_images)
        engine.check()
        states.append(engine.state()[0])
    assert engine.recorder is not None
    assert not differing(*states)


@CUDA
def test_phases_in_turn_share_a_pool() -> None:
    states = []
    for how in ("off", "on"):
        engine = Engine(small("avae", f"train.cuda_graph={how}", phases=in_turn("avae"), dtype=SINGLE).cuda())
        for _ in range(2 * STEPS):
            engine.step(gpu_images)
        states.append(engine.state()[0])
    assert not differing(*states)


@CUDA
def test_an_engine_that_has_recorded_takes_up_a_checkpoint() -> None:
    whole, half, rest = (on_a_gpu("avae", "on") for _ in range(3))
    for engine, steps in ((whole, 2 * STEPS), (half, STEPS), (rest, 2 * STEPS)):
        while engine.step_index < steps:
            engine.step(gpu_images)
    rest.restore(*half.state())
    while rest.step_index < 2 * STEPS:
        rest.step(gpu_images)
    assert not differing(whole.state()[0], rest.state()[0])


@CUDA
def test_dropout_draws_anew_in_every_replay() -> None:
    states = []
    for how in ("off", "on"):
        sizes = ["data.size=32", "train.batch=4", "train.precision=float32", f"train.cuda_graph={how}", "evaluate=[]"]
        engine = Engine(zoo.build("vae", overrides=[*sizes, TIMM], device="cuda"))
        for step in range(2 * STEPS):
            x = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(step)).cuda()
            engine.step(lambda _, x=x: x)
        states.append(engine.state()[0])
    assert not differing(*states)


@CUDA
def test_what_waits_for_the_device_is_played_eagerly() -> None:
    engine = on_a_gpu("vae", "auto")
    encoder = engine.model.encoder
    encoder.register_forward_hook(lambda *_: float(encoder.log_sigma.weight.sum()))
    for _ in range(STEPS):
        engine.step(gpu_images)
    assert "waits for the device" in engine.eager


@CUDA
def test_the_second_gpu_or_the_first_by_number() -> None:
    device = f"cuda:{torch.cuda.device_count() - 1}"
    engine = Engine(small("vae", "train.cuda_graph=on", dtype=SINGLE).to(device))
    before = snapshot(engine.model)
    for _ in range(2 * STEPS):
        engine.step(lambda turn: images(turn, SINGLE).to(device))
    torch.cuda.synchronize(device)
    assert differing(before, snapshot(engine.model))
