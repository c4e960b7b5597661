"""Autoencoders of latent models at 64 px: the engine against a loop by hand, its losses, its time and its memory."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from functools import cache

import pytest
import torch

from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe import load_recipe

from .cases import engines_draw, photographs
from .hand.latent import BETAS, LR, Latent
from .loops import Work, drawn
from .measuring import CUDA
from .paired import Paired, paired
from .test_limits import FAST

pytestmark = pytest.mark.skipif(CUDA, reason="CPU time says nothing of a GPU's; make gpu has device times")

NAMES = ("kl-f8-mini", "vqgan-mini")
PLAYING = {
    "kl-f8-mini": [
        "phases.0.encoder + decoder + variance.adaptive_fooling.weight=0.5",
        "phases.1.start=0",
    ],
    "vqgan-mini": ["phases.0.encoder + decoder.adaptive_fooling.weight=0.8", "phases.0.critic.hinge.weight=1"],
}
"""The adversarial terms from the first step on."""
FEW = ["train.batch=2"]
TOY = ["data.size=16", "train.batch=2", "slots.critic.width=4", "slots.critic.layers=1"]
DTYPES = {"float32": None, "bfloat16": torch.bfloat16}


def built(name: str, smaller: Sequence[str], precision: str = "float32") -> Model:
    adam = f"train.optimizer={{use: adam, lr: {LR}, betas: {list(BETAS)}, rate: 1.0}}"
    more = [adam, "train.ema=0.0", f"train.precision={precision}", *smaller]
    return Model(load_recipe(name, [*PLAYING[name], *more]))


def engine_step(name: str, smaller: Sequence[str], precision: str) -> Work:
    model = built(name, smaller, precision)
    engine, x = Engine(model), photographs(model)
    return lambda: engine.step(lambda _: x)


def hand_step(name: str, smaller: Sequence[str], precision: str) -> Work:
    model = built(name, smaller, precision)
    loop, x, draw = Latent(model, name, DTYPES[precision]), photographs(model), drawn(model.device)
    return lambda: loop.step(x, draw)


@pytest.mark.parametrize("name", NAMES)
def test_the_loop_by_hand_is_the_engine(name):
    ours, theirs = (built(name, TOY).double() for _ in range(2))
    engine, loop = Engine(ours), Latent(theirs, name)
    for step in range(3):
        x = photographs(ours, seed=step)
        found, expected = engine.step(lambda _, x=x: x), loop.step(x, engines_draw(ours, step))
        assert found.keys() == expected.keys()
        for key, value in expected.items():
            assert float(found[key]) == pytest.approx(float(value), rel=1e-9, abs=1e-9), (step, key)
    others = dict(theirs.named_parameters())
    for key, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter, others[key], rtol=1e-8, atol=1e-8, msg=key)


@pytest.mark.parametrize("name", NAMES)
def test_a_step_of_an_autoencoder_takes_no_longer_than_the_loop_by_hand(name, measured, verdicts):
    smaller = [] if measured else TOY
    a, b = engine_step(name, smaller, FAST), hand_step(name, smaller, FAST)
    found = paired(a, b) if measured else paired(a, b, rounds=2, least=0.0)
    if measured:
        group = f"engine / tuned loop, 64 px, {FAST}"
        verdicts.ratio(group, name, found, aim=1.01, limit=1.03, same=by_hand_against_itself(name), table="latent")


@cache
def by_hand_against_itself(name: str) -> Paired:
    """What a ratio of such steps is worth here, now."""
    return paired(hand_step(name, (), FAST), hand_step(name, (), FAST))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_takes_no_more_memory_than_the_loop_by_hand(name, measured, verdicts):
    """Bytes allocated within a step at the most: counted, so the same on every machine."""
    ours, theirs = (peak(step(name, [] if measured else FEW, "float32")) for step in (engine_step, hand_step))
    if measured:
        verdicts.note(
            "latent",
            group="peak memory, engine / tuned loop, 64 px, float32",
            name=name,
            value=ours / theirs,
            aim=1.02,
            most=1.02,
            verdict="met" if ours <= 1.02 * theirs else "failed",
        )
    assert ours <= 1.02 * theirs


def peak(step: Work) -> int:
    """The most bytes that a step has allocated at a time, beyond what there was before it."""
    step()
    step()
    gc.collect()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        step()
    events = profile.profiler.kineto_results.events()
    changes = sorted((event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]")
    most = total = 0
    for _, change in changes:
        total += change
        most = max(most, total)
    return most
