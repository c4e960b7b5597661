"""Models side by side: the same test images through each, and samples of each, a labelled row for every one."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from zoo.data import load_images
from zoo.errors import ZooError
from zoo.model import Model, choose_device
from zoo.pictures import GAP, grid_png
from zoo.recipe import load_recipe
from zoo.registry import Registry
from zoo.showing import SEED, reconstructions
from zoo.state import load_weights
from zoo.tensors import to_model

SHOWN = 10
"""Images in a row."""
SIDE = 64
MARGIN = 10


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
    return {file: labelled(real | shown) for file, shown in rows.items() if shown}, notes


def _loaded(folder: Path, registry: Registry, device: str) -> Model:
    model = Model(load_recipe(folder / "recipe.yaml", (), registry), choose_device(device))
    load_weights(model, folder)
    return model


def _label(model: str, output: str) -> str:
    return model if output == "reconstruction" else f"{model} {output}"


def labelled(rows: Mapping[str, Tensor]) -> bytes:
    """Rows of images as one PNG, each with its name at the left.

    Args:
        rows: name -> (N, C, H, W) in [-1, 1]; the same sizes in all.

    Returns:
        the file's bytes.
    """
    grid = Image.open(io.BytesIO(grid_png(list(rows.values()), side=SIDE)))
    side = next(iter(rows.values())).shape[-2]
    pitch = (side + GAP) * max(1, round(SIDE / side))  # as grid_png enlarges
    font = _font()
    names = [name.encode("ascii", "replace").decode() for name in rows]
    width = int(max(font.getlength(name) for name in names)) + 2 * MARGIN
    picture = Image.new("RGB", (width + grid.width, grid.height), "white")
    picture.paste(grid, (width, 0))
    pen = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        left, top, right, bottom = font.getbbox(name)
        corner = (width - MARGIN - (right - left), row * pitch + (pitch - bottom - top) / 2)
        pen.text(corner, name, fill="black", font=font)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(15)
    except (ImportError, TypeError):  # Pillow without FreeType, or before 10.1: its small bitmap font
        return ImageFont.load_default()
