"""Looks at terms and gradients before the step that would spread what is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor

from zoo.engine.keys import TermKey
from zoo.errors import TrainingError
from zoo.machine.torch_private import note_not_finite

K = TypeVar("K")


class Unwell(TrainingError):
    """The device knows of a term or a gradient that was not finite in a step; no weight has moved since."""

    def __init__(self, step: int) -> None:
        super().__init__(f"step {step}: a term or a gradient is not finite; no weight has moved by it")
        self.step = step


class Poisoned(TrainingError):
    """A term or a gradient is not finite; no weight has moved by it. ``which`` is the phase, and which play of it."""

    def __init__(
        self, step: int, which: tuple[int, int], losses: Mapping[TermKey, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        if bad := first_bad(losses):
            what = f"term '{bad.term}' of row '{bad.row}' is {float(losses[bad])}"
        else:
            parameter = first_bad(gradients)
            what = f"the gradient of {parameter} is not finite"
        super().__init__(f"step {step}: {what}; no weight has moved by it")
        self.step, self.which, self.losses, self.gradients = step, which, losses, gradients


def first_bad(tensors: Mapping[K, Tensor]) -> K | None:
    """The first key of a tensor that is not finite throughout; None if all are. That they are takes one wait."""
    with torch.no_grad():
        if not tensors or math.isfinite(torch.stack(torch._foreach_norm([*tensors.values()])).sum().item()):
            return None
    return next((key for key, tensor in tensors.items() if not bool(tensor.isfinite().all())), None)


class Sentinel:
    """Looks at every gradient before it moves anything.

    On the CPU it looks at once. On another device that would make the host wait: there ``poison`` is set on the device,
    optimisers that can (the fused ones) then leave everything as it is, and ``check`` tells the host later. An
    optimiser that cannot makes the host look ``at_once`` there too.
    """

    def __init__(self, device: torch.device, at_once: bool) -> None:
        self._found, self._one = torch.zeros((), device=device), torch.ones((), device=device)
        self.poison = None if at_once else self._found
        self._well, self._since = torch.zeros((), device=device, dtype=torch.int64), 0

    def look(
        self, step: int, which: tuple[int, int], losses: Mapping[TermKey, Tensor], gradients: Mapping[str, Tensor]
    ) -> None:
        """Looks at what one play came to (``which``: the phase, and its play); Poisoned if the host looks at once.

        Each gradient's numbers have places of their own.
        """
        if not losses:
            return
        for alike in _of_one_type([*gradients.values(), *losses.values()]):
            note_not_finite(alike, self._found, self._one)
        if self.poison is None and self._found.item():
            self._found.zero_()
            raise Poisoned(step, which, losses, gradients)

    def passed(self) -> None:
        """A step is over: one more was well, unless the poison came in."""
        if self.poison is not None:
            self._well += self.poison == 0

    def check(self, step: int) -> None:
        """Tells the host what the device knows, for which it waits; Unwell names the first step that was not well."""
        if self.poison is not None:
            if float(self.poison):
                raise Unwell(self._since + int(self._well))
            self.begin(step)

    def begin(self, step: int) -> None:
        """Counts from a step on."""
        self._since = step
        self._well.zero_()


def _of_one_type(tensors: list[Tensor]) -> Iterable[list[Tensor]]:
    """The tensors in lists of one type each, of which none is complex."""
    if all(tensor.dtype is torch.float32 for tensor in tensors):
        return (tensors,)
    real = [torch.view_as_real(tensor) if tensor.is_complex() else tensor for tensor in tensors]
    return [[tensor for tensor in real if tensor.dtype == dtype] for dtype in {tensor.dtype for tensor in real}]
