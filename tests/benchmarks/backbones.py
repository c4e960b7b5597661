"""What a training step of AVAE costs with one encoder or another: CPU time, one thread, interleaved rounds.

    OMP_NUM_THREADS=1 python tests/benchmarks/backbones.py [--rounds N] [--models NAME...]

Each round takes one step with each encoder, in random order; a row is the median of the rounds, its quartiles
and its ratio to the default. Bundled ``avae``: batch 32, 32 px, float32.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time

import torch

import zoo
from zoo.engine import Engine

DEFAULT = "dcgan (default)"


def engine(model: str) -> Engine:
    """AVAE with an encoder: the default, or any model of timm."""
    other = [] if model == DEFAULT else [f"slots.encoder={{use: timm, model: {model}}}"]
    return Engine(zoo.build("avae", overrides=["train.precision=float32", *other]))


def seconds(playing: Engine, images: torch.Tensor) -> float:
    """CPU seconds of one step."""
    start = time.process_time()
    playing.step(lambda _: images)
    return time.process_time() - start


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--models", nargs="*", default=["mobilenetv3_small_100", "resnet18"])
    args = parser.parse_args()
    torch.set_num_threads(1)
    engines = {model: engine(model) for model in (DEFAULT, *args.models)}
    images = torch.rand(32, 3, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for playing in engines.values():
        seconds(playing, images)  # the first step makes plans and optimiser states
    taken: dict[str, list[float]] = {model: [] for model in engines}
    order, shuffled = list(engines), random.Random(0)
    for _ in range(args.rounds):
        shuffled.shuffle(order)
        for model in order:
            taken[model].append(seconds(engines[model], images))
    print("| encoder | parameters | CPU seconds a step (quartiles) | ratio |\n|---|---|---|---|")
    base = statistics.median(taken[DEFAULT])
    for model, times in taken.items():
        low, middle, high = statistics.quantiles(times, n=4)
        count = sum(p.numel() for p in engines[model].model.encoder.parameters())
        print(f"| {model} | {count / 1e6:.2f} M | {middle:.3f} ({low:.3f}, {high:.3f}) | {middle / base:.1f} |")


if __name__ == "__main__":
    main()
