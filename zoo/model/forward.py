"""Slots as one call sees them: held still where it does not learn from them, in a lower precision, computed again."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from zoo.machine.torch_private import set_tracking, spectral_norms
from zoo.model.batch_norm import SyncBatchNorm
from zoo.model.program import Function
from zoo.types import CriticOutput, mapped

LOW = (torch.bfloat16, torch.float16)
"""What autocast has networks compute in."""


class SlotView:
    """A slot as one call sees it.

    A call that does not learn from a slot takes no gradient for its parameters and leaves its buffers as they are:
    batch norm uses the statistics of the batch and records none, spectral norm keeps its vectors. With ``dtype``
    autocast has the network compute in it, and it hands back float32. With ``again`` its activations are not kept for
    the backward but computed again there (Chen et al. 2016). Its parts are seen so too.

    Where another call learns from it (``elsewhere``) in the same forward, in another ``dtype``, its weights go on
    asking for gradients, for only such a weight is cast once for all calls; nobody asks for this one's.
    """

    def __init__(
        self, module: nn.Module, learns: bool, dtype: torch.dtype | None, again: bool = False, elsewhere: bool = False
    ) -> None:
        self._module = module
        self._dtype = dtype
        self._elsewhere = elsewhere
        self._device = next((p.device.type for p in module.parameters()), "cpu")
        self._learns = learns
        self._still = None if learns else _Still(module, freeze=not (elsewhere and dtype))
        self._again = again
        self._entered = self._carefully if again or not learns else self._computed

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """The slot's own call."""
        return self._entered(self._module, *inputs, **named)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if isinstance(found, nn.Module):
            return self._part(found)
        if not inspect.ismethod(found):
            return found
        return lambda *inputs, **named: self._entered(found, *inputs, **named)

    def __getitem__(self, key: Any) -> Any:
        return self._part(self._module[key])  # type: ignore[index]

    def __iter__(self) -> Iterator[Any]:
        yield from map(self._part, self._module.children())

    def _part(self, module: nn.Module) -> SlotView:
        return type(self)(module, self._learns, self._dtype, self._again, self._elsewhere)

    def _carefully(self, function: Function, *inputs: Any, **named: Any) -> Any:
        if self._again and torch.is_grad_enabled():
            contexts = (nullcontext(), _Rewound(self._module))
            run = partial(self._held_still, function)
            return checkpoint(run, *inputs, use_reentrant=False, context_fn=lambda: contexts, **named)
        return self._held_still(function, *inputs, **named)

    def _held_still(self, function: Function, *inputs: Any, **named: Any) -> Any:
        if self._still is None:
            return self._computed(function, *inputs, **named)
        with self._still:
            return self._computed(function, *inputs, **named)

    def _computed(self, function: Function, *inputs: Any, **named: Any) -> Any:
        if self._dtype is None:
            return function(*inputs, **named)
        torch.set_autocast_enabled(self._device, True)
        try:
            found = function(*inputs, **named)
        finally:
            torch.set_autocast_enabled(self._device, False)
        return _raised(found)


class _Still:
    """Holds a module's parameters and buffers still for the length of a call."""

    def __init__(self, module: nn.Module, freeze: bool) -> None:
        self._parameters = [p for p in module.parameters() if p.requires_grad and freeze]
        self._norms = _tracking(module)
        self._spectral = spectral_norms(module)
        self._training: list[bool] = []

    def __enter__(self) -> None:
        for p in self._parameters:
            p.requires_grad = False
        for norm in self._norms:
            # without tracking, batch norm uses the batch's statistics in training and at evaluation alike
            set_tracking(norm, not norm.training)
        self._training = [m.training for m in self._spectral]
        for m in self._spectral:
            m.training = False

    def __exit__(self, *_: object) -> None:
        for p in self._parameters:
            p.requires_grad = True
        for norm in self._norms:
            set_tracking(norm, True)
        for m, was in zip(self._spectral, self._training, strict=True):
            m.training = was


def _tracking(module: nn.Module) -> list[nn.Module]:
    """The norms below a module that keep running statistics."""
    return [norm for norm in module.modules() if getattr(norm, "track_running_stats", False)]


class _Rewound:
    """Gives a module back, inside, the buffers it has now: what ran once runs again the same, however often."""

    def __init__(self, module: nn.Module) -> None:
        self._owners = [m for m in module.modules() if m._buffers]
        self._then = [_copied(m._buffers) for m in self._owners]
        self._own: list[dict[str, Tensor | None]] = []

    def __enter__(self) -> None:
        self._own = [dict(m._buffers) for m in self._owners]
        for m, then in zip(self._owners, self._then, strict=True):
            m._buffers.update(_copied(then))

    def __exit__(self, *_: object) -> None:
        for m, own in zip(self._owners, self._own, strict=True):
            m._buffers.update(own)


def _copied(buffers: Mapping[str, Tensor | None]) -> dict[str, Tensor | None]:
    return {name: None if buffer is None else buffer.clone() for name, buffer in buffers.items()}


def lowering(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """Where slots that compute in ``dtype`` are called: a weight is cast once for all calls inside."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype=dtype, enabled=False)


def _raised(found: Any) -> Any:
    """What a network gives, in float32; hidden layers when somebody looks at them."""
    if type(found) is CriticOutput:
        return CriticOutput(_as_float32(found.logit), _Raised(found.taps) if found.taps else found.taps)
    return mapped(_as_float32, found)


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in LOW else tensor


class _Raised(Mapping[str, Tensor]):
    """Hidden layers of a network, each in float32 once somebody looks at it."""

    def __init__(self, taps: Mapping[str, Tensor]) -> None:
        self._taps = taps
        self._known: dict[str, Tensor] = {}

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._known:
            self._known[name] = _as_float32(self._taps[name])
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._taps)

    def __len__(self) -> int:
        return len(self._taps)


@contextmanager
def evaluating(module: nn.Module, batch_stats: str) -> Iterator[None]:
    """Evaluation mode; with ``batch_stats='batch'`` batch norm still uses the batch's own statistics."""
    was = [(m, m.training) for m in module.modules()]
    shared = [m for m, _ in was if isinstance(m, SyncBatchNorm)]
    for norm in shared:
        norm.alone = True
    module.eval()
    tracking = _tracking(module)
    if batch_stats == "batch":
        for tracker in tracking:
            tracker.train()
            set_tracking(tracker, False)
    try:
        yield
    finally:
        for m, training in was:
            m.training = training
        for norm in shared:
            norm.alone = False
        for tracker in tracking:
            set_tracking(tracker, True)
