"""Sentinels of a training: failures that losses alone do not show, each with advice. They change nothing.

They look seldom, and later ever more seldom, so that they cost next to nothing; what is seen twice in a row is told.
What they remember is with the engine, and so in its checkpoints: a training that goes on tells what it would have told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from zoo.engine.engine import Engine
from zoo.recipe.schema import Part, Recipe
from zoo.types import to_model

LOOKED_AT = 64
"""Images and samples that are looked at."""
FIRST, SOONEST, PACE = 0.1, 50, 1.25
"""The first look is after this share of the training and so many steps, for nothing is learnt before; each next one
is when the step has grown by this factor."""
ACTIVE = 0.01
"""A code dimension is active where the variance of its posterior mean over images is above this (Burda et al. 2016)."""
ALIKE = 0.01
"""Samples are all alike where their pixels vary by less than this share of what those of images do."""
SATURATED = 1e-3
"""A critic is right every time where what it minimises is below this."""


class Alarms:
    """Looks at a training now and then.

    Args:
        recipe: what is trained.
        images: uint8 (N, C, H, W), to look at the model with.
        steps: of the whole training.
    """

    def __init__(self, recipe: Recipe, images: Tensor, steps: int) -> None:
        self._recipe = recipe
        self._images = images[:LOOKED_AT]
        self._first = max(FIRST * steps, SOONEST)

    def look(self, engine: Engine, losses: Mapping[str, float]) -> list[str]:
        """What is wrong now and was at the last look; each sentence once.

        Args:
            engine: at a record.
            losses: ``"row/term"`` -> value.
        """
        known = engine.alarms or {"next": self._first, "suspects": [], "told": []}
        if engine.step_index < known["next"]:
            return []
        with engine.shards.whole():
            found = dict(self._found(engine, losses))
        new = [name for name in found if name in known["suspects"] and name not in known["told"]]
        engine.alarms = {"next": engine.step_index * PACE, "suspects": [*found], "told": [*known["told"], *new]}
        return [f"step {engine.step_index}: {found[name]}" for name in new]

    def _found(self, engine: Engine, losses: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        model = engine.model
        x = to_model(self._images.to(model.device), model.dtype)
        outputs = self._recipe.outputs
        posterior = model.compute("posterior", given={"x": x})[0] if "posterior" in outputs else None
        mean = getattr(posterior, "mean", None)
        if isinstance(mean, Tensor) and len(x) > 1 and not (mean.float().var(0) > ACTIVE).any():
            yield "posterior", _collapsed(*mean.shape)
        samples = model.compute("sample", batch=len(x))[0] if "sample" in outputs else None
        if isinstance(samples, Tensor) and samples.shape[1:] == x.shape[1:] and len(x) > 1:
            share = float(_variance(samples) / _variance(x).clamp(min=1e-12))
            if share < ALIKE:
                yield "samples", _alike(len(x), share)
        for row, part in _critics(self._recipe):
            value = losses.get(f"{row}/{part.label}")
            if value is not None and 0 <= value < SATURATED:
                yield f"{row}/{part.label}", _saturated(row, part.label, value)


def _variance(images: Tensor) -> Tensor:
    """Mean variance of a pixel over images."""
    return images.float().var(0).mean()


def _critics(recipe: Recipe) -> Iterator[tuple[str, Part]]:
    """Rows of critics, and their terms that judge; a penalty, which asks for the critic itself, may well be 0."""
    for phase in recipe.phases:
        for row in phase.rows:
            if all(recipe.slots[slot].entry.kind == "critic" for slot in row.slots):
                yield from ((row.label, t.part) for t in row.terms if not _asks_for_slots(t.part, recipe))


def _asks_for_slots(part: Part, recipe: Recipe) -> bool:
    return any(name in recipe.slots for name in part.arguments.values())


def _collapsed(images: int, dimensions: int) -> str:
    return (
        f"posterior collapse: the codes of {images} images are all alike (no posterior mean among {dimensions} "
        f"varies by more than {ACTIVE}). Lower the weight of the KL term, warm it up "
        "(kl: {from: 0, to: 1, steps: N}), or raise the reconstruction's"
    )


def _alike(images: int, share: float) -> str:
    return (
        f"generator collapse: {images} samples are all alike (their pixels vary {share:.2g} times as much as those "
        "of images). Lower the generator's lr, give the critic more plays (repeat:), or try entropy: on in its row"
    )


def _saturated(row: str, term: str, value: float) -> str:
    return (
        f"critic saturation: '{term}' of row '{row}' is {value:.2g}: the critic is right every time and its gradient "
        "teaches nothing. Lower its lr (train.optimizers), play it less often (every:), or make it smaller"
    )
