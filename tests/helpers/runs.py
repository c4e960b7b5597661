"""A tiny run with weights, averages and three checkpoints, made once, and ways to take it up again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from helpers.engine import images, small

from zoo.data.batches import load_images
from zoo.engine.engine import Engine
from zoo.errors import Interrupted
from zoo.model.model import Model
from zoo.recipe import Recipe, registry_for, write_recipe
from zoo.runs.checkpoint import restore_checkpoint
from zoo.runs.checkpointer import save_checkpoint
from zoo.runs.manifest import sealed
from zoo.runs.provenance import provenance
from zoo.runs.run import Run
from zoo.runs.weights import save_weights
from zoo.training.loop import train

STEPS = 3


def recipe(*overrides: str) -> Recipe:
    """A VAE with nets of width 4, averaged, which keeps three checkpoints."""
    return small("vae", "train.ema=0.9", "train.keep_last=3", "data.size=8", *overrides, dtype=torch.float32).recipe


def trained(made: Recipe, folder: Path, steps: int = STEPS) -> Engine:
    """An engine that has taken some steps, each with its checkpoint, and what ``zoo build`` leaves of it."""
    engine = Engine(Model(made))
    size = made.sizes.size
    with Run(folder) as run:
        run.write("recipe.yaml", sealed(write_recipe(made)))
        run.write_json("plugins.json", provenance(made, registry_for({})))
        for _ in range(steps):
            engine.step(lambda turn: images(turn, torch.float32)[..., :size, :size].contiguous())
            save_checkpoint(run, engine)
        save_weights(run, engine)
    return engine


def digest(engine: Engine) -> str:
    """Of everything that the next step depends on."""
    tensors, plain = engine.state()
    found = hashlib.sha256(json.dumps(plain).encode())
    for name in sorted(tensors):
        found.update(name.encode() + tensors[name].contiguous().numpy().tobytes())
    return found.hexdigest()


def restored(folder: Path, engine: Engine) -> list[str]:
    """Takes up a run's newest good checkpoint; returns what was said."""
    with Run(folder) as run:
        return restore_checkpoint(run, engine)


def put_file(path: Path, content: bytes) -> None:
    """Other bytes in the place of a file; a file that is emptied first has some file systems wait for the disk."""
    path.unlink()
    path.write_bytes(content)


def goes_on_bit_for_bit(made: Recipe, folder: Path) -> bool:
    """Whether a training on a recipe's data that is stopped after each of three steps ends with the weights of one."""

    def ended(name: str, stop: bool) -> dict[str, torch.Tensor]:
        with Run(folder / name) as run:
            run.write("recipe.yaml", write_recipe(made))
            return train(Model(made), load_images(made), run=run, stop=lambda: stop, say=lambda _: None).state()[0]

    whole = ended("whole", False)
    for _ in range(3):
        with pytest.raises(Interrupted):
            ended("pieces", True)
    pieces = ended("pieces", False)
    return whole.keys() == pieces.keys() and all(torch.equal(whole[name], pieces[name]) for name in whole)
