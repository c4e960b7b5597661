"""The phases of a recipe, bound to a model: what does not change from step to step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from zoo.draws import Draws
from zoo.engine.layout import Piece, ShardedView
from zoo.engine.parametrised import computed_once, parametrised
from zoo.engine.players import Gradients, Player
from zoo.machine.device import compute_type
from zoo.model.forward import Function, SlotView, lowering
from zoo.model.model import Model
from zoo.recipe.graph import BUILTINS, Call, Graph, plan_calls
from zoo.recipe.schema import Phase, Recipe, Row, Sizes, Term, slot_of
from zoo.types import mapped

Weights = Callable[[Term], "float | Tensor"]
"""Term -> what it counts at this step."""


PLAIN = ("batch", "step", "sizes")
"""Builtins that are no tensors."""


class Replay(Protocol):
    """A phase recorded once and played again."""

    def play(self, x: Tensor, which: tuple[int, ...], step: int) -> dict[str, Tensor]:
        """Moves every player and returns the terms' values."""


@dataclass(frozen=True)
class Computed:
    """A value or a term as a phase computes it, with everything bound that does not change from step to step.

    Args:
        name: the value, or the term's key.
        function: what computes it; None for a value that is held.
        slots: parameter -> the slot as it sees it.
        values: parameter -> name of a value or builtin that is computed before; of a held value, the value.
        draws: the parameter that asks for random numbers; empty for none.
        recorded: whether autograd records it; None where it is handed no tensor, so that there is nothing to record.
    """

    name: str
    function: Function | None
    slots: Mapping[str, Any]
    values: tuple[tuple[str, str], ...]
    draws: str
    recorded: bool | None


@dataclass(frozen=True)
class RowPlan:
    """A row with everything bound that does not change from step to step.

    Args:
        row: who minimises what.
        parameters: name -> parameter, of its players.
        terms: its name as ``"row/term"``, the key of its value, and the term.
    """

    row: Row
    parameters: Mapping[str, nn.Parameter]
    terms: Sequence[tuple[str, str, Term]]

    def objective(self, known: Mapping[str, Any], weights: Weights) -> tuple[Tensor | None, dict[str, Tensor]]:
        """The weighted sum the row minimises, and its terms' values; None while every weight in it is 0.

        Args:
            known: the phase's values and terms.
            weights: term -> what it counts.
        """
        total: Tensor | None = None
        values = {}
        for name, key, term in self.terms:
            weight = weights(term)
            constant = not isinstance(weight, Tensor)
            if constant and weight == 0:
                continue
            value = known[key]
            values[name] = value.detach()
            weighted = value if constant and weight == 1 else weight * value
            total = weighted if total is None else total + weighted
        return total, values


