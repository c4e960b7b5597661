"""Models side by side: the same test images through each, and samples of each, a labelled row for every one."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from torch import Tensor

from zoo.compare.rows import labelled
from zoo.data import load_images
from zoo.errors import ZooError
from zoo.memory import check_size
from zoo.model import Model, choose_device
from zoo.pictures import GAP, grid_png
from zoo.recipe import load_recipe
from zoo.registry import Registry
from zoo.run import own_recipe
from zoo.showing import SEED, reconstructions
from zoo.state import load_weights
from zoo.tensors import to_model

SHOWN = 8
"""Images in a row."""
SIDE = 64


def draw(data: str, runs: Mapping[str, Path], registry: Registry, device: str) -> tuple[dict[str, bytes], list[str]]:
    """``comparison-DATA.png`` and ``samples-DATA.png``; only those that have a model's row.

    Args:
        data: the data set's name.
        runs: model -> the run that stands for it.
        registry: the plugins the runs are loaded with.
        device: where the models compute.

    Returns:
        file name -> PNG, and a sentence for each run that could not be loaded.
    """
    real: dict[str, Tensor] = {}
    again: dict[str, Tensor] = {}
    samples: dict[str, Tensor] = {}
    notes = []
    for name, folder in runs.items():
        try:
            model = _loaded(folder, registry, device)
            real = real or {"real": to_model(load_images(model.recipe).test[:SHOWN])}
        except ZooError as error:
            notes.append(f"no pictures of {name} on {data}: {error}")
            continue
        made = reconstructions(model, real["real"].to(model.device, model.dtype))
        again |= {_label(name, output): images.cpu() for output, images in made.items()}
        if "sample" in model.recipe.outputs:
            samples[name] = model.sample(SHOWN, seed=SEED).cpu()
    rows = {f"comparison-{data}.png": again, f"samples-{data}.png": samples}
    return {file: _drawn(real | shown) for file, shown in rows.items() if shown}, notes


def _loaded(folder: Path, registry: Registry, device: str) -> Model:
    recipe, where = load_recipe(own_recipe(folder), (), registry), choose_device(device)
    check_size(recipe, where)
    model = Model(recipe, where)
    load_weights(model, folder)
    return model


def _label(model: str, output: str) -> str:
    return model if output == "reconstruction" else f"{model} {output}"


def _drawn(rows: Mapping[str, Tensor]) -> bytes:
    """Rows of images (N, C, H, W) in [-1, 1], the same sizes in all, each with its name at the left."""
    factor = max(1, round(SIDE / next(iter(rows.values())).shape[-2]))  # as grid_png enlarges
    grid = Image.open(io.BytesIO(grid_png(list(rows.values()), side=SIDE)))
    pitch = (grid.height + GAP * factor) // len(rows)
    return labelled(grid, list(rows), pitch, GAP * factor)
