"""The sections of a recipe as dataclasses: their fields are the keys that a recipe may write, with types and defaults.

The same reader checks them and every part's options; ``zoo show train`` prints their docstrings.
"""

from dataclasses import dataclass
from typing import Literal

from zoo.api import Scheduled
from zoo.recipe.schedule import Piece


@dataclass(frozen=True, kw_only=True)
class Top:
    """The top level.

    Args:
        name: name of the run; the file's name when empty.
        seed: every draw is a function of it.
        latent: K, dimensions of the code z, or its shape where it is no vector, [4, 8, 8]; null for what the contract
            of the encoder says, or else 64.
        noise: A, dimensions of the generator's auxiliary noise z_a.
        batch_stats: statistics that batch normalisation uses at evaluation and sampling.
    """

    name: str = ""
    seed: int = 0
    latent: int | tuple[int, ...] | None = None
    noise: int = 0
    batch_stats: Literal["running", "batch"] = "running"


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a model trains.

    Args:
        steps: optimiser steps in all.
        epochs: passes over the training set, in place of steps; what remains of a last batch is filled up. 0 for none.
        batch: images in a batch.
        ema: decay of the averaged weights that sampling and evaluation use; 0 for none.
        clip: largest gradient norm of a player; 0 for no limit.
        precision: type the networks compute in; auto takes bfloat16 where the processor multiplies in it.
        channels_last: memory layout of images and convolutions.
        accumulate: parts that a batch is taken in, one after the other, to need less memory; gradients are averaged.
        activation_checkpointing: whether the backward computes networks' activations again instead of keeping them.
        sync_batch_norm: whether batch normalisation takes its statistics over the batches of all processes.
        fully_shard: whether each of N processes keeps but one Nth of large weights, and of all that goes with them.
        compile: whether each phase is compiled as one graph, forward and every gradient.
        cuda_graph: whether a step is replayed as a CUDA graph; auto does where the step allows it.
        data_on: where the images lie; auto takes the device if they fill at most half of its free memory.
        log_every: steps between two lines of metrics.jsonl.
        save_every: steps between two checkpoints.
        keep_last: newest checkpoints that are kept; all but the newest are fallbacks.
        keep_best: a quick metric of evaluate; the checkpoint that scored best on the way is kept too. Empty for none.
        best_every: steps between two looks at it; 0 for save_every.
    """

    steps: int = 2000
    epochs: int = 0
    batch: int = 64
    ema: Scheduled = 0.0
    clip: float = 0.0
    precision: Literal["float32", "bfloat16", "auto"] = "float32"
    channels_last: bool = True
    accumulate: int = 1
    activation_checkpointing: bool = False
    sync_batch_norm: bool = False
    fully_shard: bool = False
    compile: bool = False
    cuda_graph: Literal["auto", "on", "off"] = "auto"
    data_on: Literal["auto", "device", "host"] = "auto"
    log_every: int = 20
    save_every: int = 500
    keep_last: int = 2
    keep_best: str = ""
    best_every: int = 0


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How often the rows of a phase move.

    Args:
        repeat: times the phase is played in a step.
        fresh: whether each play draws its own batch and noise.
        every: play only every so many steps.
        start: first step at which it is played.
        until: step from which on it is no longer played; 0 for never.
    """

    repeat: int = 1
    fresh: bool = False
    every: int = 1
    start: int = 0
    until: int = 0


SIGNED: dict[str, type] = {"recipe": Top, "train": Training, "phase": Timing, "schedule": Piece}
"""By the names that ``zoo show`` knows them by."""

MINIMA = dict.fromkeys(("noise", "seed", "clip", "start", "until", "epochs", "best_every"), 0)
MINIMA |= dict.fromkeys(("latent", "steps", "batch", "log_every", "save_every", "accumulate", "keep_last"), 1)
MINIMA |= dict.fromkeys(("repeat", "every"), 1)
"""Smallest value of each number that has one."""

SECTIONS = ("data", "augment", "slots", "values", "phases", "after", "outputs", "train", "evaluate", "watch")
NEEDED = ("data", "slots", "phases")
"""Sections without which there is no recipe."""

NETWORKS = ("encoder", "decoder", "generator", "critic", "module", "prior")
"""Kinds that a slot may be of."""

OUTPUTS = ("sample", "reconstruction", "posterior")
"""What pictures, metrics and commands show; a recipe may have other outputs, by names of its own."""
SLIP = 0.8
"""How alike a name must be to one of those that are known, to be a slip of it rather than a name of its own."""

DEFAULT_WATCHER = "tensorboard"
DEFAULT_LATENT = 64
"""Dimensions of a code, where neither the recipe nor its encoder says."""
LONGEST_NAME = 100
"""Bytes of the longest name of a run."""

TAKES: dict[str, tuple[str, ...]] = {"augmentation": ("images", "draw"), "watcher": ("folder", "recipe")}
TAKES |= {"exporter": ("model", "run", "folder"), "data": ("trained",)}
"""What parts of these kinds may ask for."""
