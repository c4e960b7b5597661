"""The training loop: steps, records, checkpoints."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor

from zoo.augment import augmentations
from zoo.data import Batches, load_images
from zoo.engine import Engine
from zoo.errors import Interrupted, TrainingError
from zoo.model import Model
from zoo.run import Run
from zoo.state import restore_checkpoint, save_checkpoint, sync_device
from zoo.tensors import Images
from zoo.watch import Record, Watcher


def train(
    model: Model,
    data: Images | Tensor | None = None,
    *,
    steps: int | None = None,
    watchers: Sequence[Watcher] = (),
    run: Run | None = None,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
) -> Engine:
    """Trains a model as its recipe says; the model is changed in place.

    Where the recipe averages weights (``train.ema``), the model holds the averaged ones afterwards (with
    ``run``, both go to files instead).

    Args:
        model: from ``zoo.build``.
        data: the images, or uint8 (N, C, H, W), or None for the recipe's own.
        steps: how many in all; the recipe's number when None.
        watchers: who sees the records.
        run: where checkpoints go and are taken up from.
        stop: asked after each step; True saves and ends.
        say: told what is worth telling, such as a checkpoint that could not be read.

    Returns:
        the engine, with its step, optimisers and averaged weights.

    Raises:
        TrainingError: if a term is no longer finite.
        Interrupted: if ``stop`` said so.
    """
    settings = model.recipe.train
    steps = settings.steps if steps is None else steps
    images = load_images(model.recipe) if data is None else data
    engine = Engine(model)
    batches = Batches(
        images.train if isinstance(images, Images) else images,
        settings.batch,
        model.recipe.seed,
        device=model.device,
        dtype=model.dtype,
        channels_last=settings.channels_last,
        augment=augmentations(model.recipe),
    )
    for note in restore_checkpoint(run, engine) if run else ():
        say(note)
    if engine.step_index:
        say(f"continuing at step {engine.step_index} of {steps}")
    for watcher in watchers:
        watcher.start(engine.step_index, steps, settings.batch)
    try:
        with torch.random.fork_rng():
            _loop(engine, batches, steps, watchers, run, stop)
    finally:
        for watcher in watchers:
            watcher.end()
    if engine.average and run is None:
        model.load_state_dict(engine.average.state_dict())
    return engine


def _loop(
    engine: Engine,
    batches: Batches,
    steps: int,
    watchers: Sequence[Watcher],
    run: Run | None,
    stop: Callable[[], bool],
) -> None:
    settings = engine.recipe.train
    clock = _Clock(engine)
    while engine.step_index < steps:
        losses = engine.step(batches)
        last, stopping = engine.step_index == steps, stop()
        saving = run is not None and (last or stopping or engine.step_index % settings.save_every == 0)
        if last or saving or engine.step_index % settings.log_every == 0:
            record = clock.record(_finite(losses, engine.step_index))
            for watcher in watchers:
                watcher.log(record)
        if run and saving:
            save_checkpoint(run, engine)
        if stopping and not last:
            raise Interrupted(f"step {engine.step_index} of {steps}")


class _Clock:
    """Turns losses into records; reading them waits for the device, so it is done at records only."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._begin = self._then = time.monotonic()
        self._step = engine.step_index

    def record(self, losses: Mapping[str, float]) -> Record:
        sync_device(self._engine.model.device)
        now, step = time.monotonic(), self._engine.step_index
        batch = self._engine.recipe.train.batch
        speed = (step - self._step) * batch / max(now - self._then, 1e-9)
        self._then, self._step = now, step
        return Record(step, step * batch, now - self._begin, speed, losses)


def _finite(losses: Mapping[str, Tensor], step: int) -> dict[str, float]:
    values = {key: float(value) for key, value in losses.items()}
    for key, value in values.items():
        if not math.isfinite(value):
            row, term = key.rsplit("/", 1)
            raise TrainingError(
                f"step {step}: term '{term}' of row '{row}' is {value}; the last checkpoint is from before. "
                "Lower the learning rate or the term's weight, or set train.clip"
            )
    return values
