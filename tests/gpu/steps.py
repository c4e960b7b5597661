"""Measures steps on the device, one case after another, each figure told as it is known.

    python -m gpu.steps PART [--first N] [--until TIME] [--toy]

Without a GPU everything runs by the clock of the CPU, with stand-ins for CUDA graphs: that it works can be seen there.
"""

from __future__ import annotations

import argparse
import datetime
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from benchmarks.cases import SYSTEMS
from benchmarks.counting import counted
from benchmarks.loops import Work, captured_step, counts, engine_step, joint_step, model_of, naive_step
from benchmarks.measuring import CUDA, DEVICE, H200, ceiling, device_seconds, floor, host_seconds, machine
from benchmarks.paired import ROUNDS, Paired, paired
from benchmarks.plan import MODES, Step
from helpers.engine import in_batches

from gpu.shelf import SMALL
from gpu.told import tell
from zoo.data.augment import augmentations
from zoo.engine.engine import Engine
from zoo.machine.device import repeatable
from zoo.model.model import Model
from zoo.recipe import load_recipe

SIZES = ((32, 64), (32, 1024), (64, 256), (64, 64))
COMPILED = ((32, 64), (64, 256))
"""Sides and batches, in the order of worth."""

TIMES = {(32, 64): 4.0, (32, 1024): 2.0}
PEAK = {(32, 1024): 0.25, (64, 256): 0.30}
MOST = 1.02
HOST = 0.5
"""What is wanted of a captured step: that it is so many times as fast as the naive loop in float32; that part of the
peak; at most MOST of the loop captured by hand, and of itself without the data path; the host busy for HOST of it."""

IMAGES = 50_000
WARM = 6 if CUDA else 1
"""Steps before a side is timed: plans, optimiser states, compiling, capture."""

CAPTURED = "captured" if CUDA else "eager"
JUDGED = "bfloat16" if CUDA else "float32"
"""In which the network of LPIPS, which has its own size in small too, judges; a CPU may have no units for bfloat16."""


TINY_KL = "config={block_out_channels: [8, 8], layers_per_block: 1, latent_channels: 4, norm_num_groups: 4}"
TINY_TOKENIZER = ("data.size=32", f"slots.encoder.{TINY_KL}", f"slots.decoder.{TINY_KL}", "slots.critic.width=4")


def timed(run: Work) -> float:
    """Seconds of a step on the device, the median of three times some 50 ms."""
    for _ in range(WARM):
        run()
    calls = calls_for(device_seconds(run, 1))
    return statistics.median(device_seconds(run, calls) for _ in range(3))


def calls_for(seconds: float) -> int:
    return max(2, min(50, round(0.05 / max(seconds, 1e-6)))) if CUDA else 1


def beside(a: Work, b: Work, seconds: float) -> Paired:
    rounds = ROUNDS if CUDA else 2
    return paired(a, b, rounds=rounds, taken=partial(device_seconds, calls=calls_for(seconds)), least=0.0)


def measure_steps(case: Step) -> None:
    """The loops by hand and the engine, side by side; then what was asked of the captured step."""
    single = replace(case, precision="float32", mode="eager")
    sides: dict[str, Callable[[], Work]] = {
        "naive float32": lambda: naive_step(model_of(single, "train.channels_last=false"), case.name),
        "tuned float32": lambda: joint_step(model_of(single), case.name, "float32"),
        "engine float32": lambda: engine_step(model_of(single)),
        "engine bfloat16": lambda: engine_step(model_of(case.in_mode("eager"))),
        "captured": lambda: engine_step(model_of(case)),
        "captured by hand": lambda: captured_step(model_of(case), case.name, case.precision),
    }
    taken = {side: side_of(case, side, make) for side, make in sides.items()}
    tell(**judged(case, taken))


def side_of(case: Step, side: str, make: Callable[[], Work]) -> float:
    """Tells a side's time and gives its seconds."""
    seconds = timed(make())
    tell(part="steps", images=case.images, system=case.name, side=side, milliseconds=1e3 * seconds)
    return seconds


def judged(case: Step, taken: dict[str, float]) -> dict[str, Any]:
    """What the captured step makes of the device, beside what is wanted; noise leaves a ratio of 1.02 unjudged."""
    seconds, engine = taken["captured"], engine_step(model_of(case))
    by_hand = beside(engine, captured_step(model_of(case), case.name, case.precision), seconds)
    with_data, quiet = beside(fed(case), engine, seconds).median, same(case.size, case.batch, case.width)
    asked, parameters = counts(case.in_mode("eager"))
    best = ceiling(case.precision)
    nominal = H200 if CUDA and "H200" in torch.cuda.get_device_name() else best
    bound, rate = floor(asked, parameters, nominal), asked.flops / seconds
    host = host_seconds(engine, times=6 if CUDA else 1) / seconds
    times, peak = taken["naive float32"] / seconds, rate / max(best.flops, nominal.flops)
    wanted = {
        "times": times >= TIMES.get((case.size, case.batch), 0.0),
        "peak": peak >= PEAK.get((case.size, case.batch), 0.0),
        "by hand": by_hand.median <= MOST or not quiet.quiet,
        "data": with_data <= MOST or not quiet.quiet,
        "host": host <= HOST,
    }
    found = {"times": times, "peak": peak, "matmul": rate / best.flops, "host": host, "data": with_data}
    found |= {"of_floor": bound.seconds / seconds, "bound": bound.bound, "by_hand": by_hand.told, "aa": quiet.told}
    found |= {"images_a_second": case.batch / seconds, "mflop_an_image": asked.flops / case.batch / 1e6}
    missed = [name for name, met in wanted.items() if not met]
    return {"part": "use", "images": case.images, "system": case.name, **found, "missed": missed}


