"""The pictures of a run: samples, and reconstructions beside their originals."""

from __future__ import annotations

from torch import Tensor

from zoo.model import Model, needs
from zoo.pictures import grid_png, square
from zoo.tensors import Images, to_model

SEED = 0


def show(model: Model, images: Images, columns: int) -> dict[str, bytes]:
    """File name -> PNG, for what the recipe's outputs can show.

    ``samples.png`` is a square of samples; ``reconstructions.png`` has rows: originals, then every output
    that is an image made from them, in the recipe's order (for AVAE: D's before G's).
    """
    files = {}
    if "sample" in model.recipe.outputs:
        files["samples.png"] = grid_png(square(model.sample(columns**2, seed=SEED)))
    rows = reconstruction_rows(model, to_model(images.test[: 2 * columns].to(model.device), model.dtype))
    if len(rows) > 1:
        files["reconstructions.png"] = grid_png(rows)
    return files


def reconstruction_rows(model: Model, x: Tensor) -> list[Tensor]:
    """Images, then for each output that is an image made from them, what it makes of them."""
    graph = model.recipe.graph
    others = [name for name in model.recipe.outputs if name != "reconstruction"]
    names = [name for name in (*others, "reconstruction") if name in model.recipe.outputs]
    made = [name for name in names if needs(graph, [model.recipe.outputs[name]], "x", {})]
    found = model.compute(*made, given={"x": x}, seed=SEED) if made else ()
    return [x, *(value for value in found if isinstance(value, Tensor) and value.shape == x.shape)]
