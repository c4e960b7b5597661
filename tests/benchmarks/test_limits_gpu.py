"""What a step takes on a GPU: beside the loops by hand, and of what the device can do. By its own events.

Timed only, and only there: ``make bench-gpu``. A ratio is judged where an A/A pair of its size is quiet.
"""

from __future__ import annotations

import gc
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest
import torch

from zoo.data.augment import augmentations
from zoo.data.batches import Batches
from zoo.engine.engine import Engine

from .cases import SYSTEMS, photographs
from .loops import Work, captured_step, counts, engine_step, joint_step, model_of, naive_step
from .measuring import CUDA, DEVICE, H200, ceilings, device_seconds, floor, host_seconds
from .paired import ROUNDS, Paired, paired
from .plan import CAPTURED, Step

pytestmark = pytest.mark.skipif(not CUDA, reason="device times need a CUDA device; make bench-gpu takes them there")

BY_HAND = 1.02
HOST = 0.5
DATA = 1.02
"""With the data path over without it: at most 2 % of a step."""

EAGER = {64: 1 / 4, 1024: 1 / 2}
"""Batch at 32 px -> the most of the naive loop's time."""

USE = {(32, 1024): 0.25, (64, 256): 0.30}
"""Size and batch -> the least part of the peak that a step's products make use of."""

STEPS = 8
IMAGES = 50_000

systems = pytest.mark.parametrize("name", SYSTEMS)
every_case = pytest.mark.parametrize("of", CAPTURED, ids=str)


@pytest.fixture(autouse=True)
def room(measured: bool) -> Iterator[None]:
    """Nothing is left on the device for the next."""
    if not measured:
        pytest.skip("device times are taken by make bench-gpu alone")
    yield
    gc.collect()
    torch.cuda.empty_cache()


def timed(a: Work, b: Work) -> Paired:
    return paired(a, b, taken=device_seconds, least=0.0)


@cache
def same(size: int, batch: int) -> Paired:
    """What a ratio of steps of this size is worth here, now: a loop captured by hand against itself."""
    case = Step("avae", size, batch, "bfloat16", "captured")
    one, other = (captured_step(model_of(case), case.name, case.precision) for _ in range(2))
    return timed(one, other)


# -- first: that it is the same step ---------------------------------------------------------------------------


@systems
def test_captured_is_eager(name, monkeypatch):
    """As it is timed, in bfloat16; ``tests/engine/test_capture.py`` holds weights to it bit for bit in float32."""
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    case, losses = Step(name, 32, 64, "bfloat16", "captured"), []
    for mode in ("eager", "captured"):
        engine = Engine(model_of(case.in_mode(mode)))
        assert bool(engine.eager) == (mode == "eager")
        batches = [photographs(engine.model, seed=step) for step in range(STEPS)]
        losses.append([{k: float(v) for k, v in engine.step(lambda _, x=x: x).items()} for x in batches])
    for step, (eager, captured) in enumerate(zip(*losses, strict=True)):
        assert captured == {key: pytest.approx(v, rel=1e-3, abs=1e-3) for key, v in eager.items()}, step


# -- against the loops by hand ---------------------------------------------------------------------------------


@systems
@pytest.mark.parametrize("batch", EAGER)
def test_it_is_far_faster_than_the_eager_loop_in_float32(name, batch, verdicts):
    case = Step(name, 32, batch, "bfloat16", "captured")
    eager = Step(name, 32, batch, "float32", "eager")
    naive = naive_step(model_of(eager, "train.channels_last=false"), name)
    found, limit = timed(engine_step(model_of(case)), naive), EAGER[batch]
    group = f"engine captured / naive loop in float32, {case.images}"
    verdicts.ratio(group, name, found, aim=limit, limit=limit, same=same(32, batch))


@systems
@pytest.mark.parametrize("batch", EAGER)
def test_what_the_tuned_loop_takes_eagerly_in_float32(name, batch, verdicts):
    case = Step(name, 32, batch, "bfloat16", "captured")
    tuned = joint_step(model_of(Step(name, 32, batch, "float32", "eager")), name, "float32")
    found = timed(engine_step(model_of(case)), tuned)
    group = f"engine captured / tuned loop in float32, eager, {case.images}"
    verdicts.ratio(group, name, found, aim=None, limit=None, same=same(32, batch))


