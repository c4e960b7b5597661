"""What a batch costs, from packed pixels to what networks see; and features of images, by which scores compare."""

from __future__ import annotations

import itertools

import pytest
import torch
from helpers.engine import in_batches
from zoo_metrics.features import Features

from zoo.data.augment import augmentations

from .cases import built
from .measuring import DEVICE, seconds

BATCH = 64


@pytest.mark.benchmark(timer=seconds)
@pytest.mark.parametrize("augment", ["[]", "[flip, crop]"], ids=["as they are", "flip and crop"])
def test_a_batch(benchmark, side, images, augment, measured):
    model = built("vae", f"augment={augment}", width=4, size=side)
    pixels = torch.randint(256, (images, 3, side, side), dtype=torch.uint8)
    batches = in_batches(pixels, BATCH, seed=0, device=DEVICE, augment=augmentations(model.recipe))
    turn = itertools.count()
    batches(0)
    benchmark.group = f"a batch of {BATCH}, {side} px"
    benchmark.pedantic(lambda: batches(next(turn)), rounds=20, iterations=10)
    if measured:
        benchmark.extra_info["microseconds_an_image"] = 1e6 * benchmark.stats.stats.median / BATCH


@pytest.mark.benchmark(timer=seconds)
@pytest.mark.parametrize("model", ["tf_efficientnet_lite0", "resnet18"])
def test_features(benchmark, model, measured):
    count = 16 if measured else 1
    features = Features(model, pretrained=False, resize=None if measured else 32, download=False)
    judge = features.judge(DEVICE)
    benchmark.group = "features of 16 images at the network's own size"
    pictures = iter([torch.rand(count, 3, 32, 32, device=DEVICE) for _ in range(8)])  # new ones: what was said is kept
    benchmark.pedantic(lambda: judge(next(pictures)), rounds=3, warmup_rounds=1)
