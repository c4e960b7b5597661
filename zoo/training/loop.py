"""The training loop: steps, records, samples on the way, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.api import Record, Watcher
from zoo.data.batches import Batches, load_images
from zoo.data.fields import split_of
from zoo.draws import forked
from zoo.engine.average import Average
from zoo.engine.engine import Engine
from zoo.errors import Interrupted
from zoo.machine.device import sync_device
from zoo.machine.processes import ALONE, Processes
from zoo.model.model import Model
from zoo.runs.checkpoint import restore_checkpoint
from zoo.runs.checkpointer import Checkpointer
from zoo.runs.identity import plain_json
from zoo.runs.manifest import Score
from zoo.runs.run import Run
from zoo.runs.weights import FROZEN, freeze
from zoo.training.after import fit_after
from zoo.training.alarms import Alarms
from zoo.training.diagnosis import told_why
from zoo.training.film import keep_samples, keep_scores, milestones
from zoo.types import Examples


def train(
    model: Model,
    data: Examples | Tensor | None = None,
    *,
    steps: int | None = None,
    watchers: Sequence[Watcher] = (),
    run: Run | None = None,
    stop: Callable[[], bool] = lambda: False,
    say: Callable[[str], None] = lambda _: None,
    on_alarm: Callable[[str], None] | None = None,
    processes: Processes = ALONE,
    keep: bool = False,
) -> Engine:
    """Trains a model and raises as ``zoo.train``; where there is a run, averaged weights go to a file of it instead.

    Args:
        model: goes on where its training before ended, if that was kept.
        data: the data, or pixels to train on alone, uint8 (N, C, H, W); None for the recipe's own.
        steps: how many in all; the recipe's number when None.
        run: where checkpoints go and are taken up from, and samples on the way are kept.
        say: told what is worth telling, such as a checkpoint that could not be read.
        on_alarm: told of a collapse or saturation (``alarms``), after the record it was seen at; ``say`` when None.
        processes: those that train together; all but the first are given no run, no watchers and the same data. What
            they share out of the model (``train.fully_shard``) is whole again in each when this returns.
        keep: whether the model keeps what its next training goes on from.
    """
    steps = model.recipe.train.steps if steps is None else steps
    data = data if data is not None else load_images(model.recipe)
    examples = Examples(data, data[:0]) if isinstance(data, Tensor) else data
    model.train_size = len(examples.train)
    freeze(model, processes.told(plain_json(run.folder, FROZEN) if run else {}))
    engine, alarms = Engine(model, processes=processes), Alarms(model.recipe, examples, steps)
    model.frequencies.note(split_of(examples, "train", model.recipe))
    _go_on(model, engine)
    for note in restore_checkpoint(run, engine) if run else ():
        say(note)
    _level(engine)
    batches = Batches.of(model.recipe, examples, model.device, model.dtype, processes.shard)
    if engine.step_index:
        say(f"continuing at step {engine.step_index} of {steps}")
    for watcher in watchers:
        watcher.start(engine.step_index, steps, model.recipe.train.batch)
    try:
        with forked(engine.device), told_why(engine, batches, run):
            _Loop(engine, batches, steps, watchers, run, examples, stop, alarms, on_alarm or say).play()
    finally:
        for watcher in watchers:
            watcher.end()
        if keep:
            _keep(model, engine)
    engine.end()
    _finish(engine, examples, run, say)
    return engine


def _finish(engine: Engine, examples: Examples, run: Run | None, say: Callable[[str], None]) -> None:
    """Fits what is fitted at the end, and gives the model of a training without a run its averaged weights."""
    if engine.processes.first:
        fit_after(engine, examples, run.path("state") if run else None, say)
    if engine.average and run is None:
        hold_average(engine.model, engine.average)


def hold_average(model: Model, average: Average) -> None:
    """Gives a model its averaged weights."""
    model.load_state_dict(average.state_dict())
    model.weights = "ema"


def _keep(model: Model, engine: Engine) -> None:
    """Keeps with a model what its training goes on from: all but its weights, which it goes on with as they then are.

    Where it will hold averaged weights, those that were trained are kept too.
    """
    tensors, plain = engine.state()
    own = {name for name in tensors if name.startswith("model/")}
    trained = {name: tensors[name].clone() for name in own} if engine.average else {}
    model.trained = {name: tensor for name, tensor in tensors.items() if name not in own} | trained, plain


def _go_on(model: Model, engine: Engine) -> None:
    """Has an engine go on from where the model's training before ended."""
    if model.trained is None:
        return
    kept, plain = model.trained
    own = {f"model/{name}": tensor for name, tensor in model.state_dict().items()}
    averages = engine.average.averaged if engine.average else ()
    averaged = {f"ema/{name}": own[f"model/{name}"] for name in averages}
    held = all(_same(tensor, kept.get(name)) for name, tensor in averaged.items())
    moments = {name: tensor for name, tensor in kept.items() if name.startswith("optimizer/")}
    given = kept if held else averaged  # what it was given meanwhile, it is trained on
    names = [name for name in engine.frozen if f"ema/{name}" in averaged]  # they stay as the model shows them
    frozen = {f"{kind}/{name}": own[f"model/{name}"] for kind in ("model", "ema") for name in names}
    engine.restore({**moments, **own, **given, **frozen}, plain)
    model.weights = "raw"