@every_case
def test_it_takes_no_longer_than_the_loop_captured_by_hand(of, verdicts):
    found = timed(engine_step(model_of(of)), captured_step(model_of(of), of.name, of.precision))
    group = f"engine / loop captured by hand, {of.images}"
    verdicts.ratio(group, of.name, found, aim=BY_HAND, limit=BY_HAND, same=same(of.size, of.batch))


@every_case
def test_what_a_search_for_kernels_would_give(of, verdicts, monkeypatch):
    """By hand cuDNN may try its kernels and take the fastest; which that is can change from run to run."""
    with monkeypatch.context() as searching:
        searching.setattr(torch.backends.cudnn, "benchmark", True)
        by_hand = captured_step(model_of(of), of.name, of.precision)
    found = timed(engine_step(model_of(of)), by_hand)
    group = f"engine / loop captured by hand, with cudnn.benchmark, {of.images}"
    verdicts.ratio(group, of.name, found, aim=None, limit=None, same=same(of.size, of.batch))


@pytest.mark.parametrize("of", [case for case in CAPTURED if case.name in ("vae", "avae")], ids=str)
def test_the_data_path_is_a_small_part_of_a_step(of, verdicts):
    """A packed set on the device, normalised, flipped and cropped there: a step with it over one without."""
    model = model_of(of, "augment=[flip, crop]")
    pixels = torch.randint(256, (IMAGES, 3, of.size, of.size), dtype=torch.uint8)
    chosen = {"augment": augmentations(model.recipe), "on": "device"}
    engine, batches = Engine(model), Batches(pixels, of.batch, seed=0, device=DEVICE, **chosen)
    found = timed(lambda: engine.step(batches), engine_step(model_of(of)))
    group = f"step with the data path / without, {of.images}"
    verdicts.ratio(group, of.name, found, aim=DATA, limit=DATA, same=same(of.size, of.batch))


# -- of what the device can do ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Spent:
    """Seconds of a captured step: of the device, and of the host while it does not wait."""

    device: float
    host: float


@cache
def spent(of: Step) -> Spent:
    step = engine_step(model_of(of))
    device_seconds(step)  # it is captured meanwhile
    return Spent(statistics.median(device_seconds(step) for _ in range(ROUNDS)), host_seconds(step))


@every_case
def test_it_makes_use_of_the_device(of, verdicts):
    """Of 790 TFLOP/s where the GPU is an H200, and everywhere of a large product measured in the same run."""
    asked, parameters = counts(of.in_mode("eager"))
    best, taken = ceilings()[of.precision], spent(of)
    nominal = H200 if "H200" in torch.cuda.get_device_name() else None
    rate, least = asked.flops / taken.device, USE.get((of.size, of.batch))
    of_nominal, of_matmul = rate / nominal.flops if nominal else None, rate / best.flops
    use = min(part for part in (of_nominal, of_matmul) if part is not None)
    bound = floor(asked, parameters, nominal or best)
    quiet = same(of.size, of.batch).quiet
    met = least is None or use >= least
    verdicts.note(
        "use",
        group=of.images,
        name=of.name,
        value=use,
        milliseconds=1e3 * taken.device,
        images_a_second=of.batch / taken.device,
        of_nominal=of_nominal,
        of_matmul=of_matmul,
        least=least,
        of_floor=bound.seconds / taken.device,
        bound=bound.bound,
        host=taken.host / taken.device,
        verdict=("met" if least else "told") if met else ("failed" if quiet else "noisy: not judged"),
    )
    assert met or not quiet, f"{of}: {100 * use:.1f} % of the peak, at least {100 * least:.0f} % wanted"


@every_case
def test_the_host_is_idle_half_of_the_time(of):
    taken = spent(of)
    assert taken.host <= HOST * taken.device, f"{1e3 * taken.host:.3f} of {1e3 * taken.device:.3f} ms"
