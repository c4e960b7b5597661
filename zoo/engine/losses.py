"""A model and what its rows minimise, for a training loop of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.draws import WHOLE, Draws, Streams, fresh
from zoo.engine.engine import Engine
from zoo.engine.phases import PhasePlan
from zoo.errors import RequestError
from zoo.model.given import refuse_without
from zoo.model.model import Model
from zoo.types import Batch, count_of


@dataclass(frozen=True)
class RowLosses:
    """What a row minimises on some images.

    Args:
        objective: the weighted sum of its terms, a scalar. Its ``backward`` reaches the row's own players alone: those
            of several rows may be added and go backward together.
        terms: label -> value, a scalar; its gradient reaches whatever it was computed by.
    """

    objective: Tensor
    terms: Mapping[str, Tensor]


class TrainableModel(Model):
    """The model that ``zoo.build`` and ``zoo.load`` give: one that says what its rows minimise."""

    def losses(
        self,
        x: Tensor | Batch,
        *,
        step: int = 0,
        phase: int | None = None,
        seed: int | None = None,
        generator: torch.Generator | None = None,
    ) -> dict[str, RowLosses]:
        """What each row minimises on images, as the model stands: in its mode, with gradients where torch takes any.

        Players are asked for gradients, whatever is frozen in the recipe is not. As in a training, batch norm and
        spectral norm take note of the images only where a row learns from them.

        Args:
            x: images (B, C, H, W) in [-1, 1]; or the fields of a batch by name.
            step: steps done, on which weights of terms may depend. A term that weighs nothing then is left out.
            phase: the number of a phase, from 0; all of them, at the present weights, when None.
            seed: which draw of the noise, the recipe's for that of its training; a new one at each call when None.
            generator: where a new draw comes from; torch's own, which ``torch.manual_seed`` sets, when None.

        Returns:
            the row's name, such as ``"encoder + decoder"``, -> its objective and terms. Of several phases that have the
            same row, the later ones' have the phase before it: ``"2: generator"``.
        """
        phases = range(len(self.recipe.phases))
        if phase is not None and phase not in phases:
            raise RequestError(f"recipe '{self.recipe.name}' has phases 0 to {phases[-1]}, and no {phase}")
        if step < 0:
            raise RequestError(f"step is the number of steps done, 0 or more, not {step}")
        engine, known = Engine(self, optimizers=False), self.batch(x)
        engine.begin_at(step)
        streams = Streams(fresh(generator) if seed is None else seed, self.device, self.dtype)
        found: dict[str, RowLosses] = {}
        for number in phases if phase is None else [phase]:
            plan = engine.plan_now(number)
            asked = {name for one in plan.program for _, name in one.values} - known.keys()
            refuse_without(self.recipe, sorted(asked.intersection(self.recipe.graph.fields)), known)
            engine.count((number, 0))
            draw = (number, 0) if self.recipe.phases[number].fresh else ()
            for row, losses in _losses(plan, known, step, streams.draws(step, draw, WHOLE, count_of(known))).items():
                found[f"{number + 1}: {row}" if row in found else row] = losses
        return found


def _losses(plan: PhasePlan, batch: Batch, step: int, draws: Draws) -> dict[str, RowLosses]:
    found = {}
    with plan.known(batch, step, draws) as known:
        for row in plan.rows:
            objective, _ = row.objective(known, lambda term: term.weight(step))
            if objective is not None:
                owned = row.own(objective) if objective.requires_grad else objective
                terms = {name.term: known[key] for name, key, _ in row.terms}
                found[row.row.label] = RowLosses(owned, terms)
    return found