@dataclass
class PhasePlan:
    """A phase with everything bound that does not change from step to step.

    Args:
        phase: its rows, without terms that weigh nothing.
        rows: those, and one for each term of theirs that owns networks that learn.
        program: every value and term of it, each after what it needs.
        movers: the players of its rows that move.
        leaders: of those that share an optimiser, one.
        parametrised: the computed weights of networks that learn; None where no network has any.
        sizes: the recipe's, for values that ask for them.
        lowering: in which slots of a lower precision are called.
        compiled: its gradients as one compiled graph, once there is one.
        captured: the whole of it as a CUDA graph, once there is one.
        played: how often it was played eagerly.
    """

    phase: Phase
    rows: Sequence[RowPlan]
    program: Sequence[Computed]
    movers: Sequence[Player]
    leaders: Sequence[Player]
    parametrised: Sequence[tuple[nn.Module, str]] | None
    sizes: Sizes
    lowering: AbstractContextManager[object]
    compiled: Callable[[Tensor, Draws, Weights], Gradients] | None = None
    captured: Replay | None = None
    played: int = 0

    @cached_property
    def parameters(self) -> dict[str, nn.Parameter]:
        """Those of every row, by name."""
        return {key: parameter for row in self.rows for key, parameter in row.parameters.items()}

    @property
    def terms(self) -> list[Term]:
        """Every term of every row."""
        return [term for row in self.rows for _, _, term in row.terms]

    def weights_computed_once(self) -> AbstractContextManager[object]:
        """Inside, a parametrised weight is computed once for all calls and gradients."""
        return nullcontext() if self.parametrised is None else computed_once(self.parametrised)

    def compute(self, x: Tensor, step: int, draws: Draws, weights: Weights) -> Gradients:
        """Every row's gradient at the present weights, over one graph.

        Args:
            x: its images.
            step: steps done.
            draws: who draws -> its stream of random numbers.
            weights: term -> what it counts.

        Returns:
            the terms' values, and parameter -> gradient, summed over the rows whose players own it. A parameter
            that no row reaches is not in it.
        """
        losses: dict[str, Tensor] = {}
        gradients: dict[str, Tensor] = {}
        live: list[tuple[Mapping[str, nn.Parameter], Tensor]] = []
        with self.weights_computed_once():
            known = self.forward(x, step, draws)
            for row in self.rows:
                objective, values = row.objective(known, weights)
                losses |= values
                if objective is not None and objective.requires_grad:
                    live.append((row.parameters, objective))
            for i, (own, objective) in enumerate(live, 1):
                more = i < len(live)
                found = torch.autograd.grad(objective, list(own.values()), retain_graph=more, allow_unused=True)
                for key, gradient in zip(own, found, strict=True):
                    if gradient is not None:
                        gradients[key] = gradients[key] + gradient if key in gradients else gradient
        return losses, gradients

    def forward(self, x: Tensor, step: int, draws: Draws) -> dict[str, Any]:
        """Every value and term, by name and key.

        Args:
            x: images.
            step: steps done.
            draws: who draws -> its stream.
        """
        with self.lowering:
            return self._values({"x": x, "batch": len(x), "step": step, "sizes": self.sizes}, draws)

    def _values(self, given: Mapping[str, Any], draws: Draws) -> dict[str, Any]:
        known = dict(given)
        recording = torch.is_grad_enabled()
        for this in self.program:
            if this.function is None:
                known[this.name] = mapped(Tensor.detach, known[this.values[0][1]])
                continue
            handed = dict(this.slots)
            for parameter, name in this.values:
                handed[parameter] = known[name]
            if this.draws:
                handed[this.draws] = draws(this.name)
            if this.recorded is None or this.recorded == recording:
                known[this.name] = this.function(**handed)
            else:
                with torch.set_grad_enabled(this.recorded):
                    known[this.name] = this.function(**handed)
        return known


