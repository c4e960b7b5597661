"""What happens when an optimiser steps: with whose gradient, and what moves."""

from __future__ import annotations

import weakref
from collections import defaultdict
from contextlib import ExitStack
from types import FrameType
from typing import Any

import torch
from torch import Tensor

from zoo.auditing.averages import Averages
from zoo.auditing.backward import Backward
from zoo.auditing.flow import Flow, tensors
from zoo.auditing.networks import Network, Networks, sample
from zoo.auditing.places import Place, bound, loop_targets, name_of, own_frames, place, place_in
from zoo.auditing.record import Optimizer, Record, Step

LOOKED_AT = 12
"""Steps of each optimiser in which it is looked at what moves."""
COUNTER_WORDS = ("step", "iter", "count", "batches")


class Enough(BaseException):
    """The steps that were asked for have been watched."""


class Stepping:
    """Stands before and after every optimiser's step."""

    def __init__(
        self,
        record: Record,
        networks: Networks,
        flow: Flow,
        backward: Backward,
        averages: Averages,
        most: int | None,
    ) -> None:
        self.record, self.networks, self.flow, self.backward = record, networks, flow, backward
        self.averages, self.most = averages, most
        self.inside = 0
        self.schedulers: dict[int, Any] = {}
        self.total = 0
        self._asleep: ExitStack | None = None
        self._made: dict[int, tuple[torch.optim.Optimizer, str, Place]] = {}
        self._batches = Batches()
        self._before: dict[int, Tensor] = {}
        self._kept: list[Any] = []
        self._still: dict[int, list[Any]] = {}
        """Of each parameter: its optimiser's id, which sampled weights ever moved, how often each had a gradient."""

    def made(self, optimizer: torch.optim.Optimizer) -> None:
        """An optimiser was made, or given parameters."""
        self._made.setdefault(id(optimizer), (optimizer, "", place()))

    def awake(self) -> None:
        """A network is called: no optimiser is at work any more, even if its step was left by an error."""
        if self._asleep:
            self._asleep.close()
            self._asleep, self.inside = None, 0

    def before(self, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        """Takes a sample of the weights, and ends the audit where the steps asked for have been watched."""
        self.inside += 1
        if self.inside > 1:
            return
        with self.flow.silent():
            known = self._known(optimizer)
            if self.most is not None and len(known.steps) >= self.most:
                self.inside = 0
                raise Enough
            if len(known.steps) < LOOKED_AT:
                for parameter in _parameters(optimizer):
                    self._before[id(parameter)] = sample(parameter)
        if not any(callable(each) for each in (*args[1:], *kwargs.values())):
            self._asleep = ExitStack()  # a closure's forward passes are watched, an optimiser's arithmetic is not
            self._asleep.enter_context(self.flow.silent())

    def after(self, optimizer: torch.optim.Optimizer, _args: Any, _kwargs: Any) -> None:
        """Reads whose gradient it was, and what moved."""
        self.inside -= 1
        if self.inside > 0:
            return
        self.inside = 0
        self.awake()
        with self.flow.silent(), torch.no_grad():
            self._stepped(optimizer)

    def _known(self, optimizer: torch.optim.Optimizer) -> Optimizer:
        record = self.record
        if (known := record.optimizers.get(id(optimizer))) is None:
            frames = own_frames()
            self._kept.append(optimizer)
            self.networks.hold(optimizer, _parameters(optimizer))
            kind = type(optimizer).__name__
            name = _optimizer_name(optimizer, frames) or kind
            if any(each.name == name for each in record.optimizers.values()):
                name = f"{name} ({len(record.optimizers) + 1})"
            known = record.optimizers[id(optimizer)] = Optimizer(name, kind)
        return known

    def _stepped(self, optimizer: torch.optim.Optimizer) -> None:
        known = self._known(optimizer)
        if not known.steps:
            self.networks.loose(optimizer, known.name, own_frames())
        clock = self.backward.tick()
        known.place = where = place()
        by_network: dict[Network, list[Tensor]] = defaultdict(list)
        for parameter in _parameters(optimizer):
            if (network := self.networks.of(parameter)) is not None:
                by_network[network].append(parameter)
        known.networks = list(by_network)
        step = Step(where, {}, {}, False, True, [], _rate(optimizer))
        for network, parameters in by_network.items():
            parts, cosines, fresh, gone = self.backward.ledger.step(id(optimizer), parameters, clock)
            step.parts[network], step.cosines[network] = parts, cosines
            step.fresh = step.fresh or fresh
            if gone:
                step.zeroed.append(network)
            for part in parts:
                part.loss.used[network] += 1
            if any(p.grad is not None for p in parameters):
                step.empty = False
            self._moved(optimizer, known, network, parameters)
            self.networks.changed(network)
            network.written = None
        known.steps.append(step)
        self.total += 1
        self.backward.forget()
        self._flush(optimizer)
        frames = own_frames()
        self._count(frames)
        self._batches.see(frames)
        if self.total <= 8:
            self._name(frames)
        self.averages.look(frames, list(by_network))

    def _name(self, frames: list[FrameType]) -> None:
        """Names the optimisers that hold a network and have not stepped."""
        for key, (made, name, where) in self._made.items():
            unknown = not name and key not in self.record.optimizers
            if unknown and any(self.networks.of(parameter) for parameter in _parameters(made)[:1]):
                self._made[key] = (made, _optimizer_name(made, frames), where)

    def _moved(
        self, optimizer: torch.optim.Optimizer, known: Optimizer, network: Network, parameters: list[Tensor]
    ) -> None:
        for parameter in parameters:
            before = self._before.pop(id(parameter), None)
            if before is None or parameter.grad is None or parameter.grad.is_sparse:
                continue
            asked = sample(parameter.grad) != 0
            now = sample(parameter)
            if now.shape != before.shape or asked.shape != now.shape:
                continue
            moved = now != before
            still = self._still.setdefault(id(parameter), [network, moved, asked.int(), id(optimizer)])
            if still[1] is not moved:
                still[1] |= moved
                still[2] += asked
            known.dtype = str(parameter.dtype).removeprefix("torch.")

    def _flush(self, optimizer: torch.optim.Optimizer) -> None:
        for key, scheduler in self.schedulers.items():
            inner = getattr(scheduler.optimizer, "optimizer", scheduler.optimizer)
            if inner is optimizer:
                stepped = self.record.schedulers[key]
                stepped.between.append(stepped.now)
                stepped.now = 0

    def _count(self, frames: list[FrameType]) -> None:
        """Whole numbers that the script counts its steps with."""
        record = self.record
        for frame in frames[:6]:
            names = dict(frame.f_locals) if frame.f_locals is not frame.f_globals else dict(frame.f_globals)
            owner = frame.f_locals.get("self")
            found = {n: v for n, v in names.items() if type(v) is int}
            if owner is not None and hasattr(owner, "__dict__"):
                found |= {f"self.{n}": v for n, v in vars(owner).items() if type(v) is int}
                if hasattr(owner, "_trainer") and owner._trainer is not None:
                    found["self.global_step"] = int(owner.global_step)  # Lightning's
            for name, value in found.items():
                if any(word in name.lower() for word in COUNTER_WORDS) and not name.startswith("_"):
                    key = f"{frame.f_code.co_filename}:{frame.f_code.co_name}:{name}"
                    if key not in record.counter_places:
                        record.counter_places[key] = place_in(frame)
                    record.counters.setdefault(key, []).append((self.total, value))

    # -- at the end ----------------------------------------------------------------------------------------

    def end(self) -> None:
        """What only the end shows: what never moved, never received, was never used."""
        record = self.record
        record.batches = self._batches.count
        for network, moved, asked, optimizer in self._still.values():
            known = record.optimizers[optimizer]
            often = asked >= min(3, len(known.steps))
            total = known.moved.setdefault(network, [0, 0])
            total[0] += int((often & ~moved).sum())
            total[1] += int(often.sum())
        for key, (made, name, where) in self._made.items():
            if key not in record.optimizers:
                held = list(dict.fromkeys(n for p in _parameters(made) if (n := self.networks.of(p))))
                record.idle_optimizers.append((name or type(made).__name__, where, held))
        for network in record.networks:
            names = network.names()
            self._received(network, names)
            stepped = any(network in known.networks for known in record.optimizers.values())
            changed = any(
                first.shape != sample(p, 32).shape or bool((first != sample(p, 32)).any())
                for first, p in zip(network.first, network.parameters, strict=True)
                if p.device.type != "meta"
            )
            if changed and not stepped:
                record.moved_by_hand.add(network)

    def _received(self, network: Network, names: dict[int, str]) -> None:
        record = self.record
        stepped = {key for key, known in record.optimizers.items() if known.steps}
        for parameter in network.parameters:
            holders = self.networks.holders.get(id(parameter), [])
            got = bool(self.backward.ledger.had(parameter)) or parameter.grad is not None
            name = names[id(parameter)]
            if not holders and self.backward.received(parameter):
                record.unheld.setdefault(network, []).append(name)
            never = parameter.requires_grad and not got and not self.backward.received(parameter)
            if never and any(id(holder) in stepped for holder in holders) and self._same(network, parameter):
                record.gradless.setdefault(network, []).append(name)

    def _same(self, network: Network, parameter: Tensor) -> bool:
        """Whether a parameter is still the module's, and as it was: the script has not written it itself."""
        number = next(n for n, each in enumerate(network.parameters) if each is parameter)
        still = not network.modules or any(p is parameter for m in network.modules for p in m.parameters())
        now = sample(parameter, 32)
        return still and now.shape == network.first[number].shape and bool((now == network.first[number]).all())


class Batches:
    """Counts how often a script takes new data: two steps are of one batch where the loop over the data is at the same
    tensors."""

    def __init__(self) -> None:
        self._last: list[weakref.ref[Tensor]] = []
        self.count = 0

    def see(self, frames: list[FrameType]) -> None:
        """A step was made."""
        data = next((found for frame in frames[:8] if (found := _data(frame))), [])
        known = [reference() for reference in self._last]
        if not data or not any(each is one for one in known if one is not None for each in data):
            self.count += 1
        self._last = [weakref.ref(tensor) for tensor in data]


def _data(frame: FrameType) -> list[Tensor]:
    """The tensors that a frame's innermost loop over tensors is at, or that its argument ``batch`` holds."""
    for names in [*loop_targets(frame.f_code.co_filename, frame.f_lineno), ("batch",)]:
        values = [frame.f_locals[name] for name in names if name in frame.f_locals]
        if found := [each for each in tensors(values, 2) if not each.requires_grad]:
            return found[:16]
    return []


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if isinstance(p, Tensor)]


def _rate(optimizer: torch.optim.Optimizer) -> float:
    return max((float(group.get("lr", 1.0) or 0.0) for group in optimizer.param_groups), default=0.0)


def _optimizer_name(optimizer: torch.optim.Optimizer, frames: list[FrameType]) -> str:
    if name := name_of(optimizer, frames):
        return name
    for name, value in bound(frames):  # a wrapper of Accelerate's or Lightning's
        if getattr(value, "optimizer", None) is optimizer or getattr(value, "_optimizer", None) is optimizer:
            return name
    return ""
