"""A phase replayed as a CUDA graph: its forward, every gradient and every step, launched at once.

A small network's step is some hundred kernels of a few microseconds each, which a host launches more slowly than the
device runs them. A graph is captured once and replayed. What changes from step to step lies in tensors whose place does
not: images, weights of terms, learning rates; the random numbers come from generators that are seeded before each
replay as they would have been for an eager step, so that both compute the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.errors import RequestError
from zoo.recipe.schema import Term
from zoo.tensors import Draw, seed_of

if TYPE_CHECKING:
    from zoo.engine import Engine
    from zoo.phases import PhasePlan

WARM = 3
"""Eager plays of a phase before it is captured: they make optimiser states and choose kernels."""


def why_not(engine: Engine) -> str:
    """Why an engine's steps are not captured; empty if they are.

    Raises:
        RequestError: if the recipe wants it (``train.cuda_graph: on``) and it cannot be.
    """
    recipe = engine.recipe
    if recipe.train.cuda_graph == "off":
        return "train.cuda_graph is off"
    if engine.device.type != "cuda":
        reason = f"the model is on {engine.device.type}, not on CUDA"
    elif engine.processes.count > 1:
        reason = "several processes exchange gradients within a step"
    elif recipe.train.accumulate > 1:
        reason = "train.accumulate takes a batch in parts"
    elif asking := _asking_for_the_step(engine):
        reason = f"'{asking}' asks for the number of the step, which a graph would keep as it was"
    else:
        stuck = [player.name for player in engine.players.values() if not (player.on_device and player.skips)]
        reason = f"the optimiser of {', '.join(stuck)} works on the host (one with fused=True does not)" * bool(stuck)
    if reason and recipe.train.cuda_graph == "on":
        raise RequestError(f"train.cuda_graph: on is not to be had: {reason}; choose auto or off")
    return reason


def _asking_for_the_step(engine: Engine) -> str:
    graph = engine.recipe.graph
    for phase in engine.recipe.phases:
        for term in (term for row in phase.played for term in row.terms):
            for name in ("", *graph.order(term.part.arguments.values())):
                if "step" in (graph.needs(name) if name else term.part.arguments.values()):
                    return name or term.label
    return ""


class Captured:
    """One phase of an engine as a CUDA graph.

    Args:
        engine: whose players move.
        plan: the phase; played eagerly ``WARM`` times before.
        x: images of its shape.
        graph: what records and replays; a new CUDA graph when None.
    """

    def __init__(self, engine: Engine, plan: PhasePlan, x: Tensor, graph: Any = None) -> None:
        self._engine, self._plan = engine, plan
        self._x = x.clone()
        self._draws: dict[str, _Kept] = {}
        self._weights: dict[int, tuple[Term, Tensor]] = {}
        self._graph = CudaGraph() if graph is None else graph
        self._losses: dict[str, Tensor] = {}
        self._prepare()
        self._graph.record(self._play, [draw.generator for draw in self._draws.values()])

    def _prepare(self) -> None:
        """Finds who draws, so that its generator is known to the graph; nothing of the model moves."""
        for computed in self._plan.program:
            if computed.draws:
                self._draws[computed.name] = _Kept(self._engine.device, self._engine.model.dtype)
        for row in self._plan.rows:
            for term in row.terms:
                if not term.weight.constant:
                    self._weights[id(term)] = (term, torch.zeros((), device=self._engine.device))

    def _weight(self, term: Term) -> float | Tensor:
        return self._weights[id(term)][1] if id(term) in self._weights else term.weight(0)

    def _play(self) -> None:
        losses, gradients = self._engine.taken(self._plan, self._x, self._draws.__getitem__, self._weight)
        self._engine.move(self._plan, losses, gradients)
        names = list(losses)
        self._losses = dict(zip(names, torch.stack([losses[name].float() for name in names]).unbind(), strict=True))

    def play(self, x: Tensor, key: Callable[[str], tuple[object, ...]]) -> dict[str, Tensor]:
        """Replays it.

        Args:
            x: the images.
            key: who draws -> the key of its stream of random numbers.

        Returns:
            the terms' values; they are overwritten by the next replay.
        """
        step = self._engine.step_index
        self._x.copy_(x)
        for caller, draw in self._draws.items():
            draw.seed(*key(caller))
        for term, weight in self._weights.values():
            weight.fill_(term.weight(step))
        self._graph.replay()
        return self._losses


class _Kept(Draw):
    """A stream of random numbers whose generator stays, so that a graph can hold on to it."""

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(device=device, dtype=dtype)
        self.generator = torch.Generator(device)

    def seed(self, *key: object) -> None:
        """What comes next is what a ``Draw`` of this key would give."""
        self.generator.manual_seed(seed_of(*key))

    def _stream(self) -> torch.Generator:
        return self.generator


class CudaGraph:
    """Records what a function launches on a CUDA device, and launches it again at once."""

    def __init__(self) -> None:
        self._graph = torch.cuda.CUDAGraph()

    def record(self, play: Callable[[], None], generators: list[torch.Generator]) -> None:
        """Records ``play``; nothing is computed. Random numbers of ``generators`` are drawn anew at each replay."""
        for generator in generators:
            self._graph.register_generator_state(generator)
        with torch.cuda.graph(self._graph):
            play()

    def replay(self) -> None:
        """Computes what was recorded."""
        self._graph.replay()
