"""Watches a script train: torch's own hooks and a few of its functions tell what happens; nothing is changed by it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as hooks
from torch.optim import lr_scheduler
from torch.optim import optimizer as optim

from zoo.auditing.averages import Averages
from zoo.auditing.backward import Backward
from zoo.auditing.flow import Flow, tensors
from zoo.auditing.networks import WRAPPERS, Network, Networks, alive, below, keeps_statistics, unwrapped
from zoo.auditing.places import name_of, own_frames, place
from zoo.auditing.record import Passes, Record, Stepped
from zoo.auditing.stepping import Stepping


class Watch:
    """One audit at work: from ``start`` to ``stop`` it fills a ``Record``."""

    def __init__(self, steps: int | None = None) -> None:
        self.record = Record()
        self.networks = Networks()
        self.flow = Flow(self.networks.info, self._wrote)
        self.backward = Backward(self.record, self.networks, self.flow, self.tick)
        self.averages = Averages(self.record)
        self.stepping = Stepping(self.record, self.networks, self.flow, self.backward, self.averages, steps)
        self.clock = 0
        self._stack: list[nn.Module] = []
        self._passes: list[tuple[int, Network, Any]] = []
        self._schedulers_in = 0
        self._uncompiled = self._found = False
        self._open = ExitStack()

    def tick(self) -> int:
        """The time: a number that grows with every event."""
        self.clock += 1
        return self.clock

    # -- from start to stop --------------------------------------------------------------------------------

    def start(self) -> None:
        """Begins to watch."""
        keep = self._open
        warnings.filterwarnings("ignore", "Using `torch.compile.*global hooks")  # those hooks are ours
        keep.callback(_removed, warnings.filters[0])
        for hook in (
            hooks.register_module_forward_pre_hook(self._before),
            hooks.register_module_forward_hook(self._after, always_call=True),
            hooks.register_module_module_registration_hook(self._registered),
            optim.register_optimizer_step_pre_hook(self.stepping.before),
            optim.register_optimizer_step_post_hook(self.stepping.after),
        ):
            keep.callback(hook.remove)
        self._patch(torch.autograd, "backward", self.backward.backward)
        self._patch(torch.autograd, "grad", self.backward.grad)
        self._patch(torch.optim.Optimizer, "add_param_group", self._adds)
        for scheduler in below(lr_scheduler.LRScheduler):
            if "step" in vars(scheduler):
                self._patch(scheduler, "step", self._schedules)
        self._patch(torch, "compile", self._compiles)
        keep.enter_context(self.flow)

    def stop(self) -> None:
        """Ends it: torch is as it was before."""
        self._open.close()
        self.backward.close()
        self._end()

    def _patch(self, owner: Any, name: str, around: Callable[..., Any]) -> None:
        original = getattr(owner, name)

        def patched(*args: Any, **kwargs: Any) -> Any:
            return around(original, *args, **kwargs)

        patched.__name__, patched.__doc__, patched.__wrapped__ = name, original.__doc__, original  # type: ignore[attr-defined]
        setattr(owner, name, patched)
        self._open.callback(setattr, owner, name, original)

    def _end(self) -> None:
        record = self.record
        record.networks, record.bits = list(self.networks.all), self.networks.decode
        record.swapped, record.mse_swapped = self.flow.swapped, self.flow.mse_swapped
        used = 0
        for bits in self.backward.depended:
            used |= bits
        for bit, network, where in self._passes:
            if not used & bit:
                record.statistics[network].idle[where] += 1
        self.stepping.end()
        self.averages.end()

    # -- modules -------------------------------------------------------------------------------------------

    def _registered(self, module: nn.Module, _name: str, inner: nn.Module | None) -> None:
        if inner is not None and type(module).__name__ in WRAPPERS:
            self.networks.wrapped[id(inner)] = module

    def _wrapper(self, module: nn.Module) -> None:
        attribute = WRAPPERS.get(type(module).__name__)
        if attribute and isinstance(inner := getattr(module, attribute, None), nn.Module):
            self.networks.wrapped[id(inner)] = module

    def _find(self, module: nn.Module) -> None:
        """Once: what was made before the audit, and holds what is called now; what is made in it is told by hooks."""
        if not self._found and any(p.requires_grad and id(p) not in self.networks.holders for p in module.parameters()):
            self._found = True
            for each in alive():
                if isinstance(each, nn.Module):
                    self._wrapper(each)
                else:
                    self._holds(each)

    def _before(self, module: nn.Module, args: Any) -> None:
        outermost = not self._stack
        self._stack.append(module)
        if self.backward.depth or not (outermost or id(module) in self.networks.roots or self.networks.lacks(module)):
            return
        self.stepping.awake()
        with self.flow.silent():
            self._called(module, args, outermost)

    def _called(self, module: nn.Module, args: Any, outermost: bool) -> None:
        network = self.networks.roots.get(id(module)) or self._new(module)
        if network is None:
            return
        live = 0
        for tensor in tensors(args, 2):
            if tensor.requires_grad and (info := self.flow.info(tensor)) is not None:
                live |= info.live
        for source in {source for source, _ in self.networks.decode(live)} - {network}:
            self.record.feeds.add((source, network))
        self._mode(module, network)
        if outermost:
            self._around(module, network)

    def _new(self, module: nn.Module) -> Network | None:
        """A module is called for the first time."""
        self._find(module)
        if type(module).__name__ in WRAPPERS:
            self._wrapper(module)
            if type(module).__name__ == "OptimizedModule":
                self._eager()
        return self.networks.called(module, own_frames())

    def _mode(self, module: nn.Module, network: Network) -> None:
        record = self.record
        record.calls[network]["train" if module.training else "eval"] += 1
        if network not in record.called_at:
            record.called_at[network] = place()
        if not module.training:
            return
        if network.frozen and (modal := network.modal()) is not None:
            _, where, number = record.frozen_modes.get(network, ("", place(), 0))
            record.frozen_modes[network] = (type(modal).__name__, where, number + 1)
        if what := keeps_statistics(module):
            passes = record.statistics.setdefault(network, Passes(what))
            passes.all += 1

    def _around(self, module: nn.Module, network: Network) -> None:
        """A call from the script of what is in a wrapper, past the wrapper."""
        if not (self.networks.wrapped and module.training and torch.is_grad_enabled()):
            return
        if unwrapped(module) is not module:
            return
        for inner in self.networks.wrapped.values():
            if any(each is module for each in unwrapped(inner).modules()):
                key = (type(inner).__name__, network)
                where, number = self.record.around.get(key, (place(), 0))
                self.record.around[key] = (where, number + 1)
                return

    def _after(self, module: nn.Module, args: Any, output: Any) -> None:
        while self._stack and self._stack.pop() is not module:
            pass
        if self.backward.depth or not (not self._stack or id(module) in self.networks.roots):
            return
        network = self.networks.roots.get(id(module))
        if network is not None:
            with self.flow.silent():
                self._returned(module, network, args, output)

    def _returned(self, module: nn.Module, network: Network, args: Any, output: Any) -> None:
        bits = live = network.info.bits
        for tensor in tensors(args, 2):
            if (info := self.flow.info(tensor)) is not None:
                bits |= info.bits
                live |= info.live if tensor.requires_grad else 0
        if module.training and not torch.is_grad_enabled() and keeps_statistics(module):
            bit = self.networks.new_bit(None)
            self._passes.append((bit, network, place()))
            bits |= bit
        results = [each for each in tensors((output,)) if each.dtype.is_floating_point]
        for tensor in results:
            self.flow.add(tensor, bits, live if tensor.requires_grad else 0)
        given = max((tensor.numel() for tensor in tensors(args, 2)), default=0)
        if min((tensor.numel() for tensor in results), default=given + 1) <= given:
            self.record.judges.add(network)
        self.backward.passed(network, args, results)

    def _compiles(self, original: Any, *args: Any, **kwargs: Any) -> Any:
        compiled = original(*args, **kwargs)
        self._eager()
        return compiled

    def _eager(self) -> None:
        """From now on, what is compiled runs uncompiled, as only that can be watched."""
        if not self._uncompiled:
            self._uncompiled = True
            self._open.enter_context(torch.compiler.set_stance("force_eager"))
            self.record.notes.append("torch.compile is set aside: the audit watches the same code uncompiled.")

    def _wrote(self, tensor: Tensor) -> None:
        """Something other than an optimiser changes a tensor in place: perhaps a network's weights."""
        if self.stepping.inside or (tensor.requires_grad and not tensor.is_leaf):
            return
        info = self.flow.info(tensor)
        network = self.networks.stored(tensor, info.bits) if info else None
        if network is not None:
            self.networks.changed(network)
            network.written = place() if self.networks.of(tensor) is None else None

    # -- optimisers and schedulers -------------------------------------------------------------------------

    def _adds(self, original: Any, optimizer: torch.optim.Optimizer, group: Any) -> None:
        original(optimizer, group)
        self._holds(optimizer)

    def _holds(self, optimizer: torch.optim.Optimizer) -> None:
        groups = getattr(optimizer, "param_groups", [])
        with self.flow.silent():
            self.networks.hold(optimizer, [p for group in groups for p in group["params"] if isinstance(p, Tensor)])
        self.stepping.made(optimizer)

    def _schedules(self, original: Any, scheduler: Any, *args: Any, **kwargs: Any) -> Any:
        self._schedulers_in += 1
        try:
            return original(scheduler, *args, **kwargs)
        finally:
            self._schedulers_in -= 1
            initial = getattr(scheduler, "_step_count", 2) <= 1
            if not self._schedulers_in and not initial and hasattr(scheduler, "optimizer"):
                self._scheduled(scheduler)

    def _scheduled(self, scheduler: Any) -> None:
        if (known := self.record.schedulers.get(id(scheduler))) is None:
            name = name_of(scheduler, own_frames()) or type(scheduler).__name__
            known = self.record.schedulers[id(scheduler)] = Stepped(name, place())
            self.stepping.schedulers[id(scheduler)] = scheduler
        known.now += 1
        known.place = place()


def _removed(rule: Any) -> None:
    if rule in warnings.filters:
        warnings.filters.remove(rule)  # type: ignore[attr-defined]
