"""A phase compiled as one graph: every term and every gradient, no step.

The phase is traced by what it dispatches, with autograd already gone through, so that the graph holds plain operations:
a gradient of a gradient (R1, gradient penalties), which ``torch.compile`` cannot take a graph of, is nothing special
here. Random numbers, and weights of terms that change, are inputs; everything else that is no tensor is as it was when
the phase was traced.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from zoo.draws import Draw, Draws, forked
from zoo.engine.keys import TermKey
from zoo.engine.phases import PhasePlan, Weights
from zoo.engine.players import Gradients
from zoo.errors import TrainingError, reason
from zoo.machine.torch_private import out_of_memory
from zoo.types import Batch


class Compiled:
    """The gradients of one phase, compiled for batches of the shape of ``batch``; the model's buffers stay as they are.

    A phase that cannot be traced, such as where Python looks at a tensor's numbers, is a TrainingError.
    """

    def __init__(
        self, model: nn.Module, plan: PhasePlan, step: int, batch: Batch, draws: Draws, weights: Weights
    ) -> None:
        from torch.fx.experimental.proxy_tensor import make_fx  # half a second that nobody else needs

        self._terms = [term for term in plan.terms if not term.weight.constant]
        self._fields = tuple(batch)
        self._drawn: list[tuple[str, str, tuple[int, ...]]] = []
        self._losses: list[TermKey] = []
        self._gradients: list[str] = []
        with unmoved(model):
            plan.compute(batch, step, lambda caller: _Noting(draws(caller), caller, self._drawn), weights)
            inputs = self._inputs(batch, draws, weights)

            def play(*given: Tensor) -> list[Tensor]:
                fields, others = dict(zip(self._fields, given, strict=False)), given[len(self._fields) :]
                weighing = dict(zip(map(id, self._terms), others, strict=False))
                noise = _Given(self._drawn, others[len(self._terms) :])
                losses, gradients = plan.compute(
                    fields, step, lambda _: noise, lambda term: weighing.get(id(term), term.weight(0))
                )
                self._losses, self._gradients = [*losses], [*gradients]
                return [*losses.values(), *gradients.values()]

            with refusing(plan, "train.compile", "traced", "false"):
                traced = make_fx(play)(*inputs)
            self._run = torch.compile(traced, fullgraph=True, dynamic=False, options={"fallback_random": True})
            with torch.no_grad(), refusing(plan, "train.compile", "compiled", "false"):
                self._run(*inputs)

    def _inputs(self, batch: Batch, draws: Draws, weights: Weights) -> list[Tensor]:
        fields = [batch[name] for name in self._fields]
        device = fields[0].device
        given = [torch.as_tensor(weights(term), dtype=torch.float32, device=device) for term in self._terms]
        streams: dict[str, Draw] = {}
        noise = []
        for caller, kind, shape in self._drawn:
            if caller not in streams:
                streams[caller] = draws(caller)
            noise.append(getattr(streams[caller], kind)(*shape))
        return [*fields, *given, *noise]

    def __call__(self, batch: Batch, draws: Draws, weights: Weights) -> Gradients:
        """The terms' values and the gradients, as ``PhasePlan.compute`` gives them."""
        with torch.no_grad():
            numbers = self._run(*self._inputs(batch, draws, weights))
        losses = dict(zip(self._losses, numbers, strict=False))
        return losses, dict(zip(self._gradients, numbers[len(losses) :], strict=True))


class _Noting(Draw):
    """A stream that notes what is drawn from it."""

    def __init__(self, stream: Draw, caller: str, noted: list[tuple[str, str, tuple[int, ...]]]) -> None:
        self._stream, self._caller, self._noted = stream, caller, noted

    def _drawn(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        self._noted.append((self._caller, kind, shape))
        return self._stream._drawn(kind, shape)


class _Given(Draw):
    """Everybody's stream, whose numbers are inputs of the graph, in the order they were noted in."""

    def __init__(self, noted: list[tuple[str, str, tuple[int, ...]]], numbers: tuple[Tensor, ...]) -> None:
        self._left = list(zip(noted, numbers, strict=True))

    def _drawn(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        (_, was, form), numbers = self._left.pop(0)
        if (was, form) != (kind, shape):
            raise RuntimeError(f"it drew {was} numbers {list(form)} first and now draws {kind} numbers {list(shape)}")
        return numbers


@contextmanager
def refusing(plan: PhasePlan, setting: str, done: str, off: str) -> Iterator[None]:
    """What torch refuses inside is a TrainingError that says how to do without; lack of memory goes through."""
    try:
        yield
    except RuntimeError as error:
        if out_of_memory(error):
            raise
        where = f"{plan.phase.position}: {setting}: this phase cannot be {done}"
        raise TrainingError(f"{where}: {reason(error)}; set {setting}: {off}") from error


@contextmanager
def unmoved(model: nn.Module) -> Iterator[None]:
    """Undoes every change to a model's buffers and to the global random state made inside."""
    buffers = [(owner, dict(owner._buffers)) for owner in model.modules() if owner._buffers]
    before = {buffer: buffer.clone() for _, named in buffers for buffer in named.values() if buffer is not None}
    try:
        with forked(next(model.parameters()).device):
            yield
    finally:
        with torch.no_grad():
            for buffer, numbers in before.items():
                buffer.copy_(numbers)
        for owner, named in buffers:
            owner._buffers.update(named)
