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
    "fsq": {"use": "fsq", "levels": [5, 5, 4, 3]},
}
JUDGED = ("vqgan", "fsq")
"""With a critic of patches, whose batch norm is of all processes. ``adaptive_fooling`` is of a process's own share, so
its weight is constant here."""

NAMES = (*QUANTISERS, "vqgan")


def trained(name: str, processes: Processes) -> dict[str, Tensor]:
    """Weights, codebooks and losses after a few steps."""
    losses = {"distance": 1.0} | ({"commitment": 0.25} if name != "fsq" else {})
    rows: list[dict[str, dict[str, object]]] = [{"encoder + decoder": losses}]
    if name == "by gradient":
        rows[0]["quantiser"] = {"codebook": 1.0}
    if name in JUDGED:
        of = {"with": {"critic_generated": "critic_reconstruction"}}
        losses["fooling"] = {"use": "reverse_kl", "weight": 20.0, **of}
        rows.append({"critic": {"hinge": {"weight": 20.0, **of}}})
    recipe = {
        "data": {"use": "digits", "size": SIZE},
        "slots": {
            "encoder": {**NETWORK, "factor": 4, "depth": 4, "sigma": "none"},
            "decoder": NETWORK,
            "quantiser": {"kind": "module", **QUANTISERS["vq" if name == "vqgan" else name]},
            **({"critic": {"use": "patch", "width": 4, "layers": 1}} if name in JUDGED else {}),
        },
        "values": {"z_posterior": "code", "distance": "pixel_distance"},
        "phases": rows,
        "outputs": {"reconstruction": "reconstruction"},
        "train": {"batch": BATCH, "steps": STEPS, "optimizer": {"use": "sgd", "lr": 1e-4}, "sync_batch_norm": True},
    }
    engine = Engine(zoo.build(recipe).to(torch.float64), processes=processes)
    told: dict[str, Tensor] = {}
    for _ in range(STEPS):
        told = engine.step(lambda turn: share(turn, processes))
    return {**engine.model.state_dict(), **told}


def share(turn: int, processes: Processes) -> Tensor:
    """This process's images of a turn, in float64: later batches look nothing like the first."""
    stream = torch.Generator().manual_seed(turn)
    images = torch.rand(BATCH, 1, SIZE, SIZE, generator=stream, dtype=torch.float64) * 2 - 1
    return processes.shard.of(images * (turn + 1) / STEPS)


def main() -> None:
    """Every quantiser, shared among the processes."""
    with joined("cpu") as (processes, _):
        everybody = processes.gathered({name: trained(name, processes) for name in NAMES})
    if processes.first:
        torch.save(everybody, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
