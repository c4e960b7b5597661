"""Alarms of a training: failures that losses alone do not show, each with advice. They change nothing.

They look seldom, and later ever more seldom, so that they cost next to nothing; they tell what they see twice in a row.
What they remember is with the engine, and so in its checkpoints: a training that goes on tells what it would have told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from zoo.data.fields import items
from zoo.engine.engine import Engine
from zoo.recipe.schema import Recipe
from zoo.types import Examples

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
    """Looks at a training of so many steps now and then, with the first of its items."""

    def __init__(self, recipe: Recipe, examples: Examples, steps: int) -> None:
        self._recipe, self._examples = recipe, examples
        self._first = max(FIRST * steps, SOONEST)

    def look(self, engine: Engine, losses: Mapping[str, float]) -> list[str]:
        """Gives a sentence, once, on what fails at this record, of losses by ``"row/term"``, and failed at the last."""
        known = engine.alarms or {"next": self._first, "suspects": [], "told": []}
        if engine.step_index < known["next"]:
            return []
        with engine.shards.whole():
            seen = dict(self._seen(engine, losses))
        new = [name for name in seen if name in known["suspects"] and name not in known["told"]]
        engine.remember({"next": engine.step_index * PACE, "suspects": [*seen], "told": [*known["told"], *new]})
        return [f"step {engine.step_index}: {seen[name]}" for name in new]

    def _seen(self, engine: Engine, losses: Mapping[str, float]) -> Iterator[tuple[str, str]]:
        """Yields a name and a sentence for every failure there is now."""
        model, outputs = engine.model, self._recipe.outputs
        batch = items(self._examples, "train", self._recipe, 0, LOOKED_AT, model.device, model.dtype)
        x = batch[self._recipe.x.name]
        posterior = model.compute("posterior", given=batch, seed=0)[0] if "posterior" in outputs else None
        mean = getattr(posterior, "mean", None)
        if isinstance(mean, Tensor) and len(x) > 1 and not (mean.float().var(0) > ACTIVE).any():
            yield (
                "posterior",
                f"posterior collapse: the codes of {len(mean)} images are all alike (no posterior mean among "
                f"{mean.shape[1]} varies by more than {ACTIVE}). Lower the weight of the KL term, warm it up "
                "(kl: {from: 0, to: 1, steps: N}), or raise the reconstruction's",
            )
        given = {} if model.samples else batch
        samples = model.compute("sample", given=given, batch=len(x), seed=0)[0] if "sample" in outputs else None
        if isinstance(samples, Tensor) and (field := self._recipe.field_shaped(samples.shape[1:])) and len(samples) > 1:
            x = batch[field.name]
            of_samples, of_images = (images.float().var(0).mean() for images in (samples, x))
            share = float(of_samples / of_images.clamp(min=1e-12))
            if share < ALIKE:
                yield (
                    "samples",
                    f"generator collapse: {len(x)} samples are all alike (their pixels vary {share:.2g} times as much "
                    "as those of images). Lower the generator's lr, give the critic more plays (repeat:), or try "
                    "entropy: -0.01 in its row, a bonus on diversity",
                )
        for slot in self._recipe.slots:
            if sentence := getattr(model.network(slot), "alarm", str)():
                yield slot, f"slot '{slot}': {sentence}"
        for row, term in _judging(self._recipe):
            value = losses.get(f"{row}/{term}")
            if value is not None and 0 <= value < SATURATED:
                yield (
                    f"{row}/{term}",
                    f"critic saturation: '{term}' of row '{row}' is {value:.2g}: the critic is right every time and "
                    "its gradient teaches nothing. Lower its lr (train.optimizers), play it less often (every:), or "
                    "make it smaller",
                )


def _judging(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Rows of critics and their terms that judge; not penalties, which ask for the critic itself and may well be 0."""
    for row in (row for phase in recipe.phases for row in phase.rows):
        if all(recipe.slots[slot].entry.kind == "critic" for slot in row.slots):
            for part in (term.part for term in row.terms):
                if not any(name in recipe.slots for name in part.arguments.values()):
                    yield row.label, part.label
