"""Averages of weights that the script keeps (EMA, SWA): what it names so is compared with the network at each step."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from types import FrameType
from typing import Any

import torch
from torch import Tensor, nn

from zoo.auditing.networks import Network, sample
from zoo.auditing.places import bound, place
from zoo.auditing.record import Average, Record

NAMED = re.compile(
    r"(^|_|\.)(ema|avg|averag\w*|shadow|swa|polyak)(_|$|\d|model|net|params)|EMA|Ema[A-Z]|Averaged|Polyak"
)


class Averages:
    """Finds averages by their names, and looks at them after every step."""

    def __init__(self, record: Record) -> None:
        self.record = record
        self._looks = 0
        self._found: dict[int, tuple[Average, Any]] = {}
        self._before: dict[int, tuple[list[Tensor], list[Tensor]]] = {}

    def look(self, frames: list[FrameType], stepped: list[Network]) -> None:
        """After a step: each average of a network that was stepped."""
        self._looks += 1
        for name, value in bound(frames) if self._looks < 6 or self._looks % 8 == 0 else ():
            if id(value) in self._found or not (_named(name) or _named(type(value).__name__)):
                continue
            numbers = _tensors(value)
            for network in stepped:
                if numbers and name != network.name and _twins(numbers, network):
                    self._found[id(value)] = (Average(name, place(), network), value)
        for key, (average, value) in self._found.items():
            if average.network in stepped and (twins := _twins(_tensors(value), average.network)):
                self._compare(key, average, twins)

    def _compare(self, key: int, average: Average, twins: list[tuple[Tensor, Tensor]]) -> None:
        average.shares_memory = all(a.data_ptr() == b.data_ptr() for a, b in twins)
        mean, live = ([sample(pair[side], 32) for pair in twins[:24]] for side in (0, 1))
        before, past = self._before.get(key, (mean, live))
        if any(not torch.equal(a, b) for a, b in zip(live, past, strict=True)):
            average.looks += 1
            average.unchanged += all(torch.equal(a, b) for a, b in zip(mean, before, strict=True))
            average.copied += all(torch.equal(a, b.to(a.dtype)) for a, b in zip(mean, past, strict=True))
        self._before[key] = mean, live

    def end(self) -> None:
        """Hands over what was seen."""
        self.record.averages = [average for average, _ in self._found.values()]


@lru_cache(maxsize=4096)
def _named(name: str) -> bool:
    return NAMED.search(name) is not None


def _tensors(value: Any, depth: int = 2) -> list[Tensor]:
    """The numbers of what may be an average: a module's parameters, a dict's or list's tensors, an object's."""
    if isinstance(value, nn.Module):
        return list(value.parameters()) or list(value.buffers())
    if isinstance(value, Tensor):
        return [value]
    items: Iterable[Any] = ()
    if isinstance(value, dict):
        items = list(value.values())
    elif isinstance(value, list | tuple):
        items = value
    elif depth and hasattr(value, "__dict__") and not isinstance(value, type):
        held = [_tensors(each, depth - 1) for each in list(vars(value).values()) if not callable(each)]
        held += [_tensors(each) for each in list(vars(value).values()) if isinstance(each, nn.Module)]
        return max(held, key=len, default=[])
    return [each for each in items if isinstance(each, Tensor)]


def _twins(numbers: list[Tensor], network: Network) -> list[tuple[Tensor, Tensor]]:
    """Tensors of an average and the parameters of the same shapes, in order; none where one has no twin."""
    left = [each for each in numbers if each.dtype.is_floating_point]
    pairs = []
    for parameter in network.parameters:
        number = next((n for n, each in enumerate(left) if each.shape == parameter.shape), None)
        if number is None:
            return []
        pairs.append((left[number], parameter))
        left = left[number + 1 :]
    return pairs
