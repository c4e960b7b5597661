"""Models side by side: the same test images through each, and samples of each, a labelled row for every one."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from zoo.check.assembly import check_size
from zoo.compare.runs import MARKS
from zoo.data.batches import load_images
from zoo.errors import ZooError
from zoo.machine.device import choose_device
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.registry import Registry
from zoo.report.figures import SEED, reconstructions
from zoo.report.pictures import GAP, grid_png
from zoo.runs.run import own_recipe, write_atomically
from zoo.runs.weights import load_weights
from zoo.types import to_model

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


MARGIN = 10


NOTE = "zoo:rows"
"""The text in a PNG file that says where its rows are."""


def labelled(grid: Image.Image, names: Sequence[str], pitch: int, gap: int) -> bytes:
    """Rows of images as one PNG, each with its name at the left.

    Args:
        grid: the images.
        names: of its rows.
        pitch: pixels from one row to the next, and from one image to the next.
        gap: how many of them lie between two.

    Returns:
        the file's bytes.
    """
    font = _font()
    written = [name.encode("ascii", "replace").decode() for name in names]
    width = int(max(font.getlength(name) for name in written)) + 2 * MARGIN
    picture = Image.new("RGB", (width + grid.width, grid.height), "white")
    picture.paste(grid.convert("RGB"), (width, 0))
    pen = ImageDraw.Draw(picture)
    for row, name in enumerate(written):
        left, top, right, bottom = font.getbbox(name)
        corner = (width - MARGIN - (right - left), row * pitch + (pitch - bottom - top) / 2)
        pen.text(corner, name, fill="black", font=font)
    note = PngInfo()
    note.add_text(NOTE, json.dumps({"names": list(names), "left": width, "pitch": pitch, "gap": gap}))
    return _png(picture, note)


def rows_of(png: bytes) -> list[tuple[str, bytes]]:
    """The rows of such a picture, name and PNG, clear between the images.

    The whole without a name if it does not say where they are.
    """
    with Image.open(io.BytesIO(png)) as picture:
        try:
            note = json.loads(picture.info[NOTE])
            left, pitch, gap = (int(note[key]) for key in ("left", "pitch", "gap"))
            names = [str(name) for name in note["names"]]
        except (KeyError, TypeError, ValueError):
            return [("", png)]
        boxes = [(left, row * pitch, picture.width, (row + 1) * pitch - gap) for row in range(len(names))]
        cut = [picture.crop(box) for box in boxes]
    clear = Image.new("L", cut[0].size, 255)
    for edge in range(pitch, clear.width, pitch):
        clear.paste(0, (edge - gap, 0, edge, clear.height))
    for row in cut:
        row.putalpha(clear)
    return [(name, _png(row)) for name, row in zip(names, cut, strict=True)]


def _png(picture: Image.Image, note: PngInfo | None = None) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", pnginfo=note)
    return buffer.getvalue()


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    try:
        return ImageFont.load_default(15)
    except (ImportError, TypeError):  # Pillow without FreeType, or before 10.1: its small bitmap font
        return ImageFont.load_default()


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
        the files, and a sentence for each run that could not be loaded.
    """
    marks = _marks(out)
    digest = _digest(runs, out)
    mark = marks.get(data, {})
    files = [out / name for name in mark.get("files", ())]
    if mark.get("runs") == digest and all(file.is_file() for file in files):
        return files, []

    say(f"drawing {data}: {', '.join(runs)}")
    pictures, notes = draw(data, runs, registry, device)
    for name, png in pictures.items():
        write_atomically(out / name, png)
    marks[data] = {"runs": "" if notes else digest, "files": list(pictures)}
    write_atomically(out / MARKS, json.dumps(marks, indent=2).encode())
    return [out / name for name in pictures], notes


def _marks(out: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((out / MARKS).read_text()))
    except (OSError, ValueError):
        return {}


def _digest(runs: Mapping[str, Path], out: Path) -> str:
    """Changes with the models, their runs, and what those were built from."""
    done = [
        (model, str(run.resolve()), _text(run / "recipe.yaml"), _text(run / "scores.json"))
        for model, run in runs.items()
    ]
    return hashlib.sha256(json.dumps([str(out), done]).encode()).hexdigest()


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
