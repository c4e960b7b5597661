"""Trains quantisers in each process of ``test_vqgan.py``, and hands in what came of it.

torchrun --nproc-per-node N -m helpers.ranks_quantise FILE
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor

import zoo
from zoo.engine.engine import Engine
from zoo.machine.processes import Processes, joined

STEPS, BATCH, SIZE = 5, 8, 16
NETWORK = {"use": "residual", "width": 4, "multipliers": [1, 1, 1], "blocks": 1, "attention": False}
QUANTISERS = {
    "vq": {"use": "vq", "entries": 32, "revive": 0.3},
    "by gradient": {"use": "vq", "entries": 32, "revive": 0.3, "learn": "gradient"},
    "residual-vq": {"use": "residual-vq", "entries": 8, "books": 2, "revive": 0.3},
}


def trained(name: str, processes: Processes) -> dict[str, Tensor]:
    """Weights, codebooks and losses after a few steps."""
    rows = [{"encoder + decoder": {"distance": 1.0, "commitment": 0.25}, "quantiser": {"codebook": 1.0}}]
    if name != "by gradient":
        del rows[0]["quantiser"]
    recipe = {
        "data": {"use": "digits", "size": SIZE},
        "slots": {
            "encoder": {**NETWORK, "factor": 4, "depth": 4, "sigma": "none"},
            "decoder": NETWORK,
            "quantiser": {"kind": "module", **QUANTISERS[name]},
        },
        "values": {"z_posterior": "code", "distance": "pixel_distance"},
        "phases": rows,
        "outputs": {"reconstruction": "reconstruction"},
        "train": {"batch": BATCH, "steps": STEPS, "optimizer": {"use": "sgd", "lr": 1e-4}},
    }
    engine = Engine(zoo.build(recipe).to(torch.float64), processes=processes)
    losses: dict[str, Tensor] = {}
    for _ in range(STEPS):
        losses = engine.step(lambda turn: share(turn, processes))
    return {**engine.model.state_dict(), **losses}


def share(turn: int, processes: Processes) -> Tensor:
    """This process's images of a turn, in float64: later batches look nothing like the first."""
    stream = torch.Generator().manual_seed(turn)
    images = torch.rand(BATCH, 1, SIZE, SIZE, generator=stream, dtype=torch.float64) * 2 - 1
    return processes.shard.of(images * (turn + 1) / STEPS)


def main() -> None:
    """Every quantiser, shared among the processes."""
    with joined("cpu") as (processes, _):
        everybody = processes.gathered({name: trained(name, processes) for name in QUANTISERS})
    if processes.first:
        torch.save(everybody, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
