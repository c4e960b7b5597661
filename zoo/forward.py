"""One forward pass: values computed when first asked for, each at most once."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.utils.parametrizations import _SpectralNorm
from torch.utils.checkpoint import checkpoint

from zoo.graph import HELD, Call, Graph
from zoo.tensors import Draw, mapped

Function = Callable[..., Any]


class Forward:
    """The values of one forward pass.

    Args:
        graph: names and what they ask for.
        functions: value -> the function that computes it.
        given: values that are known already: slots by name excluded, builtins included.
        slots: (caller, slot) -> what the caller is handed for that slot.
        draw: caller -> its stream of random numbers.
        calls: which values autograd records; a value that is not in it is recorded as the caller's mode says.
    """

    def __init__(
        self,
        graph: Graph,
        functions: Mapping[str, Function],
        given: Mapping[str, Any],
        slots: Callable[[str, str], Any],
        draw: Callable[[str], Draw],
        calls: Mapping[str, Call],
    ) -> None:
        self._graph = graph
        self._functions = functions
        self._known = dict(given)
        self._slots = slots
        self._draw = draw
        self._calls = calls

    def value(self, name: str, caller: str = "") -> Any:
        """The value of a name: a slot, a builtin, a value, or one of these held."""
        if name in self._known:
            return self._known[name]
        if name in self._graph.slots:
            return self._slots(caller, name)
        if name == "draw":
            return self._draw(caller)
        if name in self._functions:
            found = self.run(self._functions[name], self._graph.arguments[name], name)
        elif name.endswith(HELD):
            found = mapped(Tensor.detach, self.value(name.removesuffix(HELD), caller))
        else:
            raise LookupError(f"'{name}' is not given, and no value computes it")
        self._known[name] = found
        return found

    def once(self, function: Function, arguments: Mapping[str, str], key: str) -> Any:
        """``run``, and the same answer when asked again for the same key."""
        if key not in self._known:
            self._known[key] = self.run(function, arguments, key)
        return self._known[key]

    def run(self, function: Function, arguments: Mapping[str, str], caller: str) -> Any:
        """Calls a value's or a term's function with what its parameters ask for."""
        handed = {parameter: self.value(name, caller) for parameter, name in arguments.items()}
        call = self._calls.get(caller)
        with torch.set_grad_enabled(call.recorded if call else torch.is_grad_enabled()):
            return function(**handed)


class SlotView:
    """A slot as one call sees it.

    A call that does not learn from a slot takes no gradient for its parameters and leaves its buffers
    as they are: batch norm uses the statistics of the batch and records none, spectral norm keeps its
    vectors. With ``dtype`` the network computes in it and hands back float32. With ``again`` its activations are
    not kept for the backward but computed again there (Chen et al. 2016). Its parts are seen so too.
    """

    def __init__(self, module: nn.Module, learns: bool, dtype: torch.dtype | None, again: bool = False) -> None:
        self._module = module
        self._dtype = dtype
        self._still = None if learns else _Still(module)
        self._again = again

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
        """A part of a list or mapping of networks."""
        return self._part(self._module[key])  # type: ignore[index]

    def __iter__(self) -> Iterator[Any]:
        """The parts of a list of networks."""
        yield from map(self._part, self._module.children())

    def _part(self, module: nn.Module) -> SlotView:
        return SlotView(module, self._still is None, self._dtype, self._again)

    def _entered(self, function: Function, *inputs: Any, **named: Any) -> Any:
        if self._again and torch.is_grad_enabled():
            contexts = (nullcontext(), _Rewound(self._module))
            run = partial(self._held_still, function)
            return checkpoint(run, *inputs, use_reentrant=False, context_fn=lambda: contexts, **named)
        return self._held_still(function, *inputs, **named)

    def _held_still(self, function: Function, *inputs: Any, **named: Any) -> Any:
        if self._still is None:
            return self._computed(function, *inputs, **named)
        with self._still():
            return self._computed(function, *inputs, **named)

    def _computed(self, function: Function, *inputs: Any, **named: Any) -> Any:
        if self._dtype is None:
            return function(*inputs, **named)
        device = next(self._module.parameters(), torch.empty(0)).device.type
        with torch.autocast(device, dtype=self._dtype):
            found = function(*inputs, **named)
        return mapped(_as_float32, found)


class _Still:
    """Holds a module's parameters and buffers still for the length of a call."""

    def __init__(self, module: nn.Module) -> None:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.norms = [m for m in module.modules() if isinstance(m, _NormBase) and m.track_running_stats]
        self.spectral = [m for m in module.modules() if isinstance(m, _SpectralNorm)]

    @contextmanager
    def __call__(self) -> Iterator[None]:
        training = [m.training for m in self.spectral]
        for p in self.parameters:
            p.requires_grad_(False)
        for norm in self.norms:
            # without tracking, batch norm uses the batch's statistics in training and at evaluation alike
            norm.track_running_stats = not norm.training
        for m in self.spectral:
            m.training = False
        try:
            yield
        finally:
            for p in self.parameters:
                p.requires_grad_(True)
            for norm in self.norms:
                norm.track_running_stats = True
            for m, was in zip(self.spectral, training, strict=True):
                m.training = was


class _Rewound:
    """Gives a module back, inside, the buffers it has now: what ran once runs again the same, however often."""

    def __init__(self, module: nn.Module) -> None:
        self._owners = [m for m in module.modules() if m._buffers]
        self._then = [_copied(m) for m in self._owners]
        self._own: list[dict[str, Tensor | None]] = []

    def __enter__(self) -> None:
        self._own = [dict(m._buffers) for m in self._owners]
        for m, then in zip(self._owners, self._then, strict=True):
            m._buffers.update({name: b if b is None else b.clone() for name, b in then.items()})

    def __exit__(self, *_: object) -> None:
        for m, own in zip(self._owners, self._own, strict=True):
            m._buffers.update(own)


def _copied(module: nn.Module) -> dict[str, Tensor | None]:
    return {name: None if buffer is None else buffer.clone() for name, buffer in module._buffers.items()}


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype in (torch.bfloat16, torch.float16) else tensor


@contextmanager
def evaluating(module: nn.Module, batch_stats: str) -> Iterator[None]:
    """Evaluation mode; with ``batch_stats='batch'`` batch norm still uses the batch's own statistics."""
    was = [(m, m.training) for m in module.modules()]
    module.eval()
    norms = [m for m, _ in was if isinstance(m, _NormBase) and m.track_running_stats]
    if batch_stats == "batch":
        for norm in norms:
            norm.train()
            norm.track_running_stats = False
    try:
        yield
    finally:
        for m, training in was:
            m.training = training
        for norm in norms:
            norm.track_running_stats = True
