"""The pictures of a run: samples, and reconstructions beside their originals."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from zoo.errors import RequestError
from zoo.model import Model, needs
from zoo.pictures import grid_png, square
from zoo.tensors import Images, to_model

SEED = 0


class Picture(NamedTuple):
    """A PNG with the name of its file and a caption."""

    file: str
    caption: str
    png: bytes


def show(model: Model, images: Images, columns: int) -> list[Picture]:
    """What the recipe's outputs can show.

    ``samples.png`` is a square of samples; ``reconstructions.png`` has rows: originals, then every output
    that is an image made from them, in the recipe's order (for AVAE: D's before G's).
    """
    pictures = []
    x = to_model(images.test[: 2 * columns].to(model.device), model.dtype)
    rows = {"test images": x, **reconstructions(model, x)}
    if len(rows) > 1:
        caption = f"Reconstructions, row by row: {', '.join(rows)}"
        pictures.append(Picture("reconstructions.png", caption, grid_png(list(rows.values()))))
    if "sample" in model.recipe.outputs:
        samples = model.sample(columns**2, seed=SEED)
        pictures.append(Picture("samples.png", "Samples", grid_png(square(samples))))
    return pictures


def reconstruction_rows(model: Model, x: Tensor, seed: int = SEED) -> list[Tensor]:
    """Images, then for each output that is an image made from them, what it makes of them."""
    return [x, *reconstructions(model, x, seed).values()]


def reconstructions(model: Model, x: Tensor, seed: int = SEED) -> dict[str, Tensor]:
    """Output -> what it makes of images, for the outputs that are images made from them, the main one last."""
    graph = model.recipe.graph
    others = [name for name in model.recipe.outputs if name != "reconstruction"]
    names = [name for name in (*others, "reconstruction") if name in model.recipe.outputs]
    made = [name for name in names if needs(graph, [model.recipe.outputs[name]], "x", {})]
    found = model.compute(*made, given={"x": x}, seed=seed) if made else ()
    pairs = zip(made, found, strict=True)
    return {name: value for name, value in pairs if isinstance(value, Tensor) and value.shape == x.shape}


def interpolation_rows(model: Model, paths: int, steps: int, seed: int = SEED) -> list[Tensor]:
    """Rows of samples on paths between codes of the prior, the auxiliary noise held along a path.

    Paths are great circles (White 2016, "Sampling generative networks"), which keep a Gaussian code's
    length typical; a straight line would pass nearer to 0 than any sample.

    Raises:
        RequestError: if the recipe's samples are not made from codes ``z``.
    """
    target = model.output("sample")
    graph = model.recipe.graph
    if not needs(graph, [target], "z", {}):
        raise RequestError(f"recipe '{model.recipe.name}': its samples are not made from codes 'z'")
    (ends,) = model.compute("z", batch=2 * paths, seed=seed)
    codes = _great_circles(ends[:paths], ends[paths:], steps)  # (paths, steps, K)
    given = {"z": codes.flatten(0, 1)}
    if needs(graph, [target], "noise", {}):
        (noise,) = model.compute("noise", batch=paths, seed=seed)
        given["noise"] = noise.repeat_interleave(steps, 0)
    (images,) = model.compute(target, given=given, seed=seed)
    return list(torch.split(images, steps))


def _great_circles(start: Tensor, end: Tensor, steps: int) -> Tensor:
    """Codes (P, K) and (P, K) -> (P, steps, K) on the arcs between them."""
    t = torch.linspace(0, 1, steps, dtype=start.dtype, device=start.device)[None, :, None]
    cosine = torch.nn.functional.cosine_similarity(start, end)[:, None, None]
    angle = cosine.clamp(-1 + 1e-6, 1 - 1e-6).acos()
    a, b = ((1 - t) * angle).sin() / angle.sin(), (t * angle).sin() / angle.sin()
    return a * start[:, None] + b * end[:, None]
