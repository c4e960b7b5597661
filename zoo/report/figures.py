"""The pictures of a run: samples, reconstructions beside their originals, what codes mean, nearest neighbours."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from zoo.data.fields import items, seen, split_of
from zoo.model.model import Model, needs
from zoo.recipe.data_fields import DataField, class_name
from zoo.report.codes import sampled_from, walks
from zoo.report.drawing import scatter
from zoo.report.neighbours import beside_nearest
from zoo.report.pictures import COLUMNS, Picture, square
from zoo.types import Batch, Examples

SEED = 0
MOST_CLASSES = 16
"""Rows of samples by class."""
MOST = 250
"""Samples that are made at a time."""


def show(model: Model, images: Examples) -> list[Picture]:
    """Makes the pictures that the recipe's outputs allow.

    ``samples.png`` is a square of samples; ``reconstructions.png`` has rows: originals, then every output
    that is an image made from them, in the recipe's order (for AVAE: D's before G's). Where samples are made
    from codes, there are ``interpolations.png`` and ``traversals.png``, and ``noise.png`` if they are made
    from auxiliary noise too. ``neighbours.png`` has samples above the training images nearest to them.
    """
    batch = items(images, "test", model.recipe, 0, 2 * COLUMNS, model.device, model.dtype)
    sampled = model.sample(COLUMNS**2, seed=SEED) if model.samples else None
    pictures = []
    if sampled is not None:
        rows = [("", row) for row in square(sampled)]
        pictures.append(Picture("samples.png", "Samples", "Images made from codes of the prior.", rows))
        pictures += _by_class(model)
    made = reconstructions(model, batch)
    if made:
        caption = f"Images of the test split and what the model makes of them: {_makers(model, made)}."
        rows = [*_sources(model, batch, made), *made.items()]
        pictures.append(Picture("reconstructions.png", "Reconstructions", caption, rows))
    pictures += walks(model, images, SEED)
    of = sampled if sampled is not None else next(reversed(made.values()), batch[model.recipe.x.name])
    field = model.recipe.field_shaped(of.shape[1:]) or model.recipe.x
    if sampled is not None:
        pictures += _beside(model, images, sampled, field)
    if field.kind != "image" or (channels := field.shape[0]) in (1, 3):
        return pictures
    said = f"Shown of {channels} channels: the first{'' if channels == 2 else ' three, as red, green and blue'}."
    return [replace(one, caption=f"{one.caption} {said}".strip()) for one in pictures]


def _beside(model: Model, images: Examples, sampled: Tensor, field: DataField) -> list[Picture]:
    """Samples and what they are like: the nearest training images, or vectors of the test split."""
    train, test = (split_of(images, split, model.recipe)[field.name] for split in ("train", "test"))
    if field.kind == "image" and (field.range or not train.is_floating_point()):
        return [beside_nearest(sampled, Examples(train, test))]
    if field.kind != "vector":
        return []
    caption = "Test items (blue) and samples (red), on the plane in which the test items vary most."
    return [Picture("scatter.png", "Scatter", caption, [("", scatter(seen(test[:MOST], field), sampled))])]


def _by_class(model: Model) -> list[Picture]:
    """Samples of each class of each label that they depend on, the codes and the noise alike in every row."""
    pictures = []
    for name in (name for name in model.recipe.graph.fields if name in model.drawable):
        if sampled_from(model, name):
            field = model.recipe.fields[name]
            shown = model.frequencies.of(field).nonzero().flatten().tolist()[:MOST_CLASSES]
            rows = [(class_name(field, c), model.sample(COLUMNS, given={name: c}, seed=SEED)) for c in shown]
            caption = f"A row for each {name}; codes and noise are alike in all rows."
            pictures.append(Picture(f"samples-{name}.png", f"Samples by {name}", caption, rows))
    return pictures


def _sources(model: Model, batch: Batch, made: Mapping[str, Tensor]) -> list[tuple[str, Tensor]]:
    """The images of a batch that what is made of it is made from, and then those that it is compared with."""
    graph, fields, like = model.recipe.graph, model.recipe.fields, next(iter(made.values()))
    first = model.recipe.field_shaped(like.shape[1:]) or model.recipe.x
    wanted = [model.recipe.outputs[name] for name in made]
    other = [name for name in graph.fields[1:] if name != first.name and needs(graph, wanted, name, {})]
    seen = {name: _as_image(batch[name], fields[name], first.shape) for name in other}
    alike = [(name, images) for name, images in seen.items() if images.shape[1:] == first.shape]
    return [*alike, ("original" if not alike else first.name, batch[first.name])]


def _as_image(items: Tensor, field: DataField, shape: tuple[int, ...]) -> Tensor:
    """A mask in shades from black for the first class to white for the last, in all channels of a shape; else items."""
    shown = field.kind == "mask" and items.shape[1:] == shape[1:]
    return (items[:, None] * 2.0 / max(field.classes - 1, 1) - 1).expand(-1, *shape) if shown else items


def sampled(model: Model, n: int, seed: int = SEED, given: Mapping[str, Any] | None = None) -> Tensor:
    """``n`` samples, as ``model.sample`` gives them, some at a time."""
    target = model.output("sample")
    names = [name for name in ("z", "noise") if sampled_from(model, name)]
    if n <= MOST or not names or given:
        return model.sample(n, seed=seed, given=given)
    names += [name for name in model.drawable if sampled_from(model, name)]
    drawn = model.compute(*names, batch=n, seed=seed)
    parts = zip(*(numbers.split(MOST) for numbers in drawn), strict=True)
    pieces = (dict(zip(names, part, strict=True)) for part in parts)
    return torch.cat([model.compute(target, given=piece, seed=seed)[0].cpu() for piece in pieces])


def _makers(model: Model, outputs: Iterable[str]) -> str:
    """``decoded by decoder, reconstruction by generator``."""
    graph = model.recipe.graph
    slots = {output: [n for n in graph.needs(model.recipe.outputs[output]) if n in graph.slots] for output in outputs}
    return ", ".join(f"{output} by {', '.join(names)}" if names else output for output, names in slots.items())


def reconstruction_rows(model: Model, batch: Batch, seed: int = SEED) -> list[Tensor]:
    """Images, then for each output that is an image made from them, what it makes of them."""
    made = reconstructions(model, batch, seed)
    return [*(images for _, images in _sources(model, batch, made)), *made.values()]


def reconstructions(model: Model, batch: Batch, seed: int = SEED) -> dict[str, Tensor]:
    """Maps each output that is an image made from what cannot be drawn, as images, to what it makes of them, the main
    one last.
    """
    graph = model.recipe.graph
    given = [name for name in graph.fields if name not in model.drawable]
    outputs = model.recipe.outputs
    others = [name for name, value in outputs.items() if value != outputs.get("reconstruction")]
    names = [name for name in (*others, "reconstruction") if name in outputs]
    made = [name for name in names if any(needs(graph, [outputs[name]], field, {}) for field in given)]
    values = model.compute(*made, given=batch, seed=seed) if made else ()
    images = {name: value for name, value in zip(made, values, strict=True) if isinstance(value, Tensor)}
    found = {name: value for name, value in images.items() if model.recipe.field_shaped(value.shape[1:])}
    main = next(reversed(found.values()), None)
    return {name: value for name, value in found.items() if main is not None and value.shape == main.shape}
