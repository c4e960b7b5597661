"""A phase replayed as a CUDA graph: its forward, every gradient and every step, launched at once.

A small network's step is some hundred kernels of a few microseconds each, which a host launches more slowly than the
device runs them. A graph is captured once and replayed. What changes from step to step lies in tensors whose place does
not: images, weights of terms, learning rates; the random numbers come from generators that are seeded before each
replay as they would have been for an eager step, so that both compute the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

from zoo.draws import Draws, Stream
from zoo.engine.compiled import unmoved
from zoo.engine.phases import PhasePlan, Weights
from zoo.engine.players import Gradients, Player
from zoo.errors import RequestError, TrainingError, reason
from zoo.machine.device import out_of_memory
from zoo.model.model import Model
from zoo.recipe.schema import Recipe, Term

WARM = 3
"""Eager plays of a phase before it is captured: they make optimiser states and choose kernels."""


def why_not(recipe: Recipe, device: torch.device, players: Iterable[Player], processes: int, collective: bool) -> str:
    """Why the steps of a training are not captured; empty if they are.

    Args:
        recipe: what is trained.
        device: where.
        players: who learn.
        processes: how many train together.
        collective: whether weights are gathered from them within a step.

    Raises:
        RequestError: if the recipe wants it (``train.cuda_graph: on``) and it cannot be.
    """
    if recipe.train.cuda_graph == "off":
        return "train.cuda_graph is off"
    if device.type != "cuda":
        reason = f"the model is on {device.type}, not on CUDA"
    elif collective:
        reason = "train.fully_shard gathers weights within a step"
    elif processes > 1:
        reason = "several processes exchange gradients within a step"
    elif recipe.train.accumulate > 1:
        reason = "train.accumulate takes a batch in parts"
    elif asking := _asking_for_the_step(recipe):
        reason = f"'{asking}' asks for the number of the step, which a graph would keep as it was"
    else:
        stuck = [player.name for player in players if not (player.on_device and player.skips)]
        reason = f"the optimiser of {', '.join(stuck)} works on the host (one with fused=True does not)" * bool(stuck)
    if reason and recipe.train.cuda_graph == "on":
        raise RequestError(f"train.cuda_graph: on is not to be had: {reason}; choose auto or off")
    return reason


def _asking_for_the_step(recipe: Recipe) -> str:
    graph = recipe.graph
    for phase in recipe.phases:
        for term in (term for row in phase.played for term in row.terms):
            for name in ("", *graph.order(term.part.arguments.values())):
                if "step" in (graph.needs(name) if name else term.part.arguments.values()):
                    return name or term.label
    return ""


class CaptureError(Exception):
    """A phase cannot be recorded: it waits for the device."""


class Captured:
    """One phase as a CUDA graph.

    Args:
        model: whose buffers a rehearsal leaves as they are.
        plan: the phase; played eagerly ``WARM`` times before.
        x: images of its shape.
        gradients: what gives its terms' values and its gradients.
        move: what has its players move by them.
        key: step, which draw of the noise, who draws -> what the random numbers are a function of.
        recorder: what records.

    Raises:
        CaptureError: if it waits for the device.
        TrainingError: if it cannot be recorded for another reason.
    """

    def __init__(
        self,
        model: Model,
        plan: PhasePlan,
        x: Tensor,
        gradients: Callable[[Tensor, Draws, Weights], Gradients],
        move: Callable[[Mapping[str, Tensor], Mapping[str, Tensor]], None],
        key: Callable[[int, tuple[int, ...], str], tuple[object, ...]],
        recorder: Recorder,
    ) -> None:
        self._model, self._plan, self._gradients, self._move, self._key = model, plan, gradients, move, key
        self._x = x.clone()
        self._draws: dict[str, Stream] = {}
        self._weights: dict[int, tuple[Term, Tensor]] = {}
        self._losses: dict[str, Tensor] = {}
        self._prepare()
        self._rehearse()
        try:
            self._replay = recorder.record(
                self._play, [draw.generator for draw in self._draws.values() if draw.generator]
            )
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            where = f"{plan.phase.position}: train.cuda_graph: this phase cannot be recorded"
            raise TrainingError(f"{where}: {reason(error)}; set train.cuda_graph: off") from error

    def _prepare(self) -> None:
        """Finds who draws, so that its generator is known to the graph; nothing of the model moves."""
        for computed in self._plan.program:
            if computed.draws:
                self._draws[computed.name] = Stream(self._model.device, self._model.dtype)
        for term in self._plan.terms:
            if not term.weight.constant:
                self._weights[id(term)] = (term, torch.zeros((), device=self._model.device))

    def _rehearse(self) -> None:
        """Computes once what is to be recorded, and moves nothing. What waits for the device would break a recording
        off, and leave generators unusable; here it is only refused."""
        if self._model.device.type != "cuda":
            return
        before = torch.cuda.get_sync_debug_mode()
        with unmoved(self._model):
            torch.cuda.set_sync_debug_mode("error")
            try:
                self._gradients(self._x, self._draws.__getitem__, self._weight)
            except RuntimeError as error:
                if "synchroniz" not in str(error):
                    raise
                raise CaptureError(f"'{self._plan.phase.position}' waits for the device ({reason(error)})") from error
            finally:
                torch.cuda.set_sync_debug_mode(before)

    def _weight(self, term: Term) -> float | Tensor:
        return self._weights[id(term)][1] if id(term) in self._weights else term.weight(0)

    def _play(self) -> None:
        losses, gradients = self._gradients(self._x, self._draws.__getitem__, self._weight)
        self._move(losses, gradients)
        names = list(losses)
        self._losses = dict(zip(names, torch.stack([losses[name].float() for name in names]).unbind(), strict=True))

    def play(self, x: Tensor, which: tuple[int, ...], step: int) -> dict[str, Tensor]:
        """Replays it.

        Args:
            x: the images.
            which: which draw of the noise.
            step: steps done.

        Returns:
            the terms' values; they are overwritten by the next replay.
        """
        self._x.copy_(x)
        for caller, draw in self._draws.items():
            draw.begin(*self._key(step, which, caller))
        for term, weight in self._weights.values():
            weight.fill_(term.weight(step))
        self._replay()
        return self._losses


class Recorder:
    """Records what functions launch on a CUDA device, to launch it again at once.

    Its graphs share one pool of memory, for they are replayed one after another: the largest counts, not their sum.

    Args:
        device: which.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with torch.cuda.device(device):
            self._pool = torch.cuda.graph_pool_handle()
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def record(self, play: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Records ``play``; nothing is computed.

        Args:
            play: what launches.
            generators: whose random numbers are drawn anew at each replay.

        Returns:
            what computes what was recorded.
        """
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        # other threads may go on meanwhile: one of them pins memory for the next batch
        recording = torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local")
        with torch.cuda.device(self._device), recording:
            play()
        return graph.replay
