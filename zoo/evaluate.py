"""Scores of a model over the test split; each keeps the protocol it was measured under."""

from __future__ import annotations

from typing import Any

from zoo.data import in_order
from zoo.model import Model
from zoo.recipe.schema import Part
from zoo.tensors import Images

Scores = dict[str, dict[str, Any]]
"""label -> {"value": number, "protocol": {...}}."""


def evaluate(model: Model, images: Images, *, batch: int = 250, weights: str = "raw") -> Scores:
    """Every metric of the recipe over the whole test split, in one pass.

    Args:
        model: the model.
        images: its data; the ``test`` split is used.
        batch: images at a time.
        weights: which weights the model holds, ``raw`` or ``ema``; kept in the protocol.

    Returns:
        label -> value and protocol.
    """
    recipe = model.recipe
    metrics = [(part, part.load()(**part.arguments_for(recipe.sizes))) for part in recipe.evaluate]
    wanted = sorted({name for part in recipe.evaluate for name in part.arguments.values()} - {"x"})
    batches = in_order(images.test, batch, device=model.device, dtype=model.dtype)
    for number, x in enumerate(batches if metrics else ()):
        found = dict(zip(wanted, model.compute(*wanted, given={"x": x}, seed=number), strict=True))
        found["x"] = x
        for part, metric in metrics:
            metric.update(**{need: found[name] for need, name in part.arguments.items()})
    common = {"n": len(images.test), "split": "test", "size": recipe.sizes.size, "seed": recipe.seed}
    common |= {"data": recipe.data.plain(), "batch": batch, "batch_stats": recipe.batch_stats}
    common |= {"weights": weights}
    return {part.label: _score(part, metric, common) for part, metric in metrics}


def _score(part: Part, metric: Any, common: dict[str, Any]) -> dict[str, Any]:
    protocol = {**common, "metric": part.entry.id, **part.options, "of": part.arguments, **metric.protocol}
    if hasattr(metric, "better"):  # "lower", "higher", or "one": nearest to 1; what `zoo compare` prints in bold
        protocol["better"] = metric.better
    return {"value": float(metric.compute()), "protocol": protocol}
