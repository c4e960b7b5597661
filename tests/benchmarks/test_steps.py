"""A training step of each system, by size, batch, precision and mode; sampling and encoding."""

from __future__ import annotations

import pytest

from zoo.engine.engine import Engine
from zoo.model.model import Model

from .cases import SYSTEMS, built, photographs
from .loops import counts, model_of
from .measuring import DEVICE, REPEATS, ceiling, floor, seconds
from .plan import Step


@pytest.mark.benchmark(timer=seconds)
def test_training_step(benchmark, case: Step, measured: bool):
    model = model_of(case)
    engine, x = Engine(model), photographs(model)
    engine.step(lambda _: x)  # plans, optimiser states, compiling
    benchmark.group = f"training step, {case.images}"
    benchmark.pedantic(engine.step, args=(lambda _: x,), **REPEATS)
    if measured:
        say_what_it_comes_to(benchmark, case)


def say_what_it_comes_to(benchmark, case: Step) -> None:
    """Products, images a second, and the part of the time that the machine's ceilings ask for."""
    asked, parameters = counts(case.in_mode("eager"))
    least, median = floor(asked, parameters, ceiling(case.precision)), benchmark.stats.stats.median
    benchmark.extra_info |= {
        "system": case.name,
        "precision": case.precision,
        "mode": case.mode,
        "mflop_an_image": asked.flops / case.batch / 1e6,
        "saved_mib": asked.saved / 2**20,
        "images_a_second": case.batch / median,
        "floor_ms": 1e3 * least.seconds,
        "fraction_of_floor": least.seconds / median,
        "bound": least.bound,
    }


@pytest.mark.benchmark(timer=seconds)
@pytest.mark.parametrize("name", SYSTEMS)
def test_sampling(benchmark, name, side, measured):
    model, count = (built(name, size=side, device=DEVICE), 64) if measured else (toy(name, side), 4)
    benchmark.group = f"{count} samples, {side} px"
    benchmark.pedantic(model.sample, args=(count,), **REPEATS, warmup_rounds=1)


@pytest.mark.benchmark(timer=seconds)
@pytest.mark.parametrize("name", [name for name in SYSTEMS if name != "gan"])
def test_encoding(benchmark, name, side, measured):
    model = built(name, size=side, device=DEVICE) if measured else toy(name, side)
    x = photographs(model)
    benchmark.group = f"{len(x)} images encoded, {side} px"
    benchmark.pedantic(model.encode, args=(x,), **REPEATS, warmup_rounds=1)


def toy(name: str, side: int) -> Model:
    return built(name, width=4, size=side, batch=4, device=DEVICE)
