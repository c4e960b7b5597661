"""The images of a run, as a set: what an output of its model makes, of its prior or of its test images."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.check.assembly import assemble
from zoo.data.batches import load_images
from zoo.data.fields import central
from zoo.draws import seed_of
from zoo.errors import RequestError
from zoo.model.model import Model
from zoo.runs.provenance import own_recipe, resolved
from zoo.runs.weights import load_weights
from zoo.scoring.sets import Images, in_memory
from zoo.types import to_model, to_pixels

MOST = 10_000
"""Samples of a run where nobody says how many."""


def run_images(
    folder: Path, output: str, n: int, seed: int, *, weights: str, device: torch.device, plugins: tuple[Path, ...]
) -> Images:
    """An output of a run: ``sample``, ``reconstruction``, ``x`` for its test images, or any value that is images.

    Args:
        n: how many samples; 0 for ``MOST``. What is made of images is made of every test image.
        seed: which draw of codes and noise.
        weights: ``raw``, ``ema``, ``best``, or empty for the averaged ones where there are any.
    """
    own_recipe(folder)
    model = assemble(resolved(folder, (), plugins)[0], device, restored=True)
    used = load_weights(model, folder, weights)
    value = model.output(output) if output in ("sample", "reconstruction") else output
    graph = model.recipe.graph
    from_images = value == "x" or "x" in graph.order([value])
    test = load_images(model.recipe).test if from_images else None
    count = n or (len(test) if test is not None else MOST)
    if test is not None and count > len(test):
        raise RequestError(f"{folder}#{output}: is made of {len(test):,} test images, and {count:,} are asked for")

    def part(begin: int, end: int) -> Tensor:
        images = None if test is None else central(test[begin:end], model.recipe.x.shape)
        if value == "x" and images is not None:
            return images
        given = {} if images is None else {"x": to_model(images.to(device), model.dtype)}
        made = model.compute(value, given=given, batch=end - begin, seed=seed_of(seed, "score", begin))[0]
        if not isinstance(made, Tensor) or made.ndim != 4 or made.shape[1] not in (1, 3):
            raise RequestError(f"{folder}#{output}: is no image; choose sample, reconstruction, x or another value")
        return to_pixels(made).cpu()

    about = {"kind": "run", "output": output, "value": value, "weights": used, "seed": seed}
    about |= {"batch_stats": model.recipe.batch_stats, "step": model.recipe.train.steps}
    about |= {"split": "test"} if from_images else {}
    return in_memory(f"{folder}#{output}", part, count, about, key=_key(model, about))


def _key(model: Model, about: Mapping[str, Any]) -> str:
    """What decides the images: the weights, the recipe, the draw."""
    known = hashlib.sha256(json.dumps([model.recipe.plain(), dict(about)], sort_keys=True, default=str).encode())
    for name, tensor in sorted(model.state_dict().items()):
        known.update(name.encode() + tensor.cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return known.hexdigest()
