"""Re-runs steps: to prove that resuming is bit-exact, and to reproduce a recorded fault."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from zoo.columns import table
from zoo.data.batches import Batches, load_images
from zoo.engine.engine import Engine
from zoo.engine.sentinel import Poisoned
from zoo.errors import RequestError, TrainingError
from zoo.machine.device import choose_device
from zoo.model.model import Model
from zoo.recipe import Recipe
from zoo.report.pictures import grid_png
from zoo.runs.checkpoint import checkpoints, restore_checkpoint, step_of, take_up
from zoo.runs.checkpointer import save_checkpoint
from zoo.runs.identity import refuse_another
from zoo.runs.run import Run
from zoo.training.diagnosis import FILE, Fault, diagnose

PICTURE = "fault.png"
"""The images of the batch at which a training went wrong, in a run."""
BEFORE, COLUMNS = 5, 8
"""Steps before a fault whose terms are told, and images side by side in its picture."""


@dataclass(frozen=True)
class Replayed:
    """Steps that were taken in two ways, and the SHA-256 of the state that both led to."""

    first: int
    last: int
    how: str
    sha256: str

    def __str__(self) -> str:
        return f"steps {self.first} to {self.last}, {self.how}: the same to the last bit (SHA-256 {self.sha256[:16]})"


class _Bench:
    """Trains a recipe as often as it is asked to, each time with a new model."""

    def __init__(self, recipe: Recipe, device: str) -> None:
        self._recipe, self._device = recipe, choose_device(device)
        self._examples = load_images(recipe)

    def engine(self) -> tuple[Engine, Batches]:
        model = Model(self._recipe, self._device)
        model.train_size = len(self._examples.train)
        return Engine(model), Batches.of(model.recipe, self._examples, model.device, model.dtype)

    def played(self, start: Callable[[Engine], object], steps: int) -> Engine:
        """A new engine, that many steps after where ``start`` puts it."""
        engine, batches = self.engine()
        start(engine)
        for _ in range(steps):
            engine.step(batches)
        return engine


def verify_resume(recipe: Recipe, folder: Path, *, device: str = "auto", steps: int = 10) -> list[Replayed]:
    """Takes steps of a run again and compares: so many from the newest checkpoint with and without an interruption, and
    those from the checkpoint before it to the newest. The run is not changed.

    Raises:
        RequestError: if there is no checkpoint, the steps are too few to interrupt, or the run is another recipe's.
        TrainingError: naming what differs.
    """
    if steps < 2:
        raise RequestError(f"--verify-resume {steps}: between steps it is interrupted; take 2 or more")
    with Run(folder) as run:
        paths = checkpoints(run)
        if not paths:
            raise RequestError(f"{folder}: has no checkpoint to verify; build it first")
        refuse_another(run, recipe)
        bench = _Bench(recipe, device)
        newest, *older = paths
        return [_interrupted(bench, run, steps), *(_between(bench, run, newest, path) for path in older[:1])]


def _interrupted(bench: _Bench, run: Run, steps: int) -> Replayed:
    """Compares steps in one go with as many that a checkpoint, written and taken up again, interrupts half-way."""
    whole = bench.played(partial(restore_checkpoint, run), steps)
    half = bench.played(partial(restore_checkpoint, run), steps // 2)
    with tempfile.TemporaryDirectory() as name, Run(Path(name) / "run") as copy:
        save_checkpoint(copy, half)
        rest = bench.played(partial(restore_checkpoint, copy), steps - steps // 2)
    first = whole.step_index - steps
    return Replayed(first, whole.step_index, "with and without an interruption", _same(whole, rest))


def _between(bench: _Bench, run: Run, newest: Path, older: Path) -> Replayed:
    """Compares a checkpoint of the run's with the steps to it, taken once more from the one before."""
    first, last = step_of(older), step_of(newest)
    there = bench.played(partial(take_up, run.folder, newest), 0)
    same = _same(there, bench.played(partial(take_up, run.folder, older), last - first))
    return Replayed(first, last, "as they were taken and once more", same)


