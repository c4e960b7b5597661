"""The one engine: plays a recipe's phases. The only code that takes a row's gradient and moves a player."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from zoo.average import Average
from zoo.capture import WARM, Captured, why_not
from zoo.errors import RequestError, TrainingError
from zoo.faults import Sentinel, first_bad
from zoo.forward import lowering
from zoo.model import Model
from zoo.phases import Draws, Gradients, PhasePlan, Plans, Weights, repeated
from zoo.players import Player
from zoo.processes import ALONE, Processes
from zoo.recipe.schema import Phase, Term
from zoo.sharding import WHOLE, Shard, check_shares, summed
from zoo.sync import synchronise
from zoo.tensors import Draw, seed_global
from zoo.tracing import Compiled

Batches = Callable[[int], Tensor]
"""turn -> this process's share of a batch, images (B, C, H, W) in [-1, 1]; a step takes ``Engine.turns`` of them."""

Key = Callable[[str], tuple[object, ...]]
"""Who draws -> what its random numbers are a function of."""


class Engine:
    """Plays the phases of a model's recipe.

    One phase is one shared forward, every row's gradient at the old weights by ``torch.autograd.grad``,
    then every player's step. Phases follow one another. A batch may be taken in parts (``train.accumulate``) and be
    shared among processes: gradients are averaged before anybody moves.

    Args:
        model: the model to train; its parameters are moved in place.
        optimizers: whether to make optimisers (a probe takes gradients only).
        processes: those that train together, each with an engine of its own.

    Raises:
        RequestError: if the batch cannot be shared out, or the recipe wants what cannot be had here.
    """

    def __init__(self, model: Model, *, optimizers: bool = True, processes: Processes = ALONE) -> None:
        self.model = model
        self.recipe = model.recipe
        self.processes = processes
        self.device, self._type = model.device, model.dtype
        self.step_index = 0
        settings = self.recipe.train
        model.requires_grad_(False)
        if settings.sync_batch_norm and processes.count > 1:
            synchronise(model)
        self.players = {name: self._player(name, optimizers) for name in self.recipe.players()}
        self._plans = Plans(model, self.players)
        self.turns = 1 + sum(phase.repeat for phase in self.recipe.phases if phase.fresh)
        self._repeated = repeated(self.recipe)
        self.average = Average(model, settings.ema) if settings.ema else None
        self.eager = ""
        if optimizers:
            check_shares(settings.batch, settings.accumulate, processes.count)
            self._place()

    # -- what does not change from step to step ------------------------------------------------------------

    def _player(self, name: str, moves: bool) -> Player:
        named = self.model.network(name).named_parameters()
        parameters = {f"{name}.{key}": p for key, p in named if id(p) not in self.model.frozen}  # by its own maker
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        return Player.of(name, parameters, self.recipe.train.optimizers[name], moves)

    def _place(self) -> None:
        """Puts on the device what a step reads; ``eager`` says why steps are not replayed as CUDA graphs."""
        if self.device.type != "cpu":
            for player in self.players.values():
                player.put_on_device()
        if self.recipe.train.compile and self.recipe.train.activation_checkpointing:
            raise RequestError("train.activation_checkpointing does not go with train.compile; set one to false")
        self.eager = why_not(self)
        can_skip = all(player.skips for player in self.players.values())
        self.sentinel = Sentinel(self.device, at_once=self.device.type == "cpu" or not can_skip)

    def plan(self, phase: Phase) -> PhasePlan:
        """A phase with everything bound that does not change from step to step."""
        return self._plans.plan(phase)

    def plan_now(self, number: int) -> PhasePlan:
        """The plan of a phase as it stands at this step."""
        return self._plans.at(number, self.step_index)

    # -- a step --------------------------------------------------------------------------------------------

    def step(self, batches: Batches) -> dict[str, Tensor]:
        """Plays every phase that is due, once.

        Args:
            batches: turn -> images; turns of step s are ``s * turns`` to ``(s + 1) * turns - 1``.

        Returns:
            ``"row/term"`` -> the term's value, a scalar still on the device; good until the next step.

        Raises:
            Poisoned: if a term or a gradient is not finite; nothing has moved by it.
        """
        if not self.model.training:
            self.model.train()
        step = self.step_index
        shared = batches(step * self.turns)
        losses: dict[str, Tensor] = {}
        for number, phase in enumerate(self.recipe.phases):
            due = step >= phase.start and (step - phase.start) % phase.every == 0
            for play in range(phase.repeat):
                if due:
                    x = batches(self.turn((number, play))) if phase.fresh else shared
                    played = self._play(self.plan_now(number), x, (number, play))
                    told = {key: f"{number + 1}: {key}" if key in self._repeated else key for key in played}
                    losses |= {told[key]: value for key, value in played.items()}
        if self.average:
            self.average.update(step)
        self.sentinel.passed()
        self.step_index += 1
        return losses

    def turn(self, which: tuple[int, int]) -> int:
        """The turn whose images a play of a phase is given at this step."""
        number, play = which
        phases = self.recipe.phases
        before = sum(phase.repeat for phase in phases[:number] if phase.fresh)
        return self.step_index * self.turns + (before + play + 1 if phases[number].fresh else 0)

    def check(self) -> None:
        """Looks at the weights, and at what only the device knows; it waits for the device.

        Raises:
            TrainingError: if something is not finite.
        """
        self.sentinel.check(self.step_index)
        spoilt = [player.name for player in self.players.values() if first_bad(player.parameters)]
        if spoilt:
            raise TrainingError(f"step {self.step_index}: weights of {', '.join(spoilt)} are no longer finite")

    def _play(self, plan: PhasePlan, x: Tensor, which: tuple[int, int]) -> dict[str, Tensor]:
        for player in plan.movers:
            player.set_rate(self.step_index)
        if not self.eager and plan.played >= WARM:
            self._seed(which, WHOLE)
            plan.captured = plan.captured or Captured(self, plan, x)
            return plan.captured.play(x, partial(self._key, which if plan.phase.fresh else ()))
        plan.played += 1
        losses, gradients = self.shares(plan, x, which)
        means = self.processes.mean([*losses.values(), *gradients.values()])
        losses = dict(zip(losses, means, strict=False))
        self.move(plan, losses, dict(zip(gradients, means[len(losses) :], strict=True)), which)
        return losses

    def _key(self, draw: tuple[int, ...], caller: str) -> tuple[object, ...]:
        """What a caller's random numbers are a function of."""
        return (self.recipe.seed, "train", self.step_index, draw, caller)

    def _seed(self, which: tuple[int, int], shard: Shard) -> None:
        """Dropout and the like draw from the global stream: it too is a function of (seed, step)."""
        share = () if shard.count == 1 else (shard,)
        seed_global(self.device, self.recipe.seed, "global", self.step_index, which, *share)

    def shares(self, plan: PhasePlan, x: Tensor, which: tuple[int, int]) -> Gradients:
        """What a play of a phase gives, as ``gradients``: the batch taken in parts, and they averaged."""
        parts, key = self.recipe.train.accumulate, partial(self._key, which if plan.phase.fresh else ())
        found: list[Gradients] = []
        for number, piece in enumerate(x.chunk(parts) if parts > 1 else (x,)):
            shard = self.processes.shard.part(number, parts)
            self._seed(which, shard)
            new = self.taken(plan, piece, partial(self._stream, key, shard, len(piece)), self._weight)
            found = [summed(found[0], new) if found else new]
        losses, gradients = found[0]
        if parts > 1:
            losses, gradients = ({k: v / parts for k, v in these.items()} for these in (losses, gradients))
        return losses, gradients

    def _stream(self, key: Key, shard: Shard, rows: int, caller: str) -> Draw:
        return shard.draw(*key(caller), rows=rows, device=self.device, dtype=self._type)

    def _weight(self, term: Term) -> float:
        return term.weight(self.step_index)

    def taken(self, plan: PhasePlan, x: Tensor, draws: Draws, weights: Weights) -> Gradients:
        """What ``compute`` gives, by a compiled graph where the recipe asks for one."""
        if not self.recipe.train.compile:
            return self.compute(plan, x, draws, weights)
        plan.compiled = plan.compiled or Compiled(self, plan, x, draws, weights)
        return plan.compiled(x, draws, weights)

    def gradients(
        self, plan: PhasePlan, x: Tensor, draw: tuple[int, ...] = (), *, every_term: bool = False
    ) -> Gradients:
        """Every row's gradient at the present weights.

        Args:
            plan: the phase.
            x: its images.
            draw: which draw of the noise.
            every_term: take terms in, with weight 1, that weigh nothing at this step.

        Returns:
            the terms' values by ``"row/term"``, and parameter -> gradient, summed over the rows whose
            players own it. A parameter that no row reaches is not in it.
        """
        draws = partial(self._stream, partial(self._key, draw), WHOLE, len(x))
        return self.compute(plan, x, draws, lambda term: self._weight(term) or float(every_term))

    def compute(self, plan: PhasePlan, x: Tensor, draws: Draws, weights: Weights) -> Gradients:
        """Every row's gradient at the present weights, over one graph.

        Args:
            plan: the phase.
            x: its images.
            draws: who draws -> its stream of random numbers.
            weights: term -> what it counts.

        Returns:
            as ``gradients``.
        """
        known = self.forward(plan, x, draws)
        rows = [(row, plan.objective(row, known, weights)) for row in plan.rows]
        losses = {f"{row.label}/{name}": v.detach() for row, (_, values) in rows for name, v in values.items()}
        live = [(row, objective) for row, (objective, _) in rows if objective is not None and objective.requires_grad]
        gradients: dict[str, Tensor] = {}
        for i, (row, objective) in enumerate(live):
            parameters = {k: p for name in row.players for k, p in self.players[name].parameters.items()}
            found = torch.autograd.grad(
                objective, list(parameters.values()), retain_graph=i < len(live) - 1, allow_unused=True
            )
            for key, gradient in zip(parameters, found, strict=True):
                if gradient is not None:
                    gradients[key] = gradients[key] + gradient if key in gradients else gradient
        return losses, gradients

    def forward(self, plan: PhasePlan, x: Tensor, draws: Draws) -> dict[str, Any]:
        """The values and terms of a phase, by name and key."""
        given = {"x": x, "batch": len(x), "step": self.step_index, "sizes": self.recipe.sizes}
        with lowering(self.device, self._plans.dtype):
            return plan.values(given, draws)

    def move(
        self,
        plan: PhasePlan,
        losses: Mapping[str, Tensor],
        gradients: Mapping[str, Tensor],
        which: tuple[int, int] = (0, 0),
    ) -> None:
        """Every player's step, after a look at what they would move by."""
        self.sentinel.look(self.step_index, which, losses, gradients)
        for player in plan.movers:
            player.move(gradients, self.recipe.train.clip, self.sentinel.poison)

    # -- state ---------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the next step depends on: tensors by name, and plain data."""
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        if self.average:
            tensors |= {f"ema/{k}": v for k, v in self.average.averaged.items()}
        for player in self.players.values():
            tensors |= {f"optimizer/{player.name}/{k}": v for k, v in player.state().items()}
        return tensors, {"step": self.step_index}

    def restore(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Takes up a saved state; the next step is bit for bit the one that would have followed."""
        self.model.load_state_dict(_below(tensors, "model/"))
        if self.average:
            self.average.restore(_below(tensors, "ema/"))
        for player in self.players.values():
            player.restore(_below(tensors, f"optimizer/{player.name}/"))
        self.step_index = plain["step"]


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