class Plans:
    """The plans of a recipe's phases, each made when it is first needed.

    Args:
        model: whose slots and functions are bound.
        players: name -> who learns.
    """

    def __init__(self, model: Model, players: Mapping[str, Player]) -> None:
        self._model, self._recipe, self._players = model, model.recipe, players
        self.dtype = compute_type(self._recipe.train.precision, model.device)
        self._lowering = lowering(model.device, self.dtype)
        self._parametrised = bool(parametrised([model]))
        self._made: dict[tuple[object, ...], PhasePlan] = {}
        rates = [player.rate for player in players.values()]
        weights = [[term.weight for row in phase.rows for term in row.terms] for phase in self._recipe.phases]
        self._switches = [tuple(dict.fromkeys(s for s in (*rates, *own) if s.switches)) for own in weights]

    def at(self, number: int, step: int) -> PhasePlan:
        """The plan of a phase as it stands at a step.

        What a term that weighs nothing yet, or a player whose rate is 0, would learn from is only passed
        through: no statistics of it move.
        """
        key = (number, *[bool(schedule(step)) for schedule in self._switches[number]])
        if key not in self._made:
            phase = self._recipe.phases[number]
            rows = [replace(row, terms=tuple(t for t in row.terms if t.weight(step))) for row in phase.rows]
            resting = frozenset(name for name, player in self._players.items() if not player.rate(step))
            self._made[key] = self.plan(replace(phase, rows=tuple(row for row in rows if row.terms)), resting)
        return self._made[key]

    def plan(self, phase: Phase, resting: frozenset[str] = frozenset()) -> PhasePlan:
        """A phase with its calls, the slots' views and the terms' functions bound; ``resting`` learn nothing."""
        rows = phase.played
        terms = {term.part.key: term.part for row in rows for term in row.terms}
        named = [(_learning(row, resting), [(t.part.key, t.part.arguments) for t in row.terms]) for row in rows]
        calls = plan_calls(self._recipe.graph, named)
        graph = self._recipe.graph
        whole = Graph(graph.slots, {**graph.arguments, **{key: part.arguments for key, part in terms.items()}})
        done = dict.fromkeys((*BUILTINS, *graph.slots))
        learning = frozenset(slot for call in calls.values() for slot in call.learning)
        program = [self._computed(calls[name], whole, learning) for name in whole.order(terms) if name not in done]
        names = dict.fromkeys(name for row in rows for name in row.players if name not in resting)
        movers = [self._players[name] for name in names if self._players[name].optimizer]
        leaders = {id(player.optimizer): player for player in movers}
        learners = [self._model.network(slot) for slot in graph.slots if slot in learning]
        computed = parametrised(learners) if self._parametrised else None
        bound = [self._bound(row) for row in rows]
        leading, sizes = list(leaders.values()), self._recipe.sizes
        return PhasePlan(phase, bound, program, movers, leading, computed, sizes, self._lowering)

    def _bound(self, row: Row) -> RowPlan:
        parameters = {key: p for name in row.players for key, p in self._players[name].parameters.items()}
        return RowPlan(row, parameters, [(f"{row.label}/{term.label}", term.part.key, term) for term in row.terms])

    def _computed(self, call: Call, graph: Graph, learning: frozenset[str]) -> Computed:
        name, functions = call.name, {**self._model.functions, **self._model.terms}
        if name not in functions:  # held
            return Computed(name, None, {}, (("", graph.needs(name)[0]),), "", recorded=False)
        asked = graph.arguments[name]
        slots = {parameter: of for parameter, of in asked.items() if of in graph.slots}
        views = {parameter: self._view(call, of, of in learning) for parameter, of in slots.items()}
        values = tuple((parameter, of) for parameter, of in asked.items() if parameter not in views and of != "draw")
        draws = next((parameter for parameter, of in asked.items() if of == "draw"), "")
        bare = all(_bare(thing) for thing in (functions[name], *map(self._model.network, slots.values())))
        recorded = None if bare and all(of in PLAIN for _, of in values) else call.recorded
        return Computed(name, functions[name], views, values, draws, recorded)

    def _view(self, call: Call, slot: str, elsewhere: bool) -> Any:
        """The slot as a call sees it: itself where it learns in full precision or has nothing to learn, else a view."""
        module = self._model.network(slot)
        learns = slot in call.learning
        dtype = self.dtype if slot in self._recipe.slots else None  # terms stay in float32, networks of theirs too
        again = self._recipe.train.activation_checkpointing and call.recorded and self._model.device.type != "meta"
        if any(isinstance(parameter, Piece) for parameter in module.parameters()):
            return ShardedView(module, learns, dtype, again)
        if not again and (_bare(module) or (learns and dtype is None)):
            return module
        return SlotView(module, learns, dtype, again, elsewhere)


def repeated(recipe: Recipe) -> frozenset[str]:
    """The names ``row/term`` that more than one phase has."""
    names = Counter(f"{row.label}/{t.label}" for phase in recipe.phases for row in phase.played for t in row.terms)
    return frozenset(name for name, count in names.items() if count > 1)


def _learning(row: Row, resting: frozenset[str]) -> frozenset[str]:
    """The slots that learn in a row: those of its players who move."""
    return frozenset(slot_of(player) for player in row.players if player not in resting)


def _bare(thing: object) -> bool:
    """Whether there is no tensor in it: nothing to learn, to hold still or to cast."""
    return not isinstance(thing, nn.Module) or next(chain(thing.parameters(), thing.buffers()), None) is None
