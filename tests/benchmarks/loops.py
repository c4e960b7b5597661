"""Steps ready to be timed: of the engine, and of the loops by hand, each over a model and a batch of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch

from zoo.engine.engine import Engine
from zoo.model.model import Model

from .cases import Draw, built, photographs
from .counting import Counts, counted
from .hand import Captured, Joint, Naive
from .hand.captured import Graph
from .measuring import CUDA, DEVICE, DTYPES
from .plan import MODES, Step

Work = Callable[[], object]


def drawn(device: torch.device) -> Draw:
    """Noise as a loop draws it, on the device."""
    generator = torch.Generator(device).manual_seed(0)
    return lambda _, *shape: torch.randn(shape, generator=generator, device=device)


def engine_step(model: Model) -> Work:
    engine, x = Engine(model), photographs(model)
    return lambda: engine.step(lambda _: x)


def joint_step(model: Model, name: str, precision: str) -> Work:
    joint, x, draw = Joint(model, name, _lowered(precision)), photographs(model), drawn(model.device)
    return lambda: joint.step(x, draw)


def naive_step(model: Model, name: str) -> Work:
    naive = Naive(model, name)
    x, draw = photographs(naive.model), drawn(model.device)
    return lambda: naive.step(x, draw)


class Again:
    """Stands in for a CUDA graph where there is no GPU: what was recorded runs again."""

    def __init__(self, generator: torch.Generator) -> None:
        del generator  # such a graph has to know it

    def warm(self, run: Callable[[], None]) -> None:
        """Runs it."""
        run()

    def record(self, run: Callable[[], None]) -> None:
        """Keeps it."""
        self.replay = run


GRAPH = Graph if CUDA else Again


def captured_step(model: Model, name: str, precision: str) -> Work:
    x = photographs(model)
    captured = Captured(model, name, x, _lowered(precision), graph=GRAPH)
    return lambda: captured.step(x)


def _lowered(precision: str) -> torch.dtype | None:
    return None if precision == "float32" else DTYPES[precision]


def model_of(case: Step, *overrides: str) -> Model:
    """The model of a case, on the device of the suite, run as the case says."""
    settings = {"width": case.width, "size": case.size, "batch": case.batch, "precision": case.precision}
    return built(case.name, *MODES[case.mode], *overrides, device=DEVICE, **settings)


@cache
def counts(case: Step) -> tuple[Counts, int]:
    """What a step of an eager case asks for, and how many parameters move."""
    model = model_of(case)
    engine, x = Engine(model), photographs(model)
    moved = sum(p.numel() for player in engine.players.values() for p in player.parameters.values())
    return counted(lambda: engine.step(lambda _: x)), moved
