"""Whose gradient lies in a parameter: every loss's contribution, from the backward that made it to the steps that use
it."""

from __future__ import annotations

import itertools
from collections import defaultdict
from dataclasses import dataclass, field

import torch
from torch import Tensor

from zoo.auditing.networks import sample
from zoo.auditing.record import Loss, Part

KEPT = 1024
"""Numbers kept of a parameter's gradient, for cosines: all of it in a small network, else evenly spread."""


@dataclass(eq=False)
class Entry:
    """What one backward of a loss added to one parameter's gradient."""

    loss: Loss
    call: int
    clock: int
    norm: Tensor
    kept: Tensor
    used_by: set[int] = field(default_factory=set)


class Ledger:
    """The contributions to each parameter's gradient since it was last zeroed."""

    def __init__(self) -> None:
        self._entries: dict[int, list[Entry]] = defaultdict(list)
        self._taken: dict[int, Entry] = {}
        self._steps: dict[int, list[tuple[int, int]]] = defaultdict(list)
        """Of each call of a loss: the optimisers that stepped with it, and when."""

    def receive(self, parameter: Tensor, gradient: Tensor, loss: Loss, call: int, clock: int) -> None:
        """A backward adds to a parameter's gradient."""
        entries = self._entries[id(parameter)]
        if entries and _zeroed(parameter):
            entries.clear()
        entries.append(_entry(gradient, loss, call, clock))

    def take(self, parameter: Tensor, gradient: Tensor, loss: Loss, call: int, clock: int) -> None:
        """``autograd.grad`` returned a parameter's gradient, which the script may write into ``.grad`` itself."""
        self._taken[id(parameter)] = _entry(gradient, loss, call, clock)

    def had(self, parameter: Tensor) -> list[Entry]:
        """The contributions that were made since the parameter's gradient was last seen to be zero."""
        return self._entries[id(parameter)]

    def present(self, parameter: Tensor) -> list[Entry]:
        """The contributions that lie in a parameter's gradient now."""
        if parameter.grad is None:
            return []
        entries = self._entries[id(parameter)]
        if entries:
            return [] if _zeroed(parameter) else entries
        taken = self._taken.pop(id(parameter), None)
        if taken is not None:
            entries.append(taken)
        return entries

    def step(
        self, optimizer: int, parameters: list[Tensor], clock: int
    ) -> tuple[list[Part], dict[tuple[Loss, Loss], float], bool, bool]:
        """An optimiser stepped a network: the parts of its gradient by loss, the cosines between those, whether any
        of it is new to the optimiser, and whether a loss had given it a gradient that is gone."""
        by_loss: dict[Loss, list[tuple[int, Entry]]] = defaultdict(list)
        gone = False
        for parameter in parameters:
            entries = self.present(parameter)
            gone = gone or (not entries and any(not e.used_by and float(e.norm) > 0 for e in self.had(parameter)))
            for entry in entries:
                by_loss[entry.loss].append((id(parameter), entry))
            if not entries:
                self.had(parameter).clear()
        fresh = any(optimizer not in e.used_by for each in by_loss.values() for _, e in each)
        newest = {loss: max(e.clock for _, e in each) for loss, each in by_loss.items()}
        parts = []
        for loss, each in by_loss.items():
            calls = {entry.call for _, entry in each}
            left = any(self._left(optimizer, call, loss, newest) for call in calls)
            stale = any(optimizer in entry.used_by for _, entry in each) and fresh
            norm = torch.stack([entry.norm.float().cpu() for _, entry in each]).norm().item()
            parts.append(Part(loss, norm, left and not stale, stale))
            for _, entry in each:
                entry.used_by.add(optimizer)
            for call in calls:
                self._steps[call].append((optimizer, clock))
        return parts, _cosines(by_loss), fresh, gone and not by_loss

    def _left(self, optimizer: int, call: int, loss: Loss, newest: dict[Loss, int]) -> bool:
        """Whether another optimiser stepped with a call of a loss before another loss came."""
        others = [clock for other, clock in self._steps[call] if other != optimizer]
        return any(clock < new for clock in others for other, new in newest.items() if other is not loss)


def _entry(gradient: Tensor, loss: Loss, call: int, clock: int) -> Entry:
    values = gradient.detach()
    values = values.coalesce().values() if values.is_sparse else values
    return Entry(loss, call, clock, torch.linalg.vector_norm(values), sample(values, KEPT))


def _zeroed(parameter: Tensor) -> bool:
    gradient = parameter.grad
    if gradient is None or gradient.is_sparse:
        return gradient is None
    return not (gradient if gradient.numel() < 4096 else sample(gradient)).any()


def _cosines(by_loss: dict[Loss, list[tuple[int, Entry]]]) -> dict[tuple[Loss, Loss], float]:
    """Between the gradients of each two losses, where each has one."""
    if len(by_loss) < 2:
        return {}
    whole: dict[Loss, dict[int, Tensor]] = {}
    for loss, each in by_loss.items():
        sums: dict[int, Tensor] = {}
        for key, entry in each:
            kept = entry.kept.float()
            sums[key] = sums[key] + kept if key in sums and sums[key].shape == kept.shape else kept
        whole[loss] = sums
    found = {}
    for one, other in itertools.combinations(whole, 2):
        keys = [k for k in whole[one] if k in whole[other] and whole[one][k].shape == whole[other][k].shape]
        if keys:
            a, b = (torch.cat([whole[loss][k] for k in keys]) for loss in (one, other))
            a, b = a / a.norm().clamp_min(1e-30), b / b.norm().clamp_min(1e-30)
            found[one, other] = float(a @ b)
    return found