@cache
def same(size: int, batch: int, width: int) -> Paired:
    """What a ratio of steps of this size is worth here, now: a loop captured by hand against itself."""
    case = Step("avae", size, batch, "bfloat16", CAPTURED, width)
    one, other = (captured_step(model_of(case), case.name, case.precision) for _ in range(2))
    return beside(one, other, timed(one))


def fed(case: Step) -> Work:
    """A step with the data path: a packed set on the device, normalised, flipped and cropped there."""
    model = model_of(case, "augment=[flip, crop]")
    pixels = torch.randint(256, (IMAGES if CUDA else 64, 3, case.size, case.size), dtype=torch.uint8)
    chosen = {"augment": augmentations(model.recipe), "on": "device"}
    engine, batches = Engine(model), in_batches(pixels, case.batch, seed=0, device=DEVICE, **chosen)
    return lambda: engine.step(batches)


def measure_compiled(case: Step) -> None:
    """Compiled, and compiled and captured: minutes of compiling."""
    for mode in ("compiled", "compiled and captured"):
        side_of(case, mode, lambda mode=mode: engine_step(model_of(case.in_mode(mode))))


def measure_rate(name: str) -> None:
    """A step of the paper's networks as ``zoo build`` takes it."""
    small = () if CUDA else SMALL
    model = Model(load_recipe(f"{name}-paper", ["data.use=sprites", "train.precision=auto", *small]), DEVICE)
    seconds = timed(engine_step(model))
    tell(part="rates", system=name, milliseconds=1e3 * seconds)


def measure_tokenizer(batch: int) -> None:
    """``kl-f8`` with its critic in play and LPIPS's network, its weights of chance: what a step makes of the device."""
    best, flops = ceiling(JUDGED).flops, counted(engine_step(tokenizer(batch, "eager"))).flops
    peak = max(best, H200.flops) if CUDA and "H200" in torch.cuda.get_device_name() else best
    for mode in dict.fromkeys(("eager", CAPTURED)):
        seconds = timed(engine_step(tokenizer(batch, mode)))
        found = {"milliseconds": 1e3 * seconds, "images_a_second": batch / seconds, "peak": flops / seconds / peak}
        tell(part="tokenizer", batch=batch, mode=mode, gflop_an_image=flops / batch / 1e9, **found)


def tokenizer(batch: int, mode: str) -> Model:
    """``kl-f8`` from the step on at which its critic comes in, which is the first here."""
    begun = {"phases.1.start": 0, "phases.0.encoder + decoder + variance.adaptive_fooling": 0.5}
    settings = [f"{key}={value}" for key, value in begun.items()]
    settings += [f"train.batch={batch}", f"train.precision={JUDGED}", *MODES[mode], *(() if CUDA else TINY_TOKENIZER)]
    model = Model(load_recipe("kl-f8", settings), DEVICE, restored=True)  # it asks for no file of weights
    judge = model.get_submodule("perceptual").state_dict()
    for name, weights in judge.items():
        if not name.endswith(("mean", "std")):
            torch.nn.init.normal_(weights, std=0.02)
    return model


def cases(part: str, toy: bool) -> list[Any]:
    """What a part measures, in the order of worth."""
    if part == "rates":
        return ["vae"] if toy else ["avae", "vae", "vaegan", "bigan", "gan"]
    if part == "tokenizer":
        return [2] if toy else [12, 48]
    if toy:
        return [Step("avae", 16, 4, "bfloat16", CAPTURED, width=4)]
    sizes = SIZES if part == "steps" else COMPILED
    return [Step(name, size, batch, "bfloat16", CAPTURED) for size, batch in sizes for name in reversed(SYSTEMS)]


MEASURES: dict[str, Callable[[Any], None]] = {
    "steps": measure_steps,
    "compiled": measure_compiled,
    "rates": measure_rate,
    "tokenizer": measure_tokenizer,
}


def main() -> None:
    """Measure the cases from ``--first`` on for as long as one more fits before ``--until``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("part", choices=MEASURES)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--until", type=float, default=float("inf"), help="seconds since 1970")
    parser.add_argument("--toy", action="store_true")
    args = parser.parse_args()
    if args.part == "steps" and not args.first:
        tell(part="machine", datetime=datetime.datetime.now(datetime.UTC).isoformat(), **machine())
    longest = 0.0
    for number, case in enumerate(cases(args.part, args.toy)):
        begun = time.time()
        if number < args.first:
            continue
        if begun + longest > args.until:
            tell(part="skipped", of=args.part, what=str(case))
            continue
        tell(part="begun", of=args.part, number=number, what=str(case))
        with repeatable(DEVICE):
            MEASURES[args.part](case)
        longest = max(longest, time.time() - begun)
        gc.collect()
        torch.cuda.empty_cache()


if __name__ == "__main__":
    main()
