"""What each process of ``test_processes.py`` does: takes steps of small models, and hands in what came of them.

torchrun --nproc-per-node N -m helpers.ranks FILE
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
import torch.distributed as dist
from helpers.engine import SLOTS, small
from torch import Tensor, nn

from zoo.engine.engine import Engine
from zoo.machine.processes import ALONE, Processes, joined

STEPS, BATCH = 3, 8
SETTINGS = ("train.optimizer={use: sgd, lr: 1.0e-5}", f"train.batch={BATCH}", "train.sync_batch_norm=true")
"""Adam divides a gradient by its own size: where that is rounding alone, so is the step."""


def share(turn: int, processes: Processes) -> Tensor:
    """This process's images of a turn."""
    stream = torch.Generator().manual_seed(turn)
    return processes.shard.of(torch.rand(BATCH, 3, 16, 16, generator=stream) * 2 - 1)


@contextmanager
def collectives(counted: list[str]) -> Iterator[None]:
    """Notes every collective that is called inside."""
    real = dist.all_reduce

    def noting(*args: object, **named: object) -> object:
        counted.append("all_reduce")
        return real(*args, **named)

    dist.all_reduce = noting
    try:
        yield
    finally:
        dist.all_reduce = real


class Running(nn.Module):
    """Means of what it has seen, as a codebook keeps them: one changed where it lies, one put in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("inside", torch.zeros(()))
        self.register_buffer("instead", torch.zeros(()))
        self.register_buffer("constant", torch.tensor(0.1))

    def forward(self, network: nn.Module, given: tuple[Tensor, ...]) -> None:
        if network.training:
            mean = given[0].detach().mean()
            self.inside.lerp_(mean, 0.5)
            self.instead = torch.lerp(self.instead, mean, 0.5)


def trained(name: str, processes: Processes, *overrides: str) -> dict[str, Tensor]:
    """A system's weights and statistics, and the losses of its last step."""
    model = small(name, *SETTINGS, *overrides, dtype=torch.float32)
    network = model.network(SLOTS[name][0])
    network.running = Running()
    network.register_forward_pre_hook(network.running)
    engine = Engine(model, processes=processes)
    for _ in range(STEPS):
        losses = engine.step(lambda turn: share(turn, processes))
    return {**engine.model.state_dict(), **losses}


def counted(name: str, processes: Processes) -> tuple[int, int]:
    """Collectives in a step, and optimiser steps in it."""
    engine = Engine(small(name, f"train.batch={BATCH}", dtype=torch.float32), processes=processes)
    calls: list[str] = []
    with collectives(calls):
        engine.step(lambda turn: share(turn, processes))
    return len(calls), len(engine.players)


def main() -> None:
    """Every system, alone at the first process and shared among all of them."""
    found = {}
    with joined("cpu") as (processes, _):
        for name in SLOTS:
            shared = trained(name, processes)
            parts = trained(name, processes, "train.accumulate=2", "train.sync_batch_norm=false")
            found[name] = {"shared": shared, "shared in parts": parts, "collectives": counted(name, processes)}
            if processes.first:
                found[name]["alone"] = trained(name, ALONE)
                found[name]["alone in parts"] = trained(name, ALONE, f"train.accumulate={2 * processes.count}")
        everybody = processes.gathered({name: each["shared"] for name, each in found.items()})
    if processes.first:
        torch.save({"found": found, "everybody": everybody}, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
