"""What ``zoo bench`` found."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.bench.clock import Middle
from zoo.bench.floor import Ceilings, Floor
from zoo.bench.parts import Held


@dataclass(frozen=True)
class Part:
    """A part of a step.

    Args:
        phase: its number and rows; empty for what belongs to none.
        name: ``data``, ``forward``, ``gradients``, ``optimiser``, ``average`` or ``rest``.
        seconds: in a step.
        share: of the step.
    """

    phase: str
    name: str
    seconds: float
    share: float


@dataclass(frozen=True)
class Against:
    """The recipe with an override, timed against it.

    Args:
        override: such as ``train.precision=bfloat16``.
        ratio: its seconds an image over the recipe's own; None if it could not be timed.
        failure: why it could not.
    """

    override: str
    ratio: Middle | None
    failure: str = ""


@dataclass(frozen=True)
class Bench:
    """What a step of a recipe takes, and where it goes.

    Args:
        recipe: its name.
        data: the data component, or ``random pixels``.
        images: in the set.
        device: what it ran on.
        clock: what ``seconds`` are of.
        threads: of the CPU.
        precision: type the networks compute in.
        batch: images a step.
        first_step: the first one timed.
        steps: how many were.
        seconds: of a step, by ``clock``.
        wall: seconds of a step, by the wall's clock.
        host: of a step, until the host has asked for all of it.
        same: the same step timed twice, a ratio: the noise.
        flops: an image.
        held: bytes counted.
        peak: bytes allocated on the GPU at the most; 0 on a CPU.
        rss: largest resident set of the process, imports and images included.
        ceilings: of the device.
        floor: of a step.
        parts: of a step.
        eager: why steps are not replayed as CUDA graphs; empty if they are.
        against: what was timed against it.
        advice: sentences.
    """

    recipe: str
    data: str
    images: int
    device: str
    clock: str
    threads: int
    precision: str
    batch: int
    first_step: int
    steps: int
    seconds: Middle
    wall: Middle
    host: float
    same: Middle
    flops: float
    held: Held
    peak: int
    rss: int
    ceilings: Ceilings
    floor: Floor
    parts: tuple[Part, ...]
    eager: str
    against: tuple[Against, ...] = ()
    advice: tuple[str, ...] = ()

    @property
    def of_floor(self) -> float:
        """The floor over the time taken: 1 is as quick as this machine can be."""
        return self.floor.seconds / self.seconds.median

    @property
    def gpu(self) -> bool:
        """Whether it ran on a GPU."""
        return self.clock == "CUDA events"

    @property
    def waits(self) -> float:
        """Share of a GPU's step that the host takes to launch it; from about 0.8 on the GPU waits for the host."""
        return self.host / self.seconds.median if self.gpu else 0.0

    def share(self, name: str) -> float:
        """Of the parts of a name."""
        return sum(part.share for part in self.parts if part.name == name)