def _same(tensor: Tensor, other: Tensor | None) -> bool:
    return other is not None and tensor.shape == other.shape and torch.equal(tensor.to(other), other)


def _level(engine: Engine) -> None:
    """Has every process start from where the first one is."""
    processes, shards = engine.processes, engine.shards
    step, seen, alarms = processes.told((engine.step_index, engine.seen_images, engine.alarms))
    if processes.count > 1 and step:
        whole = (shards.read or engine.state()[0]) if processes.first else {}
        tensors = processes.shared(whole, engine.device, shards.piece)
        if not processes.first:
            engine.restore(tensors, {"step": step, "images": seen, "alarms": alarms})
        shards.read = {}


@dataclass
class _Loop:
    """Takes the steps of a training and does what is done beside them; ``train`` says what its parts are."""

    engine: Engine
    batches: Batches
    steps: int
    watchers: Sequence[Watcher]
    run: Run | None
    images: Examples
    stop: Callable[[], bool]
    alarms: Alarms
    on_alarm: Callable[[str], None]

    def __post_init__(self) -> None:
        self._begin = self._then = time.monotonic()
        self._step = self.engine.step_index

    def play(self) -> None:
        """Trains up to the last step, or until asked to stop; checkpoints are whole when it returns."""
        engine, settings = self.engine, self.engine.recipe.train
        kept = engine.shards.told(self.run is not None)
        framed = milestones(self.steps) if kept else ()
        looks = settings.best_every or settings.save_every
        with Checkpointer(self.run, engine) if self.run else nullcontext() as keeper:
            while engine.step_index < self.steps:
                losses = engine.step(self.batches)
                last, logging = engine.step_index == self.steps, engine.step_index % settings.log_every == 0
                stopping = self._stopping(logging or last)
                saving = kept and (last or engine.step_index % settings.save_every == 0)
                if last or saving or logging:  # not at a stop, of which a training that goes on shows nothing
                    engine.check()
                    self._record(losses)
                filming = engine.step_index in framed
                scoring = filming or (kept and settings.keep_best != "" and engine.step_index % looks == 0)
                if filming:
                    self._film()  # before the checkpoint, which then has its film
                best = self._score(keeper) if scoring else None
                if kept and (saving or stopping or (scoring and engine.shards.told(best is not None))):
                    engine.check()
                    if keeper:
                        keeper.save(best)
                    else:
                        engine.shards.gathered(engine.state()[0])  # the first process saves what it is given of it
                if stopping and not last:
                    raise Interrupted(f"step {engine.step_index} of {self.steps}")

    def _stopping(self, agreeing: bool) -> bool:
        """True to save and end; several processes agree on it at records, for each hears of it at another step."""
        processes = self.engine.processes
        return self.stop() if processes.count == 1 else agreeing and processes.any(self.stop(), self.engine.device)

    def _record(self, losses: Mapping[str, Tensor]) -> None:
        """Tells watchers and alarms of the step. Reading losses waits for the device, once."""
        numbers = torch.stack([*losses.values()]).tolist() if losses else []
        sync_device(self.engine.device)
        now, step, batch = time.monotonic(), self.engine.step_index, self.engine.recipe.train.batch
        speed = (step - self._step) * batch / max(now - self._then, 1e-9)
        self._then, self._step = now, step
        record = Record(
            step, self.engine.seen_images, now - self._begin, speed, dict(zip(losses, numbers, strict=True))
        )
        for watcher in self.watchers:
            watcher.log(record)
        for sentence in self.alarms.look(self.engine, record.losses):
            self.on_alarm(sentence)

    def _film(self) -> None:
        """Keeps samples of this step."""
        frame = keep_samples(self.run, self.engine)
        for watcher in self.watchers if frame is not None else ():
            if picture := getattr(watcher, "picture", None):
                picture(self.engine.step_index, "samples", frame)

    def _score(self, keeper: Checkpointer | None) -> Score | None:
        """Keeps quick scores of this step; gives the score that makes it the best so far, if one does."""
        scores = keep_scores(self.run, self.engine, self.images) if len(self.images.test) else {}
        return keeper.best(scores) if keeper else None
