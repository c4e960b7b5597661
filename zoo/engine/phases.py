"""The phases of a recipe, bound to a model: what does not change from step to step."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from itertools import chain
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from zoo.draws import Draws
from zoo.engine.keys import TermKey
from zoo.engine.layout import Piece, ShardedView
from zoo.engine.players import Gradients, Player
from zoo.machine.device import compute_type
from zoo.model.forward import SlotView, lowering
from zoo.model.model import Model
from zoo.model.program import Computed, bound, names_computed, run
from zoo.recipe.data_fields import Sizes
from zoo.recipe.graph import COUNTS, Call, Graph, plan_calls
from zoo.recipe.schema import Phase, Recipe, Row, Term, slot_of
from zoo.types import Batch, count_of

Weights = Callable[[Term], "float | Tensor"]
"""Term -> what it counts at this step."""
Look = Callable[[Row, Term, Callable[[], dict[str, Tensor]]], None]
"""Shown a term of a row, and what takes its gradient at weight 1: parameter -> gradient, of those that it reaches."""

PLAIN = ("batch", *COUNTS, "sizes")
"""Builtins that are no tensors."""


class Replay(Protocol):
    """A phase recorded once and played again."""

    def play(self, batch: Batch, which: tuple[int, ...], step: int) -> dict[TermKey, Tensor]:
        """Moves every player and returns the terms' values."""


@dataclass(frozen=True)
class RowPlan:
    """A row with everything bound that does not change from step to step.

    Of each term there are its key in what a step reports, the key of its value, and the term.
    """

    row: Row
    parameters: Mapping[str, nn.Parameter]
    terms: Sequence[tuple[TermKey, str, Term]]

    def own(self, objective: Tensor) -> Tensor:
        """The objective with a backward that reaches the row's own parameters alone, whatever shares its graph."""
        return _Own.apply([objective], *self.parameters.values())  # type: ignore[no-any-return]

    def objective(self, known: Mapping[str, Any], weights: Weights) -> tuple[Tensor | None, dict[TermKey, Tensor]]:
        """The weighted sum that the row minimises (None while every weight in it is 0), and its terms' values."""
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


class _Own(torch.autograd.Function):
    """Hands an objective on, held in a list, and its gradient to the given parameters."""

    @staticmethod
    def forward(ctx: Any, held: list[Tensor], *own: nn.Parameter) -> Tensor:
        ctx.held, ctx.own = held, own
        return held[0].detach().clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        taken = torch.autograd.grad(ctx.held[0], ctx.own, gradient, retain_graph=True, allow_unused=True)
        return (None, *taken)


@dataclass
class PhasePlan:
    """A phase with everything bound that does not change from step to step.

    Args:
        phase: its rows, without terms that weigh nothing.
        rows: those, and one for each term of theirs that owns networks that learn.
        program: every value and term of it, each after what it needs.
        movers: the players of its rows that move.
        leaders: of those that share an optimiser, one.
        parametrised: the computed weights of networks that learn.
        counts: of the training, as they now are.
        lowering: in which slots of a lower precision are called.
        played: how often it was played eagerly.
    """

    phase: Phase
    rows: Sequence[RowPlan]
    program: Sequence[Computed]
    movers: Sequence[Player]
    leaders: Sequence[Player]
    parametrised: Sequence[tuple[nn.Module, str]]
    sizes: Sizes
    counts: Mapping[str, int]
    lowering: AbstractContextManager[object]
    compiled: Callable[[Batch, Draws, Weights], Gradients] | None = None
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

    def compute(self, batch: Batch, step: int, draws: Draws, weights: Weights) -> Gradients:
        """Every row's gradient at the present weights, over one graph; ``weights`` say what each term counts.

        Returns:
            the terms' values, and parameter -> gradient, summed over the rows whose players own it. A parameter
            that no row reaches is not in it.
        """
        losses: dict[TermKey, Tensor] = {}
        gradients: dict[str, Tensor] = {}
        live: list[tuple[Mapping[str, nn.Parameter], Tensor]] = []
        with self.known(batch, step, draws) as known:
            for row in self.rows:
                objective, values = row.objective(known, weights)
                losses |= values
                if objective is not None and objective.requires_grad and row.parameters:
                    live.append((row.parameters, objective))
            for i, (own, objective) in enumerate(live, 1):
                for key, gradient in _taken(objective, own, more=i < len(live)).items():
                    gradients[key] = gradients[key] + gradient if key in gradients else gradient
        return losses, gradients

    def by_term(self, batch: Batch, step: int, draws: Draws, look: Look) -> None:
        """Has ``look`` take the gradient of every term of every row by itself, at the present weights."""
        with self.known(batch, step, draws) as known:
            for row in self.rows:
                for _, key, term in row.terms:
                    look(row.row, term, partial(_taken, known[key], row.parameters))

    @contextmanager
    def known(self, batch: Batch, step: int, draws: Draws) -> Iterator[dict[str, Any]]:
        """What ``forward`` gives, for gradients to be taken inside, where a computed weight is computed once."""
        with computed_once(self.parametrised):
            yield self.forward(batch, step, draws)

    def forward(self, batch: Batch, step: int, draws: Draws) -> dict[str, Any]:
        """Every value and term, by name and key; arguments as for ``compute``."""
        with self.lowering:
            known = {**batch, **self.counts, "batch": count_of(batch), "step": step, "sizes": self.sizes}
            return run(self.program, known, draws)


def _taken(value: Tensor, own: Mapping[str, nn.Parameter], more: bool = True) -> dict[str, Tensor]:
    """The gradient of a value, parameter by parameter of those that it reaches; ``more`` of its graph's will follow."""
    if not (value.requires_grad and own):
        return {}
    taken = torch.autograd.grad(value, list(own.values()), retain_graph=more, allow_unused=True)
    return {key: gradient for key, gradient in zip(own, taken, strict=True) if gradient is not None}


