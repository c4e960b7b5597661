"""The best this machine was seen to do, and the least time that a step needs for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from zoo.bench.clock import timed

TRAFFIC = 2
"""Times that what the backward needs is moved at least: written, then read."""
WEIGHT_TRAFFIC = 4
"""A weight is read and written, its gradient written and read."""
MOST_SECONDS = 1.0
"""That a ceiling is tried for, once it was tried."""


@dataclass(frozen=True)
class Ceilings:
    """Measured in the same run, on the same device, by the same clock as the step.

    ``flops`` are FLOP a second of a large matrix product, in the type that the networks compute in; ``bandwidth`` is
    bytes a second of a large copy, counted when read and when written.
    """

    flops: float
    bandwidth: float


@dataclass(frozen=True)
class Floor:
    """max(FLOP / peak, bytes / bandwidth), the least time of a step, by which its time can be judged.

    ``bound`` is ``"products"`` or ``"bytes"``, whichever asks for more; ``bytes`` are those that no fusion saves: what
    the backward keeps, weights, gradients, optimiser state.
    """

    seconds: float
    bound: str
    bytes: float


def ceilings(device: torch.device, dtype: torch.dtype) -> Ceilings:
    """The matmul and the copy ceiling of a device; products of float32 are taken as convolutions are, in TF32."""
    side, numbers, each = (8192, 2**28, 10) if device.type == "cuda" else (1024, 2**24, 1)
    a, b = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    source = torch.rand(numbers, device=device)
    target = torch.empty_like(source)

    def best(run: Callable[[], object]) -> float:
        def several() -> None:
            for _ in range(each):
                run()

        taken = [timed(several, device).seconds]  # which also warms up
        while len(taken) < 9 and sum(taken) < MOST_SECONDS:
            taken.append(timed(several, device).seconds)
        return min(taken) / each

    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        product = best(lambda: a @ b)
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before
    return Ceilings(2 * side**3 / product, 2 * source.nbytes / best(lambda: target.copy_(source)))


def floor(flops: float, kept: float, weights: float, state: float, best: Ceilings) -> Floor:
    """The floor of a step of so many FLOP, bytes that its backwards keep, learning weights and optimiser state."""
    moved = TRAFFIC * kept + WEIGHT_TRAFFIC * weights + 2 * state
    product, traffic = flops / best.flops, moved / best.bandwidth
    return Floor(max(product, traffic), "products" if product > traffic else "bytes", moved)
