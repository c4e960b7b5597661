"""Commands on runs: sample, reconstruct, interpolate, evaluate."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import zoo
from zoo.errors import RequestError


def sample(arguments: argparse.Namespace) -> int:
    """``zoo sample RUN``."""
    from zoo.pictures import grid_png, square

    _at_least(arguments.n, 1, "-n")
    model = _model(arguments)
    images = model.sample(arguments.n, seed=arguments.seed)
    return _write(arguments, "sample.png", grid_png(square(images)))


def reconstruct(arguments: argparse.Namespace) -> int:
    """``zoo reconstruct RUN IMAGES...``."""
    from zoo.files import read_images
    from zoo.pictures import grid_png
    from zoo.showing import reconstruction_rows

    model = _model(arguments)
    model.output("reconstruction")
    x = read_images(arguments.images, model.recipe.sizes).to(model.device, model.dtype)
    return _write(arguments, "reconstruct.png", grid_png(reconstruction_rows(model, x, arguments.seed)))


def interpolate(arguments: argparse.Namespace) -> int:
    """``zoo interpolate RUN``."""
    from zoo.pictures import grid_png
    from zoo.showing import interpolation_rows

    _at_least(arguments.n, 1, "-n")
    _at_least(arguments.steps, 2, "--steps")
    model = _model(arguments)
    rows = interpolation_rows(model, arguments.n, arguments.steps, arguments.seed)
    return _write(arguments, "interpolate.png", grid_png(rows))


def evaluate(arguments: argparse.Namespace) -> int:
    """``zoo evaluate RUN``: the recipe's metrics once more, into ``scores.json``."""
    from zoo.data import load_images
    from zoo.evaluate import evaluate as score
    from zoo.run import Run
    from zoo.tables import table

    model = _model(arguments)
    weights = arguments.weights or ("ema" if (arguments.folder / "ema.safetensors").is_file() else "raw")
    scores: Mapping[str, Any] = score(model, load_images(model.recipe), weights=weights)
    with Run(arguments.folder) as run:
        run.write_json("scores.json", scores)
    rows = [["score", "value"], *([label, f"{s['value']:.4g}"] for label, s in scores.items())]
    print(json.dumps(scores) if arguments.json else table(rows))
    return 0


def _model(arguments: argparse.Namespace) -> Any:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        model = zoo.load(arguments.folder, weights=arguments.weights, device=arguments.device, plugins=arguments.plugin)
    for warning in caught:
        print(warning.message, file=sys.stderr)
    return model


def _at_least(number: int, low: int, option: str) -> None:
    if number < low:
        raise RequestError(f"{option} must be at least {low}, not {number}")


def _write(arguments: argparse.Namespace, name: str, png: bytes) -> int:
    from zoo.run import write_atomically

    path: Path = arguments.out or arguments.folder / name
    write_atomically(path, png)
    print(json.dumps({"file": str(path)}) if arguments.json else path)
    return 0
