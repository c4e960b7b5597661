"""The training loop: steps, records, samples on the way, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.alarms import Alarms
from zoo.augment import augmentations
from zoo.data import Batches, load_images
from zoo.diagnosis import told_why
from zoo.engine import Engine
from zoo.errors import Interrupted
from zoo.film import keep_samples, keep_scores, milestones
from zoo.model import Model
from zoo.processes import ALONE, Processes
from zoo.run import Run
from zoo.state import Checkpointer, restore_checkpoint, sync_device
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
    on_alarm: Callable[[str], None] | None = None,
    processes: Processes = ALONE,
) -> Engine:
    """Trains a model as its recipe says; the model is changed in place.

    Where the recipe averages weights (``train.ema``), the model holds the averaged ones afterwards (with
    ``run``, both go to files instead).

    Args:
        model: from ``zoo.build``.
        data: the images, or uint8 (N, C, H, W), or None for the recipe's own.
        steps: how many in all; the recipe's number when None.
        watchers: who sees the records.
        run: where checkpoints go and are taken up from, and samples on the way are kept.
        stop: asked after each step; True saves and ends.
        say: told what is worth telling, such as a checkpoint that could not be read.
        on_alarm: told of a collapse or saturation (``zoo.alarms``), after the record it was seen at; ``say`` when
            None.
        processes: those that train together; all but the first are given no run, no watchers and the same data.

    Returns:
        the engine, with its step, optimisers and averaged weights.

    Raises:
        TrainingError: if a term, a gradient or a weight is no longer finite, or the memory does not suffice.
        Interrupted: if ``stop`` said so.
    """
    settings = model.recipe.train
    steps = settings.steps if steps is None else steps
    images = load_images(model.recipe) if data is None else data
    pixels, shown = (images.train, images) if isinstance(images, Images) else (images, None)
    engine, sentinels = Engine(model, processes=processes), Alarms(model.recipe, pixels, steps)
    for note in restore_checkpoint(run, engine) if run else ():
        say(note)
    _level(engine)
    batches = batches_of(model, pixels, processes)
    if engine.step_index:
        say(f"continuing at step {engine.step_index} of {steps}")
    for watcher in watchers:
        watcher.start(engine.step_index, steps, settings.batch)
    try:
        with torch.random.fork_rng(), told_why(engine, batches, run):
            _Loop(engine, batches, steps, watchers, run, shown, stop, sentinels, on_alarm or say).play()
    finally:
        for watcher in watchers:
            watcher.end()
    if engine.average and run is None:
        model.load_state_dict(engine.average.state_dict())
    return engine


def _level(engine: Engine) -> None:
    """Has every process start from where the first one is."""
    processes, step = engine.processes, engine.processes.told(engine.step_index)
    if processes.count > 1 and step:
        tensors = processes.shared(engine.state()[0] if processes.first else {}, engine.device)
        if not processes.first:
            engine.restore(tensors, {"step": step})


def batches_of(model: Model, pixels: Tensor, processes: Processes = ALONE) -> Batches:
    """The batches that a model is trained on, as its recipe says.

    Args:
        model: whose recipe and device they are for.
        pixels: uint8 (N, C, H, W).
        processes: those that share them.
    """
    settings = model.recipe.train
    return Batches(
        pixels,
        settings.batch,
        model.recipe.seed,
        device=model.device,
        dtype=model.dtype,
        channels_last=settings.channels_last,
        augment=augmentations(model.recipe),
        shard=processes.shard,
        on=settings.data_on,
    )


@dataclass
class _Loop:
    """Steps, and what is done beside them; ``train`` says what its parts are."""

    engine: Engine
    batches: Batches
    steps: int
    watchers: Sequence[Watcher]
    run: Run | None
    images: Images | None
    stop: Callable[[], bool]
    sentinels: Alarms
    on_alarm: Callable[[str], None]

    def play(self) -> None:
        """Trains up to the last step, or until asked to stop; checkpoints are whole when it returns."""
        with Checkpointer(self.run, self.engine) if self.run else nullcontext() as keeper:
            self._play(keeper)

    def _play(self, keeper: Checkpointer | None) -> None:
        engine, settings = self.engine, self.engine.recipe.train
        clock, framed = _Clock(engine), milestones(self.steps) if self.run else ()
        while engine.step_index < self.steps:
            losses = engine.step(self.batches)
            last, logging = engine.step_index == self.steps, engine.step_index % settings.log_every == 0
            stopping = self._stopping(logging or last)
            saving = self.run is not None and (last or stopping or engine.step_index % settings.save_every == 0)
            if last or saving or logging:
                engine.check()
                self._record(clock.record({key: float(value) for key, value in losses.items()}))
            best = None
            if self.run and keeper and engine.step_index in framed:  # before the checkpoint, which then has its film
                best = keeper.best(self._film(self.run))
            if keeper and (saving or best):
                engine.check()
                keeper.save(best)
            if stopping and not last:
                raise Interrupted(f"step {engine.step_index} of {self.steps}")

    def _stopping(self, agreeing: bool) -> bool:
        """Whether to save and end; several processes agree on it at records, for each hears of it at another step."""
        processes = self.engine.processes
        return self.stop() if processes.count == 1 else agreeing and processes.any(self.stop(), self.engine.device)

    def _record(self, record: Record) -> None:
        for watcher in self.watchers:
            watcher.log(record)
        for sentence in self.sentinels.look(self.engine, record.losses):
            self.on_alarm(sentence)

    def _film(self, run: Run) -> dict[str, float]:
        """Keeps samples and quick scores of this step; gives the scores."""
        frame = keep_samples(run, self.engine)
        for watcher in self.watchers if frame is not None else ():
            if hasattr(watcher, "picture"):
                watcher.picture(self.engine.step_index, "samples", frame)
        return keep_scores(run, self.engine, self.images) if self.images else {}


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
