"""Models side by side: the same test images through each, and samples of each, a labelled row for every one.

Of each data set the rows are kept as data too, in a JSON file beside the pictures: pages set the names themselves.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import RunError, ZooError, happened
from zoo.machine.disk import read_text, write_atomically
from zoo.recipe import load_recipe
from zoo.registry import Registry
from zoo.runs.provenance import own_recipe

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.model.model import Model

ROWS = "pictures-{}.json"
"""Of a data set: a digest of the runs in its pictures, and picture -> row -> a PNG file's bytes in base 64."""
SHOWN = 8
"""Images in a row."""
MARGIN = 10
"""Pixels at each side of a name."""


def draw_missing(
    data: str, runs: Mapping[str, Path], registry: Registry, out: Path, device: str, say: Callable[[str], None]
) -> tuple[list[Path], list[str]]:
    """Draws a data set's pictures, if the runs in them, one for each model, are other than those of the last drawing.

    They are ``comparison-DATA.png`` and ``samples-DATA.png`` in ``out``, those that have a model's row. They are given,
    and a sentence for each run that could not be loaded.
    """
    try:
        texts = [[read_text(run, name) for name in ("recipe.yaml", "scores.json")] for run in runs.values()]
    except RunError as error:
        return [], [f"no pictures of {data}: {error}"]
    shown = [str(out), *zip(runs, (str(run.resolve()) for run in runs.values()), texts, strict=True)]
    digest = hashlib.sha256(json.dumps(shown).encode()).hexdigest()
    file = out / ROWS.format(data)
    try:
        kept: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError):
        kept = {}
    files = [out / Path(name).name for name in kept.get("pictures", ())]
    if kept.get("runs") == digest and all(file.is_file() for file in files):
        return files, []

    from zoo.report.pictures import grid_png

    say(f"drawing {data}: {', '.join(runs)}")
    pictures, notes = _draw(data, runs, registry, device)
    pngs = {}
    for name, rows in pictures.items():
        write_atomically(out / name, labelled(rows))
        pngs[name] = {row: b64encode(grid_png([images])).decode() for row, images in rows.items()}
    write_atomically(file, json.dumps({"runs": "" if notes else digest, "pictures": pngs}).encode())
    return [out / name for name in pictures], notes


def rows_of(picture: Path) -> list[tuple[str, bytes]]:
    """The rows of a picture: each its name and a PNG file's bytes, clear between the images."""
    file = picture.with_name(ROWS.format(picture.stem.partition("-")[2]))
    rows = json.loads(file.read_text())["pictures"][picture.name]
    return [(name, b64decode(png)) for name, png in rows.items()]


def _draw(
    data: str, runs: Mapping[str, Path], registry: Registry, device: str
) -> tuple[dict[str, dict[str, Tensor]], list[str]]:
    """Picture -> row -> images (N, C, H, W) in [-1, 1]; and a sentence for each run that could not be loaded."""
    from zoo.data.batches import load_images
    from zoo.data.fields import items
    from zoo.report.figures import SEED, reconstructions

    real: dict[str, Tensor] = {}
    again: dict[str, Tensor] = {}
    samples: dict[str, Tensor] = {}
    notes = []
    for name, folder in runs.items():
        try:
            model = _loaded(folder, registry, device)
            batch = items(load_images(model.recipe), "test", model.recipe, 0, SHOWN, model.device, model.dtype)
            made = reconstructions(model, batch)
            drawn = {name: model.sample(SHOWN, seed=SEED).cpu()} if "sample" in model.recipe.outputs else {}
            shown = next(iter([*made.values(), *drawn.values()]), batch[model.recipe.x.name])
            real = real or {"real": batch[(model.recipe.field_shaped(shown.shape[1:]) or model.recipe.x).name].cpu()}
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a plugin's code may raise
            said = str(error) if isinstance(error, ZooError) else happened(error)
            notes.append(f"no pictures of {name} on {data}: {said}")
            continue
        samples |= drawn
        for output, images in made.items():
            again[name if output == "reconstruction" else f"{name} {output}"] = images.cpu()
    rows = {f"comparison-{data}.png": again, f"samples-{data}.png": samples}
    return {file: real | shown for file, shown in rows.items() if shown}, notes


def _loaded(folder: Path, registry: Registry, device: str) -> Model:
    from zoo.check.assembly import assemble
    from zoo.machine.device import choose_device
    from zoo.runs.weights import load_weights

    model = assemble(load_recipe(own_recipe(folder), (), registry), choose_device(device), restored=True)
    load_weights(model, folder)
    return model


def labelled(rows: Mapping[str, Tensor]) -> bytes:
    """Rows of images (N, C, H, W) in [-1, 1], of one size, as a PNG file's bytes, each with its name at the left."""
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
