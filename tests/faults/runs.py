"""Tiny recipes that have something of everything, and what of two runs must be the same, bit for bit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

AVAE = """\
extends: avae
data: {size: 8, train: 64, test: 8}
augment: [flip, {crop: {padding: 1}}]
latent: 4
noise: 4
slots: {encoder: {width: 4}, decoder: {width: 4}, generator: {width: 4}, critic: {width: 4}}
phases:
  - encoder + decoder: {reconstruction: 1.0, kl: [{from: 0, to: 1, steps: 6}, {to: 0.5}]}
    generator: {reverse_kl: 1.0, latent_nll: 0.05, entropy: {estimator: score, weight: -0.01}}
    critic: {discriminate: 1.0}
train: {steps: 12, batch: 4, log_every: 1, save_every: 1, ema: 0.9, precision: float32, optimizer: {rate: 1.0}}
evaluate: [mse]
"""
"""Averages, augmentation, a schedule, an entropy critic, spectral norm; a checkpoint every step."""

IN_TURN = """\
extends: vaegan
data: {size: 8, train: 64, test: 8}
latent: 4
slots: {encoder: {width: 4}, decoder: {width: 4}, critic: {width: 4}}
phases:
  - encoder: {kl: 0.2, feature_match: {tap: stage1}}
    decoder: {feature_match: {tap: stage1}, non_saturating_both: 1.0}
  - rows: {critic: {discriminate_both: 1.0}}
    repeat: 2
    fresh: true
train:
  {steps: 9, batch: 4, log_every: 1, save_every: 2, ema: 0.0, precision: bfloat16, clip: 1.0, optimizer: adamw}
evaluate: [mse]
"""
"""Phases in turn, one of them played twice on images of its own; bfloat16; a checkpoint every other step."""

VAE = """\
extends: vae
data: {size: 8, train: 64, test: 8}
latent: 4
slots: {encoder: {width: 4}, decoder: {width: 4}}
train: {steps: 8, batch: 4, log_every: 1, save_every: 3, ema: 0.0, precision: float32, optimizer: {rate: 1.0}}
evaluate: [mse]
"""
"""The cheapest; a checkpoint every third step."""

RECIPES = {"avae": AVAE, "in-turn": IN_TURN, "vae": VAE}

TIMED = ("report.html", "metrics.jsonl", "plugins.json")
"""Files that tell the time, or the machine."""


def result(run: Path) -> dict[str, Any]:
    """What a finished run came to: a digest of every file that is a function of the recipe, and the records.

    Whatever lies in the run counts, so that litter is seen; ``state/`` and the watchers' files are not of the result.
    """
    files = sorted(path for path in run.rglob("*") if path.is_file())
    told = {path.relative_to(run).as_posix(): path for path in files}
    kept = {name: path for name, path in told.items() if name.split("/")[0] not in ("state", "tensorboard")}
    assert set(TIMED) <= kept.keys(), sorted(kept)
    digests = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in kept.items() if name not in TIMED}
    return {**digests, "metrics.jsonl": [(r["step"], r["seen_images"], r["losses"]) for r in records(run)]}


def records(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's journal, every one of them whole."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def differing(one: dict[str, Any], other: dict[str, Any]) -> list[str]:
    """What is not the same in two results."""
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def litter(run: Path) -> list[str]:
    """Temporary files of writes that never ended; a finished run holds none."""
    return sorted(path.relative_to(run).as_posix() for path in run.rglob(".*"))
