"""Shows what codes mean: images on paths between two codes, along one dimension of one, and with other noise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.fields import items
from zoo.errors import RequestError
from zoo.machine.device import halving
from zoo.metrics.evaluate import batch_of
from zoo.model.model import Model, needs
from zoo.report.pictures import COLUMNS, Picture
from zoo.types import Batch, Examples, count_of

ENOUGH = 1000
"""Test images over which the variance of codes is taken."""
STEPS = 7
"""Images of a traversal, an odd number: the middle one is at 0."""
REACH = 2.0
"""How far a dimension is moved, in standard deviations of the prior."""
TOLD = "\N{MINUS SIGN}2 to 2"


def walks(model: Model, examples: Examples, seed: int = 0) -> list[Picture]:
    """Interpolations, traversals, and one code with other noise, of a model whose samples are made from codes ``z``.

    Codes are posterior means of the test items; those of the prior for a model without a posterior.
    """
    if not model.samples or not sampled_from(model, "z"):
        return []
    means = posterior_means(model, examples)
    codes = model.compute("z", batch=COLUMNS, seed=seed)[0] if means is None else means[:COLUMNS]
    shown = items(examples, "test", model.recipe, 0, 2 * COLUMNS, model.device, model.dtype)
    asked = model.drawable.intersection(model.recipe.graph.order([model.output("sample")]))
    labels = {name: of for name, of in shown.items() if name in asked and means is not None}
    pictures = [_interpolations(model, shown, means, labels, seed), _traversals(model, means, codes[:1], labels, seed)]
    if model.recipe.sizes.noise and sampled_from(model, "noise"):
        pictures.append(_other_noise(model, codes[: COLUMNS // 2], labels, seed))
    return pictures


def sampled_from(model: Model, name: str) -> bool:
    """Whether samples are made from a value or a field, such as ``z``; a RequestError where a model has none."""
    return needs(model.recipe.graph, [model.output("sample")], name, {})


def posterior_means(model: Model, examples: Examples) -> Tensor | None:
    """The codes of the first ``ENOUGH`` test items, (N, K) or (N, ...); None without a Gaussian posterior of them."""
    value = model.recipe.outputs.get("posterior")
    if value is None or not needs(model.recipe.graph, [value], model.recipe.x.name, {}):
        return None
    return halving(partial(_means, model, examples.cut(0, ENOUGH)), batch_of(model.recipe))


def _means(model: Model, examples: Examples, batch: int) -> Tensor | None:
    means = []
    for first in range(0, len(examples.test), batch):
        some = items(examples, "test", model.recipe, first, batch, model.device, model.dtype)
        mean = getattr(model.encode(some), "mean", None)
        if not isinstance(mean, Tensor) or mean.shape != (count_of(some), *model.recipe.sizes.code):
            return None
        means.append(mean)
    return torch.cat(means)


def most_active(means: Tensor, count: int) -> dict[int, float]:
    """The dimensions of codes whose posterior means, (N, ...), vary most over items, with that variance, the most first
    (Burda et al. 2016, "active units").
    """
    variance = means.flatten(1).var(0)
    return {d: float(variance[d]) for d in variance.argsort(descending=True, stable=True)[:count].tolist()}


def _interpolations(model: Model, shown: Batch, means: Tensor | None, labels: Batch, seed: int) -> Picture:
    pairs = 0 if means is None else min(len(means) // 2, COLUMNS)
    if means is None or not pairs:
        caption = "Between two codes of the prior, along great circles."
        rows = [("", row) for row in interpolation_rows(model, COLUMNS, COLUMNS, seed, {})]
        return Picture("interpolations.png", "Interpolations", caption, rows)
    codes = torch.stack([_straight(a, b, COLUMNS - 2) for a, b in torch.split(means[: 2 * pairs], 2)])
    made = [*decoded(model, codes, seed, {name: of[: 2 * pairs : 2] for name, of in labels.items()})]
    ends = torch.split(shown[(model.recipe.field_shaped(made[0].shape[1:]) or model.recipe.x).name][: 2 * pairs], 2)
    rows = [("", torch.cat([pair[:1], row, pair[1:]])) for row, pair in zip(made, ends, strict=True)]
    caption = "Straight lines between the codes of two test images, which stand at the ends of each row."
    caption += f" All of a row have the {' and '.join(labels)} of its first image." if labels else ""
    return Picture("interpolations.png", "Interpolations", caption, rows)


def _traversals(model: Model, means: Tensor | None, base: Tensor, labels: Batch, seed: int) -> Picture:
    """A dimension a row; those that are ``most_active``, where there are posterior means."""
    shape = base.shape[1:]
    places = [",".join(map(str, place)) for place in np.ndindex(*shape)]  # ``5`` of a vector, ``0,2,1`` of a map
    names = {d: f"z {place}" for d, place in enumerate(places[:COLUMNS])}
    caption = f"A code of the prior, one dimension a row moved from {TOLD}, the others held."
    if means is not None and len(means) > 1:
        names = {d: f"z {places[d]} ({variance:.2f})" for d, variance in most_active(means, COLUMNS).items()}
        caption = (
            f"The code of the first test image, one dimension a row moved from {TOLD}, the others held: the "
            f"dimensions that vary most over test images, with their variance."
        )
    codes = base.flatten(1).repeat(len(names), STEPS, 1)  # (dimensions, steps, K)
    for row, d in enumerate(names):
        codes[row, :, d] = torch.linspace(-REACH, REACH, STEPS, dtype=base.dtype, device=base.device)
    first = {name: of[:1] for name, of in labels.items()}
    made = decoded(model, codes.reshape(len(names), STEPS, *shape), seed, first, held=True)
    return Picture("traversals.png", "Traversals", caption, list(zip(names.values(), made, strict=True)))


def _other_noise(model: Model, codes: Tensor, labels: Batch, seed: int) -> Picture:
    (noise,) = model.compute("noise", batch=len(codes) * COLUMNS, seed=seed)
    given = {**{name: of[: len(codes)] for name, of in labels.items()}, "noise": noise}
    rows = decoded(model, torch.stack([codes] * COLUMNS, 1), seed, given)
    caption = "A code a row; only the auxiliary noise differs: what of an image its code does not say."
    return Picture("noise.png", "Same code, other noise", caption, [("", row) for row in rows])


def interpolation_rows(model: Model, paths: int, steps: int, seed: int, given: Mapping[str, Any]) -> list[Tensor]:
    """Rows of samples on paths between codes of the prior; auxiliary noise and labels are held along a path.

    Paths are great circles (White 2016, "Sampling generative networks"), which keep a Gaussian code's length typical; a
    straight line would pass nearer to 0 than any sample. Samples that are not made from codes ``z`` are a RequestError.
    """
    if not sampled_from(model, "z"):
        raise RequestError(f"recipe '{model.recipe.name}': its samples are not made from codes 'z'")
    (ends,) = model.compute("z", batch=2 * paths, seed=seed)
    return list(decoded(model, _great_circles(ends[:paths], ends[paths:], steps), seed, given))


def path_between(model: Model, ends: Tensor, steps: int, seed: int, given: Mapping[str, Any]) -> Tensor:
    """Samples (steps, C, H, W) on the straight line between the codes of two images (2, C, H, W) in [-1, 1]."""
    mean = getattr(model.encode({model.recipe.x.name: ends, **given}), "mean", None)
    if mean is None or not sampled_from(model, "z"):
        raise RequestError(f"recipe '{model.recipe.name}': it has no codes 'z' of images that samples are made from")
    return next(decoded(model, _straight(mean[0], mean[1], steps)[None], seed, given))


def decoded(model: Model, codes: Tensor, seed: int, given: Mapping[str, Any], held: bool = False) -> Iterator[Tensor]:
    """Samples made from codes (P, S, ...), S on each of P paths: a row (S, C, H, W) for each path.

    All paths have the same auxiliary noise, and labels, if they are ``held``; else each has its own, the same along it.
    What is ``given`` is noise and fields: of all, of each path, or of each sample.
    """
    (paths, steps), known = codes.shape[:2], dict(given)
    others = [name for name in ("noise", *model.drawable) if name not in known]
    names = [name for name in others if sampled_from(model, name)]
    known |= zip(names, model.compute(*names, batch=1 if held else paths, seed=seed), strict=True)
    for name, of in known.items():
        if isinstance(of, Tensor) and len(of) in (1, paths):
            known[name] = of.repeat_interleave(paths * steps // len(of), 0)
    images = model.sample(z=codes.flatten(0, 1), noise=known.pop("noise", None), given=known, seed=seed)
    yield from torch.split(images, steps)


def _great_circles(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Codes (P, ...) and (P, ...) -> (P, steps, ...) on the arcs between them; a map is one long vector."""
    shape, start, end = start.shape[1:], start.flatten(1), end.flatten(1)
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[None, :, None]
    angle = torch.nn.functional.cosine_similarity(start, end)[:, None, None].clamp(-1 + 1e-6, 1 - 1e-6).acos()
    a, b = ((1 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()
    return (a * start[:, None] + b * end[:, None]).reshape(len(start), steps, *shape)


def _straight(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Two codes -> (steps, ...) on the straight line between them."""
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)
    return torch.lerp(start, end, t.view(-1, *[1] * start.ndim))
