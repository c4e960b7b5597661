"""Writes checkpoints: copied at a step, written beside the steps that follow; the newest and the best are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from zoo.engine.engine import Engine
from zoo.errors import Interrupted, RunError
from zoo.machine.disk import remove, write_atomically
from zoo.model.tensorfile import digest_of, pieces
from zoo.recipe.schema import Train
from zoo.runs.checkpoint import best_checkpoint, computed, tensors_path
from zoo.runs.manifest import File, Manifest, Score, identity
from zoo.runs.run import Run, steps_of


class Checkpointer(AbstractContextManager["Checkpointer"]):
    """Writes a training's checkpoints beside it. Use it in a ``with``: leaving waits for what is being written.

    ``save`` copies the engine's state and returns; one thread then serialises, hashes, syncs and renames. Where the one
    before is still being written, ``save`` waits for it. What goes wrong there is raised by the next ``save``, or at
    the end. A process that is killed loses the checkpoint that was being written and no other.
    """

    def __init__(self, run: Run, engine: Engine) -> None:
        self._run, self._engine = run, engine
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="checkpoint")
        self._writing: Future[None] | None = None
        self._process = os.getpid()
        self._copies: dict[str, Tensor] = {}
        best = best_checkpoint(run.folder, engine.recipe.train.keep_best)
        self._best = best.score if best else None

    def best(self, scores: Mapping[str, float]) -> Score | None:
        """Gives the score that ``train.keep_best`` names, of this step's by label, if it is the best so far."""
        label = self._engine.recipe.train.keep_best
        if label not in scores:
            return None
        part = next(part for part in self._engine.recipe.evaluate if part.label == label)
        score = Score(label, float(scores[label]), part.load().better)
        if not score.beats(self._best):
            return None
        self._best = score
        return score

    def save(self, score: Score | None = None) -> None:
        """Copies the state as it is now and has it written, with what ``best`` gave for this step.

        If the checkpoint before this one could not be written, that is a RunError.
        """
        self._wait()
        tensors, manifest = _snapshot(self._engine, self._copies, score)
        self._writing = self._pool.submit(_write, self._run, tensors, manifest, self._engine.recipe.train)

    def _wait(self) -> None:
        if self._writing is None or os.getpid() != self._process:  # a forked process has no such thread
            return
        try:
            self._writing.result()
        finally:
            self._writing = None if self._writing.done() else self._writing

    def close(self) -> None:
        """Waits until everything is written; a RunError if something could not be."""
        try:
            self._wait()
        finally:
            self._pool.shutdown(wait=os.getpid() == self._process)

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        try:
            self.close()
        except RunError as unsaved:
            if error is None or isinstance(error, Interrupted):  # who is told that all was saved must not be
                raise
            error.args = (f"{error}. Besides, {unsaved}",)


def save_checkpoint(run: Run, engine: Engine, score: Score | None = None) -> None:
    """Writes a checkpoint before it returns; a RunError names the file that cannot be written."""
    _write(run, *_snapshot(engine, {}, score), engine.recipe.train)


@torch.no_grad()
def _snapshot(engine: Engine, copies: dict[str, Tensor], score: Score | None) -> tuple[dict[str, Tensor], Manifest]:
    """Copies the engine's state into ``copies``, as new memory costs more than the copy; the manifest names no file
    yet.
    """
    pieces, plain = engine.state()
    tensors = engine.shards.gathered(pieces)
    for name in copies.keys() - tensors.keys():
        del copies[name]
    for name, tensor in tensors.items():
        there = copies.get(name)
        if there is None or there.shape != tensor.shape or there.dtype != tensor.dtype:
            copies[name] = torch.empty_like(tensor, device="cpu")  # the same strides: reordered by the thread
    torch._foreach_copy_([copies[name] for name in tensors], [tensor.detach() for tensor in tensors.values()])
    manifest = Manifest(engine.step_index, identity(engine.recipe.plain()), {}, plain, computed(engine), score)
    return copies, manifest


def _write(run: Run, tensors: Mapping[str, Tensor], manifest: Manifest, settings: Train) -> None:
    path = tensors_path(run.folder, manifest.step)
    parts = pieces(tensors, {"step": str(manifest.step)})
    write_atomically(path, parts)
    files = {path.name: File(sum(map(len, parts)), digest_of(parts))}
    run.write(f"state/{path.stem}.json", replace(manifest, files=files).text())
    _prune(run.folder, manifest.step, settings)


def _prune(folder: Path, newest: int, settings: Train) -> None:
    """Removes all but the newest checkpoints and the best; later steps are of files that could not be read."""
    finished = steps_of(folder, "json")
    kept = set(sorted(step for step in finished if step <= newest)[-settings.keep_last :])
    best = best_checkpoint(folder, settings.keep_best)
    kept |= {best.step} if best and best.step <= newest else set()
    for step in sorted(finished - kept):
        remove(tensors_path(folder, step).with_suffix(".json"))
    for step in sorted(steps_of(folder, "safetensors") - kept):
        remove(tensors_path(folder, step))
