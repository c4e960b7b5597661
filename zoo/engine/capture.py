"""A phase replayed as a CUDA graph: its forward, every gradient and every step, launched at once.

A small network's step is some hundred kernels of a few microseconds each, which a host launches more slowly than the
device runs them. A graph is captured once and replayed. What changes from step to step lies in tensors whose place does
not: images, weights of terms, learning rates; the random numbers come from generators that are seeded before each
replay as they would have been for an eager step, so that both compute the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor

from zoo.draws import Draw, Draws
from zoo.engine.compiled import refusing, unmoved
from zoo.engine.keys import TermKey
from zoo.engine.phases import PhasePlan, Weights
from zoo.engine.players import Gradients, Player
from zoo.errors import RequestError, reason
from zoo.machine.torch_private import waits_for_device
from zoo.model.model import Model
from zoo.recipe.graph import COUNTS
from zoo.recipe.schema import Recipe, Term
from zoo.types import Batch

WARM = 3
"""Eager plays of a phase before it is captured: they make optimiser states and choose kernels."""


def why_not(recipe: Recipe, device: torch.device, players: Collection[Player], processes: int, collective: bool) -> str:
    """Why the steps of a training are not captured; empty if they are.

    ``collective`` says that weights are gathered from other processes within a step. If the recipe wants it
    (``train.cuda_graph: on``) and it cannot be, that is a RequestError.
    """
    if recipe.train.cuda_graph == "off":
        return "train.cuda_graph is off"
    stuck = [player.name for player in players if not (player.on_device and player.skips)]
    asking = counting(recipe)
    changing = [player.name for player in players if player.part.changing]
    reasons = {
        f"the model is on {device.type}, not on CUDA": device.type != "cuda",
        "train.fully_shard gathers weights within a step": collective,
        "several processes exchange gradients within a step": processes > 1,
        "train.accumulate takes a batch in parts": recipe.train.accumulate > 1,
        f"'{asking}' asks for a count of the training, which a graph would keep as it was": asking,
        f"the optimiser of {', '.join(changing)} has an option that changes with the step": changing,
        f"the optimiser of {', '.join(stuck)} works on the host (one with fused=True does not)": stuck,
    }
    reason = next((reason for reason, holds in reasons.items() if holds), "")
    if reason and recipe.train.cuda_graph == "on":
        raise RequestError(f"train.cuda_graph: on is not to be had: {reason}; choose auto or off")
    return reason


def counting(recipe: Recipe) -> str:
    """The first value or term that asks for a count of the training that changes with the step."""
    changing = {*COUNTS} - {"train_size"}
    graph = recipe.graph
    for term in (term for phase in recipe.phases for row in phase.played for term in row.terms):
        asked = term.part.arguments.values()
        if changing.intersection(asked):
            return term.label
        if name := next((name for name in graph.order(asked) if changing.intersection(graph.needs(name))), ""):
            return name
    return ""


class CaptureError(Exception):
    """A phase cannot be recorded: it waits for the device."""


class Captured:
    """One phase as a CUDA graph.

    Args:
        model: whose buffers a rehearsal leaves as they are.
        plan: the phase; played eagerly ``WARM`` times before.
        gradients: gives its terms' values and its gradients.
        move: has its players move by them.
        key: step, which draw of the noise, who draws -> the key of the random numbers.

    Raises:
        CaptureError: if it waits for the device.
        TrainingError: if it cannot be recorded for another reason.
    """

    def __init__(
        self,
        model: Model,
        plan: PhasePlan,
        batch: Batch,
        gradients: Callable[[Batch, Draws, Weights], Gradients],
        move: Callable[[Mapping[TermKey, Tensor], Mapping[str, Tensor]], None],
        key: Callable[[int, tuple[int, ...], str], tuple[object, ...]],
        recorder: Recorder,
    ) -> None:
        self._gradients, self._move, self._key = gradients, move, key
        self._batch = {name: tensor.clone() for name, tensor in batch.items()}
        drawing = [computed.name for computed in plan.program if computed.draws]
        self._draws = {name: Draw(device=model.device, dtype=model.dtype) for name in drawing}
        changing = [term for term in plan.terms if not term.weight.constant]
        self._weights = {id(term): (term, torch.zeros((), device=model.device)) for term in changing}
        self._losses: dict[TermKey, Tensor] = {}
        self._rehearse(model, plan)
        with refusing(plan, "train.cuda_graph", "recorded", "off"):
            self._replay = recorder.record(self._play, [d.generator for d in self._draws.values() if d.generator])

    def _rehearse(self, model: Model, plan: PhasePlan) -> None:
        """Computes once what is to be recorded, and moves nothing. What waits for the device would break a recording
        off, and leave generators unusable; here it is only refused."""
        if model.device.type != "cuda":
            return
        before = torch.cuda.get_sync_debug_mode()
        with unmoved(model):
            torch.cuda.set_sync_debug_mode("error")
            try:
                self._gradients(self._batch, self._draws.__getitem__, self._weight)
            except RuntimeError as error:
                if not waits_for_device(error):
                    raise
                raise CaptureError(f"'{plan.phase.position}' waits for the device ({reason(error)})") from error
            finally:
                torch.cuda.set_sync_debug_mode(before)

    def _weight(self, term: Term) -> float | Tensor:
        return self._weights[id(term)][1] if id(term) in self._weights else term.weight(0)

    def _play(self) -> None:
        losses, gradients = self._gradients(self._batch, self._draws.__getitem__, self._weight)
        self._move(losses, gradients)
        values = torch.stack([loss.float() for loss in losses.values()]).unbind()
        self._losses = dict(zip(losses, values, strict=True))

    def play(self, batch: Batch, which: tuple[int, ...], step: int) -> dict[TermKey, Tensor]:
        """Replays it on a batch; gives the terms' values, which are overwritten by the next replay.

        ``which`` is the draw of the noise, ``step`` counts the steps done.
        """
        for name, tensor in self._batch.items():
            tensor.copy_(batch[name])
        for caller, draw in self._draws.items():
            draw.begin(*self._key(step, which, caller))
        for term, weight in self._weights.values():
            weight.fill_(term.weight(step))
        self._replay()
        return self._losses


class Recorder:
    """Records what functions launch on a CUDA device, to launch it again at once.

    Its graphs share one pool of memory, for they are replayed one after another: the largest counts, not their sum.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        with torch.cuda.device(device):
            self._pool = torch.cuda.graph_pool_handle()
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def record(self, play: Callable[[], None], generators: Sequence[torch.Generator]) -> Callable[[], None]:
        """Records what ``play`` launches and gives what computes it, with random numbers drawn anew each time."""
        graph = torch.cuda.CUDAGraph()
        for generator in generators:
            graph.register_generator_state(generator)
        # other threads may go on meanwhile: one of them pins memory for the next batch
        recording = torch.cuda.graph(graph, self._pool, self._stream, capture_error_mode="thread_local")
        with torch.cuda.device(self._device), recording:
            play()
        return graph.replay