class Plans:
    """The plans of a recipe's phases, each made when it is first needed."""

    def __init__(self, model: Model, players: Mapping[str, Player], counts: Mapping[str, int]) -> None:
        self._model, self._recipe, self._players, self._counts = model, model.recipe, players, counts
        self.dtype = compute_type(self._recipe.train.precision, model.device)
        self._lowering = lowering(model.device, self.dtype)
        self._repeated = _repeated(self._recipe)
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
            self._made[key] = self.plan(
                replace(phase, rows=tuple(row for row in rows if row.terms)), resting, number + 1
            )
        return self._made[key]

    def plan(self, phase: Phase, resting: frozenset[str] = frozenset(), number: int = 0) -> PhasePlan:
        """A phase with its calls, slots' views and terms' functions bound; ``resting`` players learn nothing.

        Phases are numbered from 1; one that stands by itself is 0.
        """
        rows = phase.played
        graph, terms = self._recipe.graph, {t.part.key: t.part.arguments for row in rows for t in row.terms}
        still = resting | {name for name, player in self._players.items() if not player.parameters}
        moving = [[name for name in row.players if name not in still] for row in rows]
        calls = plan_calls(
            graph,
            [
                (frozenset(map(slot_of, names)), [(t.part.key, t.part.arguments) for t in row.terms])
                for names, row in zip(moving, rows, strict=True)
            ],
        )
        whole = replace(graph, arguments={**graph.arguments, **terms})
        learning = frozenset(slot for call in calls.values() for slot in call.learning)
        program = [self._computed(calls[name], whole, learning) for name in names_computed(whole, terms)]
        players = [self._players[name] for name in dict.fromkeys(chain.from_iterable(moving))]
        movers = [player for player in players if player.optimizer]
        learners = [self._model.network(slot) for slot in graph.slots if slot in learning]
        return PhasePlan(
            phase=phase,
            rows=[self._row(row, number) for row in rows],
            program=program,
            movers=movers,
            leaders=list({id(player.optimizer): player for player in movers}.values()),
            parametrised=parametrised(learners),
            sizes=self._recipe.sizes,
            counts=self._counts,
            lowering=self._lowering,
        )

    def _row(self, row: Row, number: int) -> RowPlan:
        parameters = {key: p for name in row.players for key, p in self._players[name].parameters.items()}
        terms = []
        for term in row.terms:
            key = TermKey(row.label, term.label)
            terms.append((key._replace(phase=number) if key in self._repeated else key, term.part.key, term))
        return RowPlan(row, parameters, terms)

    def _computed(self, call: Call, graph: Graph, learning: frozenset[str]) -> Computed:
        """A value or term as its rows compute it; autograd need not be told where there is no tensor to record."""
        functions = {**self._model.functions, **self._model.terms}
        made = bound(call.name, graph, functions, partial(self._view, call, learning))
        slots = [of for of in graph.needs(call.name) if of in graph.slots]
        bare = all(_bare(thing) for thing in (made.function, *map(self._model.network, slots)))
        nothing = bare and all(of in PLAIN for _, of in made.values)
        return replace(made, recorded=None if nothing else call.recorded)

    def _view(self, call: Call, learning: frozenset[str], slot: str) -> Any:
        """The slot as a call sees it: itself where it learns in full precision or has nothing to learn, else a view."""
        module, learns, elsewhere = self._model.network(slot), slot in call.learning, slot in learning
        dtype = self.dtype if slot in self._recipe.slots else None  # terms stay in float32, networks of theirs too
        again = self._recipe.train.activation_checkpointing and call.recorded and self._model.device.type != "meta"
        if any(isinstance(parameter, Piece) for parameter in module.parameters()):
            return ShardedView(module, learns, dtype, again)
        if not again and (_bare(module) or (learns and dtype is None)):
            return module
        return SlotView(module, learns, dtype, again, elsewhere)


def _repeated(recipe: Recipe) -> frozenset[TermKey]:
    """The rows' terms that more than one phase has."""
    counts = Counter(TermKey(row.label, t.label) for phase in recipe.phases for row in phase.played for t in row.terms)
    return frozenset(key for key, count in counts.items() if count > 1)


def _bare(thing: object) -> bool:
    """Whether there is no tensor in it: nothing to learn, to hold still or to cast."""
    return not isinstance(thing, nn.Module) or next(chain(thing.parameters(), thing.buffers()), None) is None


# -- weights that are computed from others -------------------------------------------------------------------


def parametrised(networks: Iterable[nn.Module]) -> list[tuple[nn.Module, str]]:
    """The computed weights of networks: each a module and the weight's name there."""
    modules = dict.fromkeys(module for network in networks for module in network.modules())
    held = {module: getattr(module, "parametrizations", None) for module in modules}
    return [(module, name) for module, by in held.items() if isinstance(by, nn.ModuleDict) for name in by]


@contextmanager
def computed_once(learning: Sequence[tuple[nn.Module, str]]) -> Iterator[None]:
    """Inside, a parametrised weight is computed once, however often its network is called.

    Spectral norm takes a step of its power iteration whenever a weight is computed in training. A critic that judges
    two fakes beside the real images would take three a step, and keep three copies of each weight; Miyato et al. (2018,
    algorithm 1) take one before each update. Those of networks that learn are computed first: a call that only passes
    through a network would compute them without a step of spectral norm, and for nobody to learn from.
    """
    with parametrize.cached():
        for module, name in learning:
            getattr(module, name)  # stays inside ``cached``
        yield
