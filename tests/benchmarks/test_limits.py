"""What the engine takes beyond the loops written by hand, timed in pairs; judged where an A/A pair is quiet.

In ``make test`` each is run once at toy size, for its code alone.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
import torch
from helpers.engine import in_batches

import zoo
from zoo.engine.engine import Engine
from zoo.model.model import Model

from .cases import BETAS, LR, SYSTEMS, built
from .loops import Work, engine_step, joint_step, naive_step
from .measuring import CUDA, DEVICE
from .paired import Paired, paired
from .plan import ADDED

pytestmark = pytest.mark.skipif(CUDA, reason="CPU time says nothing of a GPU's; make gpu has device times")

STUBS = Path(__file__).with_name("stubs.py")
FAST = "bfloat16" if torch.cpu._is_amx_tile_supported() else "float32"
"""What a recipe's ``precision: auto`` takes on this processor."""

TOY = {"width": 4, "size": 16, "batch": 4}


def timed(a: Work, b: Work, measured: bool) -> Paired:
    return paired(a, b) if measured else paired(a, b, rounds=2, least=0.0)


@pytest.mark.parametrize("name", SYSTEMS)
def test_a_step_takes_no_longer_than_the_loop_by_hand(name, width, measured, verdicts):
    settings = {"width": width, "precision": FAST, **({} if measured else TOY)}
    hand = joint_step(built(name, **settings), name, FAST)
    found = timed(engine_step(built(name, **settings)), hand, measured)
    aim, limit = (1.01, 1.03) if width == 64 else (1.03, 1.06)
    group = f"engine / tuned loop, 32 px, batch 64, width {width}, {FAST}"
    if measured:
        verdicts.ratio(group, name, found, aim=aim, limit=limit, same=tuned_against_itself(width))


@cache
def tuned_against_itself(width: int) -> Paired:
    """What a ratio of steps of this size is worth here, now."""
    one, other = (joint_step(built("avae", width=width, precision=FAST), "avae", FAST) for _ in range(2))
    return paired(one, other)


def test_avae_is_far_faster_than_the_naive_loop(measured, verdicts):
    size = {} if measured else TOY
    naive = naive_step(built("avae", "train.channels_last=false", **size), "avae")
    found = timed(engine_step(built("avae", precision=FAST, **size)), naive, measured)
    if measured:
        limit = 1 / 2.5 if FAST == "bfloat16" else 1.0
        verdicts.ratio("engine / naive loop in float32", f"avae, {FAST}", found, aim=limit, limit=limit, same=None)


MICROSECONDS = 100


def test_what_the_engine_adds_to_a_step_is_microseconds(added, measured, verdicts):
    precision = "bfloat16" if "train.precision=bfloat16" in ADDED[added] else "float32"
    found = timed(engine_step(stubbed(*ADDED[added])), stubbed_loop(precision), measured)
    if measured:
        same = stubs_against_themselves(precision)
        extra, quiet = 1e6 * found.extra, same.quiet
        met = extra <= MICROSECONDS
        verdict = "met" if met else ("failed" if quiet else "noisy: not judged")
        group = "added to a step of four networks of one number"
        asked = {"aim": MICROSECONDS, "most": MICROSECONDS, "verdict": verdict, "aa": same.told}
        verdicts.note("paired", group=group, name=added, value=extra, unit=" us", **asked)
        assert met or not quiet, f"{extra:.0f} microseconds; at most {MICROSECONDS} wanted"


def stubbed(*overrides: str) -> Model:
    """AVAE of networks of one number."""
    slots = [f"slots.{slot}=stub" for slot in ("encoder", "decoder", "generator", "critic")]
    adam = f"train.optimizer={{use: adam, lr: {LR}, betas: {list(BETAS)}, rate: 1.0}}"
    small = ["data.size=8", "latent=4", "noise=4", "train.batch=2", "train.ema=0.0", "train.precision=float32"]
    return zoo.build("avae", overrides=[*slots, adam, *small, *overrides], plugins=[STUBS])


def stubbed_loop(precision: str) -> Work:
    return joint_step(stubbed(), "avae", precision)


@cache
def stubs_against_themselves(precision: str) -> Paired:
    """What a difference of such steps is worth here, now."""
    return paired(stubbed_loop(precision), stubbed_loop(precision))


def test_a_large_set_makes_a_step_no_slower(measured, verdicts):
    def step(images: int) -> Work:
        model = built("vae", width=16 if measured else 4, size=8, batch=64, precision=FAST)
        pixels = torch.randint(256, (images, 3, 8, 8), dtype=torch.uint8)
        engine, batches = Engine(model), in_batches(pixels, 64, seed=0)
        return lambda: engine.step(batches)

    small = step(1_000)
    found = timed(step(1_000_000 if measured else 2_000), small, measured)
    if measured:
        same = paired(step(1_000), small)
        verdicts.ratio("1,000,000 images / 1,000", "vae, 8 px", found, aim=1.02, limit=1.02, same=same)


@pytest.mark.parametrize("name", ["vae", "avae"])
def test_the_data_path_is_a_small_part_of_a_step(name, measured, verdicts):
    model = built(name, precision=FAST, **({} if measured else {"width": 4, "size": 16}))
    side, turn = model.recipe.sizes.size, iter(range(1_000_000))
    pixels = torch.randint(256, (1_000, 3, side, side), dtype=torch.uint8)
    batches = in_batches(pixels, 64, seed=0, device=DEVICE)
    found = timed(lambda: batches(next(turn)), engine_step(model), measured)
    if measured:
        verdicts.ratio("data path / step, 32 px, batch 64", f"{name}, {FAST}", found, aim=0.03, limit=0.03, same=None)
