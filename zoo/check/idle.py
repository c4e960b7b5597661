"""Weights that could learn and do not, in sentences: a training says nothing of them, and keeps them as they were."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from torch import nn

from zoo.model.model import Model
from zoo.recipe.schema import slot_of


def idle(model: Model, free: dict[str, nn.Parameter], moved: Collection[nn.Parameter]) -> Iterator[str]:
    """Says of which slots, values and terms there are weights among the ``free`` that no row has ``moved``."""
    recipe = model.recipe
    for number, phase in enumerate(recipe.phases, 1):
        if not recipe.train.epochs and phase.start >= recipe.train.steps:  # how many epochs are is not known yet
            rows = " and ".join(row.label for row in phase.rows)
            said = (
                f"phase {number} ({rows}) starts at step {phase.start:,}, and the training has {recipe.train.steps:,}"
            )
            yield f"{said}: it is never played"
    playing = {slot_of(player) for player in recipe.players()}
    for slot in recipe.slots:
        left = [name for name, p in free.items() if name.startswith(f"{slot}.") and p not in moved]
        count = f"{sum(free[name].numel() for name in left):,} numbers"
        if slot in recipe.held():
            continue  # as its weights are
        if left and slot not in playing:
            yield f"slot '{slot}' is in no row: its {count} stay as they are made"
        elif left:
            more = f" and {len(left) - 1} more" if len(left) > 1 else ""
            yield f"slot '{slot}': no row's gradient arrives at '{left[0]}'{more}: {count} stay as they are made"
    for name in model.still:
        part = model.parts[name]
        yield (
            f"{part.entry.kind} '{part.label}' owns networks that ask for gradients, and nothing trains them: only a "
            "term with a learn() has its own trained; they stay as they are made"
        )
