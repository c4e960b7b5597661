"""Numbers that change with the step: weights of terms, factors on learning rates."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Schedule:
    """A number that changes with the step; recipes write ``first`` as ``from`` and ``last`` as ``to``.

    Args:
        first: value at ``start``.
        last: value ``steps`` later, and from then on.
        steps: length of the change; 0 for the rest of the training.
        start: before this step the number is 0.
        shape: of the change.
    """

    first: float
    last: float
    steps: int = 0
    start: int = 0
    shape: Literal["linear", "cosine", "exponential"] = "linear"

    def __call__(self, step: int) -> float:
        """The number at a step."""
        if step < self.start:
            return 0.0
        if not self.steps or self.first == self.last:
            return self.last
        done = min((step - self.start) / self.steps, 1.0)
        if self.shape == "exponential":
            return float(self.first * (self.last / self.first) ** done)
        if self.shape == "cosine":
            done = (1 - math.cos(math.pi * done)) / 2
        return self.first + (self.last - self.first) * done

    @property
    def always_zero(self) -> bool:
        """Tells whether the number is 0 at every step."""
        return self.first == self.last == 0

    @property
    def switches(self) -> bool:
        """Tells whether the number is 0 at some steps and not at others."""
        return not self.always_zero and (self.start > 0 or 0 in (self.first, self.last))

    @property
    def constant(self) -> bool:
        """Tells whether the number is the same at every step."""
        return not self.start and (not self.steps or self.first == self.last)

    @property
    def extremes(self) -> tuple[float, float]:
        """The lowest and the highest number, what comes before ``start`` left out."""
        return min(self.first, self.last), max(self.first, self.last)

    def plain(self) -> Any:
        """As a recipe writes it."""
        if not self.steps and not self.start:
            return self.last
        named = {"from": self.first, "to": self.last, "steps": self.steps}
        return {**named, "start": self.start, "shape": self.shape}

    def __str__(self) -> str:
        if not self.steps or self.first == self.last:
            return f"{self.last:g}" + (f" from step {self.start}" if self.start else "")
        shape = "" if self.shape == "linear" else f", {self.shape}"
        start = f" from {self.start}" if self.start else ""
        return f"{self.first:g} to {self.last:g} over {self.steps} steps{start}{shape}"


ONE = Schedule(1.0, 1.0)