def _same(one: Engine, other: Engine) -> str:
    """The SHA-256 of the state of both; a TrainingError names what differs."""
    mine, theirs = (_digests(engine) for engine in (one, other))
    differ = [name for name in sorted(mine.keys() | theirs.keys()) if mine.get(name) != theirs.get(name)]
    if differ:
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise TrainingError(
            f"step {one.step_index}: {', '.join(differ[:3])}{more} came out differently: something in this recipe "
            "draws from no stream of zoo's, keeps what no buffer holds, or computes otherwise each time"
        )
    return hashlib.sha256(json.dumps(mine, sort_keys=True).encode()).hexdigest()


def _digests(engine: Engine) -> dict[str, str]:
    tensors, _ = engine.state()
    bits = {name: tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8) for name, tensor in tensors.items()}
    digests = {name: hashlib.sha256(flat.numpy().tobytes()).hexdigest() for name, flat in bits.items()}
    return {**digests, "step": str(engine.step_index)}  # alarms are not looked for here


# -- a fault -------------------------------------------------------------------------------------------------


def replay_fault(
    recipe: Recipe, folder: Path, *, device: str = "auto", say: Callable[[str], None] = lambda _: None
) -> Fault:
    """Takes the steps up to a run's fault again; says the terms of the last and the state of the networks.

    ``fault.png`` has the images of its batch. A run without a fault, or of another recipe, is a RequestError; a fault
    that does not come back is a TrainingError.
    """
    with Run(folder) as run:
        kept = run.read_json(FILE)
        if kept is None:
            raise RequestError(f"{folder}: has no fault to replay ({FILE} is not there)")
        if not isinstance(kept, dict) or not isinstance(kept.get("step"), int):
            raise RequestError(f"{folder}: {FILE} does not say which step went wrong; train on, and it is written anew")
        refuse_another(run, recipe)
        engine, batches = _Bench(recipe, device).engine()
        engine.look_closely("a fault is looked for")
        for path in [path for path in checkpoints(run) if step_of(path) <= kept["step"]][:1]:
            take_up(run.folder, path, engine)
        say(f"step {kept['step']} went wrong; replaying from step {engine.step_index}")
        before: list[dict[str, str]] = []
        try:
            while engine.step_index <= kept["step"]:
                losses = {name: f"{float(value):.4g}" for name, value in engine.step(batches).items()}
                before = [*before[1 - BEFORE :], {"step": str(engine.step_index - 1), **losses}]
            engine.check()
        except Poisoned as poisoned:
            fault = diagnose(engine, poisoned, batches)
            last = {"step": str(fault.step), **{str(key): f"{float(v):.4g}" for key, v in poisoned.losses.items()}}
            say(_terms([*before, last]))
            say(table(_norms(engine, poisoned)))
            x = batches(engine.turn(poisoned.which))[recipe.x.name]
            if recipe.x.kind == "image":
                run.write(PICTURE, grid_png(torch.split(x.float().clamp(-1, 1), COLUMNS)))
            return fault
    raise TrainingError(f"{folder}: the fault at step {kept['step']} did not come back: every term is well there")


def _terms(steps: list[dict[str, str]]) -> str:
    """A table of the terms of some steps; a phase that is not due leaves its places empty."""
    names = list(dict.fromkeys(name for step in steps for name in step))
    return table([names, *([step.get(name, "") for name in names] for step in steps)])


def _norms(engine: Engine, poisoned: Poisoned) -> list[list[str]]:
    """For each player the largest weight and the norm of the gradient that it would have moved by."""
    lines = [["player", "largest weight", "norm of the gradient"]]
    for name, player in engine.players.items():
        largest = max(float(p.detach().abs().max()) for p in player.parameters.values())
        gradients = [poisoned.gradients[key] for key in player.parameters if key in poisoned.gradients]
        norm = float(torch.stack([g.float().norm() for g in gradients]).norm()) if gradients else 0.0
        lines.append([name, f"{largest:.4g}", f"{norm:.4g}"])
    return lines
