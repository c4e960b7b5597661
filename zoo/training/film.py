"""The film of a training: at some of its steps, samples of the same few codes, and scores that cost little."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.engine.engine import Engine
from zoo.errors import Damaged
from zoo.machine.disk import read_bytes
from zoo.metrics.evaluate import evaluate
from zoo.metrics.metric import optional
from zoo.report.drawing import drawn
from zoo.report.pictures import SIDE, grid, grid_png, reduced
from zoo.runs.identity import plain_json
from zoo.runs.run import Run
from zoo.types import Examples

SEED = 0
SCORED = 250
"""Test images that are scored on the way."""
SHOWN, COLUMNS = 8, 2
"""Samples in a frame, and how many stand beside each other."""


def milestones(steps: int) -> tuple[int, ...]:
    """The steps at which samples are kept: 1, 3, 10, 30, 100 ... and the last.

    The same whatever the length of the training, but for the last, so that one that is made longer keeps its film.
    """
    early = [step for power in range(len(str(steps))) for step in (10**power, 3 * 10**power) if step < steps]
    return (*early, steps) if steps else ()


def keep_samples(run: Run | None, engine: Engine) -> Tensor | None:
    """Writes a frame, ``samples/step-00001000.png``, and gives it, uint8 (3, H, W); None for a model without samples.

    The training goes on as if it had not been made. Averaged weights are used where there are any. The codes are a
    function of the recipe's seed, the same in every frame. A process without a run has but to take part.
    """
    model = engine.model
    if not model.samples:
        return None
    with _shown(engine):
        if run is None:
            return None
        images = reduced(model.sample(SHOWN, seed=SEED).float(), SIDE)
    rows = torch.split(images, COLUMNS)
    run.write(frame(engine.step_index), grid_png(rows))
    return grid(drawn(rows))[:3]


def keep_scores(run: Run | None, engine: Engine, images: Examples) -> dict[str, float]:
    """Writes ``samples/step-00001000.json`` and gives it by label: the ``quick`` metrics, on the first test images.

    As of ``keep_samples``, the training goes on as if they had not been measured.
    """
    quick = [part for part in engine.recipe.evaluate if optional(part.load(), "quick")]
    few = images.cut(len(images.train), SCORED)
    if not quick:
        return {}
    with _shown(engine):
        if run is None:
            return {}
        scores = evaluate(engine.model, few, parts=quick)
    values = {label: score["value"] for label, score in scores.items()}
    run.write_json(frame(engine.step_index, "json"), {"n": len(few.test), "scores": values})
    return values


@contextmanager
def _shown(engine: Engine) -> Iterator[None]:
    """The model as it is shown: with averaged weights where there are any, and whole."""
    with engine.average.applied() if engine.average else nullcontext(), engine.shards.whole():
        yield


def film(folder: Path, steps: int) -> dict[int, bytes]:
    """The frames of a training of so many steps that are there: step -> PNG."""
    frames = {}
    for step in milestones(steps):
        with suppress(FileNotFoundError, Damaged):  # a frame less
            frames[step] = read_bytes(folder, frame(step))
    return frames


def score_curve(folder: Path, steps: int) -> dict[int, dict[str, Any]]:
    """The scores on the way that are there: step -> ``n`` test images and their ``scores`` by label."""
    curve = {}
    names = (
        re.fullmatch(r"step-(\d{8})\.json", path.name) for path in sorted((folder / "samples").glob("step-*.json"))
    )
    for step in (int(name[1]) for name in names if name and int(name[1]) <= steps):
        kept = plain_json(folder, frame(step, "json"))
        with suppress(LookupError, ValueError, TypeError, AttributeError, OverflowError):  # a point less in a chart
            scores = {label: float(value) for label, value in kept["scores"].items()}
            curve[step] = {"n": int(kept["n"]), "scores": scores}
    return curve


def frame(step: int, kind: str = "png") -> str:
    """A frame's file in a run; that of its scores is of the kind ``json``."""
    return f"samples/step-{step:08d}.{kind}"
