"""What each process of ``test_fields.py`` does: steps of its models, by all processes together and by one alone.

torchrun --nproc-per-node N -m helpers.ranks_fields FILE RUN
"""

from __future__ import annotations

import sys

import torch
from test_fields import RECIPES, follow, made
from torch import Tensor

from zoo.data.batches import Batches, load_images
from zoo.engine.engine import Engine
from zoo.machine.processes import ALONE, Processes, joined

STEPS = 2


def trained(name: str, processes: Processes) -> dict[str, Tensor]:
    """The weights after some steps, each process with its share of every batch of each set."""
    model = made(name)
    engine = Engine(model, processes=processes)
    given = load_images(model.recipe)
    batches = Batches.of(model.recipe, given, model.device, model.dtype, processes.shard)
    for _ in range(STEPS):
        engine.step(batches)
    return {key: value.detach() for key, value in model.named_parameters()}


def main() -> None:
    found = {}
    follow(sys.argv[2])
    with joined("cpu") as (processes, _):
        for name in RECIPES:
            shared = trained(name, processes)
            if processes.first:
                found[name] = shared, trained(name, ALONE)
    if found:
        torch.save(found, sys.argv[1])


if __name__ == "__main__":
    main()
