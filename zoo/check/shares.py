"""Each term's share of the gradient that moves a player, measured on the networks as they are made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.check.assembly import assemble
from zoo.data.fields import made_up
from zoo.draws import Draw
from zoo.engine.engine import Engine
from zoo.recipe.schema import Recipe, Row, Term
from zoo.types import Batch

BATCH = 8


@dataclass(frozen=True)
class Share:
    """A term's share of the sum of the norms of all the gradients of a row at a player, from 0 to 1.

    Phases are counted from 0.
    """

    phase: int
    row: str
    term: str
    player: str
    share: float


def shares(recipe: Recipe) -> list[Share]:
    """The shares of every term, each at its largest weight, on a small batch of smooth made-up images.

    Raises:
        RequestError: if the model cannot be had, such as for want of memory or of pretrained weights.
    """
    model = assemble(recipe, "cpu")
    engine = Engine(model.train(), optimizers=False)
    batch = made_up(recipe, BATCH, Draw(recipe.seed, "explain", device=model.device, dtype=model.dtype))
    return [share for number in range(len(recipe.phases)) for share in _of_phase(engine, number, batch)]


def _of_phase(engine: Engine, number: int, batch: Batch) -> list[Share]:
    norms: dict[tuple[str, str], dict[str, float]] = {}

    def look(row: Row, term: Term, take: Callable[[], dict[str, Tensor]]) -> None:
        gradients, weight = take(), max(map(abs, term.weight.extremes))
        for player in row.players:
            own = [gradients[key] for key in engine.players[player].parameters if key in gradients]
            norm = float(torch.nn.utils.get_total_norm(own)) if own else 0.0
            norms.setdefault((row.label, player), {})[term.label] = weight * norm

    engine.by_term(engine.plan(engine.recipe.phases[number]), batch, look)
    return [
        Share(number, row, term, player, norm / (sum(terms.values()) or 1.0))
        for (row, player), terms in norms.items()
        for term, norm in terms.items()
    ]
