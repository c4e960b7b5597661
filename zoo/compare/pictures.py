"""Models side by side: the same test images through each, and samples of each, a labelled row for every one.

A picture is a PNG with names at the left, and a JSON file beside it with the rows alone: pages set the names themselves.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import ZooError
from zoo.machine.disk import write_atomically
from zoo.recipe import load_recipe
from zoo.registry import Registry
from zoo.runs.run import own_recipe

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.model.model import Model

MARKS = "pictures.json"
"""In it: data set -> its pictures, and a digest of the runs that are in them."""
SHOWN = 8
"""Images in a row."""
MARGIN = 10
"""Pixels at each side of a name."""


def draw_missing(
    data: str, runs: Mapping[str, Path], registry: Registry, out: Path, device: str, say: Callable[[str], None]
) -> tuple[list[Path], list[str]]:
    """The pictures of a data set, drawn if the runs in them are other than those of the last drawing.

    Args:
        data: its name.
        runs: model -> the run that stands for it.
        registry: the plugins the runs are loaded with.
        out: where the pictures go.
        device: where the models compute.
        say: told that something is drawn.

    Returns:
        the PNG files, and a sentence for each run that could not be loaded.
    """
    try:
        marks: dict[str, Any] = json.loads((out / MARKS).read_text())
    except (OSError, ValueError):
        marks = {}
    texts = [[(run / name).read_text() for name in ("recipe.yaml", "scores.json")] for run in runs.values()]
    shown = [str(out), *zip(runs, (str(run.resolve()) for run in runs.values()), texts, strict=True)]
    digest = hashlib.sha256(json.dumps(shown).encode()).hexdigest()
    mark = marks.get(data, {})
    files = [out / name for name in mark.get("files", ())]
    if mark.get("runs") == digest and all(path.is_file() for file in files for path in (file, _beside(file))):
        return files, []

    say(f"drawing {data}: {', '.join(runs)}")
    pictures, notes = draw(data, runs, registry, device)
    for name, rows in pictures.items():
        _write(out / name, rows)
    marks[data] = {"runs": "" if notes else digest, "files": list(pictures)}
    write_atomically(out / MARKS, json.dumps(marks, indent=2).encode())
    return [out / name for name in pictures], notes


def draw(
    data: str, runs: Mapping[str, Path], registry: Registry, device: str
) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """The rows of ``comparison-DATA.png`` and ``samples-DATA.png``; only of those that have a model's row.

    Args:
        data: the data set's name.
        runs: model -> the run that stands for it.
        registry: the plugins the runs are loaded with.
        device: where the models compute.

    Returns:
        file name -> row -> images (N, C, H, W) in [-1, 1], and a sentence for each run that could not be loaded.
    """
    from zoo.data.batches import load_images
    from zoo.report.figures import SEED, reconstructions
    from zoo.types import to_model

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
        for output, images in made.items():
            again[name if output == "reconstruction" else f"{name} {output}"] = images.cpu()
        if "sample" in model.recipe.outputs:
            samples[name] = model.sample(SHOWN, seed=SEED).cpu()
    rows = {f"comparison-{data}.png": again, f"samples-{data}.png": samples}
    return {file: real | shown for file, shown in rows.items() if shown}, notes


def _loaded(folder: Path, registry: Registry, device: str) -> Model:
    from zoo.check.assembly import check_size
    from zoo.machine.device import choose_device
    from zoo.model.model import Model
    from zoo.runs.weights import load_weights

    recipe, where = load_recipe(own_recipe(folder), (), registry), choose_device(device)
    check_size(recipe, where)
    model = Model(recipe, where)
    load_weights(model, folder)
    return model


def _write(picture: Path, rows: Mapping[str, Tensor]) -> None:
    from zoo.report.pictures import grid_png

    pngs = {name: b64encode(grid_png([images])).decode() for name, images in rows.items()}
    write_atomically(_beside(picture), json.dumps(pngs).encode())
    write_atomically(picture, labelled(rows))


def rows_of(picture: Path) -> list[tuple[str, bytes]]:
    """The rows of a picture: each its name and a PNG file's bytes, clear between the images."""
    return [(name, b64decode(png)) for name, png in json.loads(_beside(picture).read_text()).items()]


def _beside(picture: Path) -> Path:
    return picture.with_suffix(".json")


def labelled(rows: Mapping[str, Tensor]) -> bytes:
    """Rows of images as one PNG file's bytes, each with its name at the left.

    Args:
        rows: name -> images (N, C, H, W) in [-1, 1], the same sizes in all.
    """
    from PIL import Image, ImageDraw, ImageFont

    from zoo.report.pictures import GAP, SIDE, grid_image, png

    grid = grid_image(list(rows.values()))
    gap = GAP * max(1, round(SIDE / next(iter(rows.values())).shape[-2]))  # as grid_image enlarges
    pitch = (grid.height + gap) // len(rows)
    font = ImageFont.load_default(15)
    names = [name.encode("ascii", "replace").decode() for name in rows]
    width = int(max(map(font.getlength, names))) + 2 * MARGIN
    picture = Image.new("RGB", (width + grid.width, grid.height), "white")
    picture.paste(grid.convert("RGB"), (width, 0))
    pen = ImageDraw.Draw(picture)
    for row, name in enumerate(names):
        left, top, right, bottom = font.getbbox(name)
        corner = (width - MARGIN - (right - left), row * pitch + (pitch - bottom - top) / 2)
        pen.text(corner, name, fill="black", font=font)
    return png(picture)
