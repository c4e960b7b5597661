"""Checkpoints and weights: tensors in safetensors files, taken up again bit for bit."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from zoo.engine import Engine
from zoo.errors import RunError
from zoo.model import Model
from zoo.run import Run

KEPT = 2
"""Checkpoints kept; the older of them is the fallback if the newest cannot be read."""


def checkpoints(run: Run) -> list[Path]:
    """Checkpoints, newest first."""
    return sorted((run.folder / "state").glob("step-*.safetensors"), reverse=True)


def save_checkpoint(run: Run, engine: Engine) -> None:
    """Writes a checkpoint; the newest ``KEPT`` stay."""
    tensors, plain = engine.state()
    name = f"state/step-{engine.step_index:08d}.safetensors"
    run.write(name, packed(tensors, plain))
    for old in checkpoints(run)[KEPT:]:
        old.unlink()


def restore_checkpoint(run: Run, engine: Engine) -> list[str]:
    """Takes up the newest checkpoint that can be read.

    Returns:
        a sentence for each checkpoint that could not.
    """
    notes = []
    for path in checkpoints(run):
        try:
            tensors, plain = unpacked(path)
            engine.restore(tensors, plain)
        except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
            notes.append(f"{path}: cannot be read ({error}); going back to the checkpoint before it")
            continue
        return notes
    return notes


def packed(tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> bytes:
    """Tensors and plain data as one safetensors file."""
    ready = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    return save(ready, metadata={"zoo": json.dumps({**plain, "blake2b": _digest(ready)})})


def unpacked(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What ``packed`` wrote.

    Raises:
        ValueError: if the tensors are not those that were written; safetensors itself notices a torn file only.
    """
    with safe_open(path, framework="pt") as file:
        tensors, plain = {k: file.get_tensor(k) for k in list(file.keys())}, json.loads((file.metadata() or {})["zoo"])
    if plain.pop("blake2b", "") != _digest(tensors):
        raise ValueError("its content is not what was written")
    return tensors, plain


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def save_weights(run: Run, engine: Engine) -> None:
    """Writes ``model.safetensors``, and ``ema.safetensors`` where weights are averaged."""
    steps = {"step": engine.step_index}
    if engine.average:
        run.write("ema.safetensors", packed(engine.average.state_dict(), steps))
    run.write("model.safetensors", packed(engine.model.state_dict(), steps))


def trained_steps(folder: Path) -> int:
    """Steps behind a run's finished weights; 0 if there are none that can be read."""
    try:
        with safe_open(folder / "model.safetensors", framework="pt") as file:
            return int(json.loads(file.metadata()["zoo"])["step"])
    except (OSError, SafetensorError, KeyError, TypeError, ValueError):
        return 0


def load_weights(model: Model, folder: Path, weights: str = "") -> str:
    """Puts a run's weights into a model.

    Args:
        model: built from the run's recipe.
        folder: the run.
        weights: ``raw``, ``ema``, or empty for the averaged ones where there are any.

    Returns:
        which weights were loaded.

    Raises:
        RunError: if they are missing or do not fit.
    """
    names = {"raw": "model.safetensors", "ema": "ema.safetensors"}
    chosen = weights or ("ema" if (folder / names["ema"]).is_file() else "raw")
    path = folder / names[chosen]
    if not path.is_file():
        raise RunError(f"{folder}: has no {path.name}; finish it with: zoo build {folder / 'recipe.yaml'}")
    try:
        tensors, _ = unpacked(path)
        model.load_state_dict(tensors)
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise RunError(f"{path}: cannot be loaded: {error}") from None
    return chosen


def sync_device(device: torch.device) -> None:
    """Waits for the device, so that a clock read afterwards tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
