"""The one engine: plays a recipe's phases. The only code that takes a row's gradient and steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.average import Average
from zoo.forward import Forward, Function, SlotView
from zoo.graph import Call, plan_calls
from zoo.model import Model
from zoo.recipe.schema import Part, Phase, Row, Schedule, slot_of
from zoo.tensors import seeded

Batches = Callable[[int], Tensor]
"""turn -> images (B, C, H, W) in [-1, 1]; a step takes ``Engine.turns`` of them."""


@dataclass
class Player:
    """One who learns: parameters and the optimiser that moves them."""

    name: str
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer | None
    rate: Schedule
    lr: float


@dataclass
class PhasePlan:
    """A phase with everything bound that does not change from step to step."""

    phase: Phase
    calls: Mapping[str, Call]
    views: Mapping[tuple[str, str], Any]
    terms: Mapping[str, tuple[Function, Mapping[str, str], str]]


class Engine:
    """Plays the phases of a model's recipe.

    One phase is one shared forward, every row's gradient at the old weights by ``torch.autograd.grad``,
    then every player's step. Phases follow one another.

    Args:
        model: the model to train; its parameters are moved in place.
        optimizers: whether to make optimisers (a probe takes gradients only).
    """

    def __init__(self, model: Model, *, optimizers: bool = True) -> None:
        self.model = model
        self.recipe = model.recipe
        self.step_index = 0
        model.requires_grad_(False)
        self.players = {name: self._player(name, optimizers) for name in self.recipe.players()}
        self.dtype = compute_type(self.recipe.train.precision, model.device)
        self._plans: dict[tuple[object, ...], PhasePlan] = {}
        self.turns = 1 + sum(phase.repeat for phase in self.recipe.phases if phase.fresh)
        names = Counter(
            f"{row.label}/{t.label}" for phase in self.recipe.phases for row in phase.played for t in row.terms
        )
        self._repeated = frozenset(name for name, count in names.items() if count > 1)
        self.average = Average(model, self.recipe.train.ema) if self.recipe.train.ema else None

    # -- what does not change from step to step ------------------------------------------------------------

    def _player(self, name: str, with_optimizer: bool) -> Player:
        named = self.model.network(name).named_parameters()
        parameters = {f"{name}.{key}": p for key, p in named if id(p) not in self.model.frozen}  # by its own maker
        for parameter in parameters.values():
            parameter.requires_grad_(True)
        chosen = self.recipe.train.optimizers[name]
        optimizer = _optimizer(chosen.part, parameters) if with_optimizer else None
        lr = optimizer.param_groups[0]["lr"] if optimizer else 0.0
        return Player(name, parameters, optimizer, chosen.rate, lr)

    def plan(self, phase: Phase, resting: frozenset[str] = frozenset()) -> PhasePlan:
        """A phase with its calls, the slots' views and the terms' functions bound; ``resting`` learn nothing."""
        parts = {term.part.key: term.part for row in phase.played for term in row.terms}
        terms = {key: (self.model.terms[key], part.arguments, key) for key, part in parts.items()}
        named = [(_learning(row, resting), [(t.part.key, t.part.arguments) for t in row.terms]) for row in phase.played]
        calls = plan_calls(self.recipe.graph, named)
        views = {(call.name, slot): self._view(call, slot) for call in calls.values() for slot in call.slots}
        return PhasePlan(phase, calls, views, terms)

    def _view(self, call: Call, slot: str) -> Any:
        """The slot as a call sees it: itself where it learns in full precision, else a view of it."""
        module = self.model.network(slot)
        learns = slot in call.learning
        dtype = self.dtype if slot in self.recipe.slots else None  # terms stay in float32, networks of theirs too
        return module if learns and dtype is None else SlotView(module, learns, dtype)

    def plan_now(self, number: int) -> PhasePlan:
        """The plan of a phase as it stands at this step.

        What a term that weighs nothing yet, or a player whose rate is 0, would learn from is only passed
        through: no statistics of it move.
        """
        phase, step = self.recipe.phases[number], self.step_index
        rows = [replace(row, terms=tuple(t for t in row.terms if t.weight(step))) for row in phase.rows]
        resting = frozenset(name for name, player in self.players.items() if not player.rate(step))
        key = (number, resting, *(tuple(t.label for t in row.terms) for row in rows))
        if key not in self._plans:
            self._plans[key] = self.plan(replace(phase, rows=tuple(row for row in rows if row.terms)), resting)
        return self._plans[key]

    # -- a step --------------------------------------------------------------------------------------------

    def step(self, batches: Batches) -> dict[str, Tensor]:
        """Plays every phase that is due, once.

        Args:
            batches: turn -> images; turns of step s are ``s * turns`` to ``(s + 1) * turns - 1``.

        Returns:
            ``"row/term"`` -> the term's value, a scalar still on the device.
        """
        self.model.train()
        step, turn = self.step_index, self.step_index * self.turns
        shared = batches(turn)
        losses: dict[str, Tensor] = {}
        for number, phase in enumerate(self.recipe.phases):
            due = step >= phase.start and (step - phase.start) % phase.every == 0
            for play in range(phase.repeat):
                turn += phase.fresh
                if due:
                    x = batches(turn) if phase.fresh else shared
                    played = self._play(self.plan_now(number), x, (number, play))
                    told = {key: f"{number + 1}: {key}" if key in self._repeated else key for key in played}
                    losses |= {told[key]: value for key, value in played.items()}
        if self.average:
            self.average.update(step)
        self.step_index += 1
        return losses

    def _play(self, plan: PhasePlan, x: Tensor, which: tuple[int, int]) -> dict[str, Tensor]:
        # dropout and the like draw from the global stream: it too is a function of (seed, step)
        torch.manual_seed(seeded(self.recipe.seed, "global", self.step_index, which).initial_seed())
        losses, gradients = self.gradients(plan, x, which if plan.phase.fresh else ())
        for name in dict.fromkeys(player for row in plan.phase.played for player in row.players):
            self._move(self.players[name], gradients)
        return losses

    def gradients(
        self, plan: PhasePlan, x: Tensor, draw: tuple[int, ...] = (), *, every_term: bool = False
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Every row's gradient at the present weights, over one graph.

        Args:
            plan: the phase.
            x: its images.
            draw: which draw of the noise.
            every_term: take terms in, with weight 1, that weigh nothing at this step.

        Returns:
            the terms' values by ``"row/term"``, and parameter -> gradient, summed over the rows whose
            players own it. A parameter that no row reaches is not in it.
        """
        forward = self._forward(plan, x, draw)
        rows = [(row, self._objective(row, plan, forward, every_term)) for row in plan.phase.played]
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

    def _forward(self, plan: PhasePlan, x: Tensor, draw: tuple[int, ...]) -> Forward:
        given = {"x": x, "batch": len(x), "step": self.step_index, "sizes": self.recipe.sizes}
        return Forward(
            self.recipe.graph,
            self.model.functions,
            given,
            lambda caller, slot: plan.views[caller, slot],
            partial(self.model.draw, "train", self.step_index, draw),
            plan.calls,
        )

    def _objective(
        self, row: Row, plan: PhasePlan, forward: Forward, every_term: bool
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The weighted sum a row minimises at this step; None while every weight in it is 0."""
        total: Tensor | None = None
        values = {}
        for term in row.terms:
            weight = term.weight(self.step_index) or float(every_term)
            if weight == 0:
                continue
            value = values[term.label] = forward.once(*plan.terms[term.part.key])
            weighted = value if weight == 1 else weight * value
            total = weighted if total is None else total + weighted
        return total, values

    def _move(self, player: Player, gradients: Mapping[str, Tensor]) -> None:
        rate = player.rate(self.step_index)
        if rate == 0 or player.optimizer is None:
            return
        for key, parameter in player.parameters.items():
            gradient = gradients.get(key)
            parameter.grad = None if gradient is None else _laid_out_like(gradient, parameter)
        if self.recipe.train.clip:
            nn.utils.clip_grad_norm_(player.parameters.values(), self.recipe.train.clip)
        for group in player.optimizer.param_groups:
            group["lr"] = player.lr * rate
        player.optimizer.step()
        player.optimizer.zero_grad(set_to_none=True)

    # -- state ---------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Everything that the next step depends on: tensors by name, and plain data."""
        tensors = {f"model/{k}": v for k, v in self.model.state_dict().items()}
        if self.average:
            tensors |= {f"ema/{k}": v for k, v in self.average.averaged.items()}
        for player in self.players.values():
            state = player.optimizer.state_dict()["state"] if player.optimizer else {}
            for index, entries in state.items():
                for key, value in entries.items():
                    tensors[f"optimizer/{player.name}/{index}/{key}"] = torch.as_tensor(value)
        return tensors, {"step": self.step_index}

    def restore(self, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
        """Takes up a saved state; the next step is bit for bit the one that would have followed."""
        self.model.load_state_dict(_below(tensors, "model/"))
        if self.average:
            self.average.restore(_below(tensors, "ema/"))
        for player in self.players.values():
            if player.optimizer:
                _restore_optimizer(player.optimizer, _below(tensors, f"optimizer/{player.name}/"))
        self.step_index = plain["step"]


def _learning(row: Row, resting: frozenset[str]) -> frozenset[str]:
    """The slots that learn in a row: those of its players who move."""
    return frozenset(slot_of(player) for player in row.players if player not in resting)


def _laid_out_like(tensor: Tensor, parameter: Tensor) -> Tensor:
    """``tensor`` in the memory layout of ``parameter``.

    Fused optimisers walk both as flat memory: with other strides they are silently wrong, and
    ``autograd.grad``, unlike ``backward``, does not enforce the parameter's.
    """
    if tensor.stride() == parameter.stride():
        return tensor
    return torch.empty_like(parameter).copy_(tensor)


def _optimizer(part: Part, parameters: Mapping[str, nn.Parameter]) -> torch.optim.Optimizer:
    made = part.load()(list(parameters.values()), **part.arguments_for())
    assert isinstance(made, torch.optim.Optimizer)
    return made


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        index, key = name.split("/", 1)
        parameter = parameters[int(index)]
        shaped = tensor.shape == parameter.shape
        laid_out = torch.empty_like(parameter).copy_(tensor) if shaped else tensor.clone()  # never the saver's own
        state.setdefault(int(index), {})[key] = laid_out
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def compute_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The type networks compute in; None for that of their parameters."""
    if precision == "auto":
        precision = "bfloat16" if _fast_bfloat16(device) else "float32"
    return torch.bfloat16 if precision == "bfloat16" and device.type != "meta" else None  # meta has no autocast


def _fast_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return device.type == "cpu" and bool(torch.cpu._is_amx_tile_supported())
