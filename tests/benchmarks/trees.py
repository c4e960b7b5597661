"""Whether a step of a bundled recipe takes longer in one checkout than in another, whatever else the machine does:

    python tests/benchmarks/trees.py BEFORE AFTER vae 400

Two processes of one thread take blocks of steps in turns; CPU seconds are compared by ratio, round by round. Prints the
mean of the ratios without their highest and lowest fifths, and between which numbers it lies in 95 of 100 resamplings.
"""

from __future__ import annotations

import math
import os
import random
import statistics
import subprocess
import sys

STEPS = 8
"""Of a block."""
WORKER = """
import inspect, sys, time, torch
from zoo.data.batches import Batches, load_images
from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe import load_recipe

torch.set_num_threads(1)
slots = ("encoder", "decoder", "generator", "critic")[: {"vae": 2, "avae": 4}[sys.argv[1]]]
small = [f"slots.{slot}={{use: dcgan, width: 8, norm: batch}}" for slot in slots if slot != "critic"]
small += ["slots.critic={use: dcgan, width: 8}"] * ("critic" in slots)
settings = ["data={use: digits, size: 16}", "train.batch=16", "train.precision=float32"]
recipe = load_recipe(sys.argv[1], settings + small)
model, images = Model(recipe), load_images(recipe)
given = images.train if "pixels" in inspect.signature(Batches.of).parameters else images  # before there were fields
batches, engine = Batches.of(recipe, given, model.device, model.dtype), Engine(model)
for line in sys.stdin:
    then = time.process_time()
    for _ in range(int(line)):
        engine.step(batches)
    print(time.process_time() - then, flush=True)
"""


def started(tree: str, name: str) -> subprocess.Popen[str]:
    env = {**os.environ, "PYTHONPATH": f"{tree}:{tree}/plugins", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", WORKER, name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env, cwd=tree)


def seconds(process: subprocess.Popen[str]) -> float:
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"{STEPS}\n")
    process.stdin.flush()
    return float(process.stdout.readline())


def trimmed(logs: list[float]) -> float:
    fifth = len(logs) // 5
    return math.exp(statistics.mean(sorted(logs)[fifth : len(logs) - fifth]))


def main(before: str, after: str, name: str, rounds: str) -> None:
    trees = [started(tree, name) for tree in (before, after)]
    for tree in trees * 3:
        seconds(tree)
    logs = []
    for number in range(int(rounds)):
        taken = {turn: seconds(trees[turn]) for turn in ((0, 1) if number % 2 else (1, 0))}
        logs.append(math.log(taken[1] / taken[0]))
    resampled = sorted(trimmed(random.choices(logs, k=len(logs))) for _ in range(400))
    print(f"{name}: {trimmed(logs):.4f} of before, {resampled[10]:.4f} to {resampled[-11]:.4f}")
    for tree in trees:
        tree.communicate()


if __name__ == "__main__":
    main(*sys.argv[1:])
