"""The pictures of a run: samples, reconstructions beside their originals, what codes mean, nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from zoo.model.model import Model, needs
from zoo.report.codes import walks
from zoo.report.neighbours import beside_nearest
from zoo.report.pictures import COLUMNS, Picture, square
from zoo.types import Images, to_model

SEED = 0
MOST = 250
"""Samples that are made at a time."""


def show(model: Model, images: Images) -> list[Picture]:
    """Makes the pictures that the recipe's outputs allow.

    ``samples.png`` is a square of samples; ``reconstructions.png`` has rows: originals, then every output
    that is an image made from them, in the recipe's order (for AVAE: D's before G's). Where samples are made
    from codes, there are ``interpolations.png`` and ``traversals.png``, and ``noise.png`` if they are made
    from auxiliary noise too. ``neighbours.png`` has samples above the training images nearest to them.
    """
    x = to_model(images.test[: 2 * COLUMNS].to(model.device), model.dtype)
    sampled = model.sample(COLUMNS**2, seed=SEED) if model.samples else None
    pictures = []
    if sampled is not None:
        rows = [("", row) for row in square(sampled)]
        pictures.append(Picture("samples.png", "Samples", "Images made from codes of the prior.", rows))
    made = reconstructions(model, x)
    if made:
        caption = f"Images of the test split and what the model makes of them: {_makers(model, made)}."
        rows = [("original", x), *made.items()]
        pictures.append(Picture("reconstructions.png", "Reconstructions", caption, rows))
    pictures += walks(model, images.test, SEED)
    if sampled is not None:
        pictures.append(beside_nearest(sampled, images))
    if (channels := images.test.shape[1]) in (1, 3):
        return pictures
    said = f"Shown of {channels} channels: the first{'' if channels == 2 else ' three, as red, green and blue'}."
    return [replace(one, caption=f"{one.caption} {said}".strip()) for one in pictures]


def sampled(model: Model, n: int, seed: int = SEED) -> Tensor:
    """``n`` samples, as ``model.sample`` gives them, some at a time."""
    target = model.output("sample")
    names = [name for name in ("z", "noise") if needs(model.recipe.graph, [target], name, {})]
    if n <= MOST or not names:
        return model.sample(n, seed=seed)
    drawn = model.compute(*names, batch=n, seed=seed)
    parts = zip(*(numbers.split(MOST) for numbers in drawn), strict=True)
    given = (dict(zip(names, part, strict=True)) for part in parts)
    return torch.cat([model.compute(target, given=part, seed=seed)[0].cpu() for part in given])


def _makers(model: Model, outputs: Iterable[str]) -> str:
    """``decoded by decoder, reconstruction by generator``."""
    graph = model.recipe.graph
    slots = {output: [n for n in graph.needs(model.recipe.outputs[output]) if n in graph.slots] for output in outputs}
    return ", ".join(f"{output} by {', '.join(names)}" if names else output for output, names in slots.items())


def reconstruction_rows(model: Model, x: Tensor, seed: int = SEED) -> list[Tensor]:
    """Images, then for each output that is an image made from them, what it makes of them."""
    return [x, *reconstructions(model, x, seed).values()]


def reconstructions(model: Model, x: Tensor, seed: int = SEED) -> dict[str, Tensor]:
    """Maps each output that is an image made from images to what it makes of them, the main one last."""
    graph = model.recipe.graph
    others = [name for name in model.recipe.outputs if name != "reconstruction"]
    names = [name for name in (*others, "reconstruction") if name in model.recipe.outputs]
    made = [name for name in names if needs(graph, [model.recipe.outputs[name]], "x", {})]
    values = model.compute(*made, given={"x": x}, seed=seed) if made else ()
    pairs = zip(made, values, strict=True)
    return {name: value for name, value in pairs if isinstance(value, Tensor) and value.shape == x.shape}
