"""What scores cost: features of an image beside torch-fidelity's, and the memory of many images."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.sets import pixels
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from zoo_metrics import inception
from zoo_metrics.features import Features

import zoo

from .measuring import CUDA, DEVICE
from .paired import paired


def test_features_against_torch_fidelitys(tmp_path, measured, verdicts):
    """Of one network with the same weights, of as many images as each takes together."""
    weights, count, rounds = (str(tmp_path / "weights.pth"), *((16, 5) if measured else (1, 1)))
    torch.save(inception.network().state_dict(), weights)
    theirs = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], feature_extractor_weights_path=weights)
    theirs = theirs.to(DEVICE).eval()
    ours = Features("inception", weights, None, download=False).judge(DEVICE)
    for resolution in (32, 256) if measured else (32,):
        images = torch.randint(256, (count, 3, resolution, resolution), dtype=torch.uint8, device=DEVICE)
        with torch.inference_mode():
            assert torch.allclose(ours(images), theirs(images)[0].cpu(), rtol=1e-4, atol=1e-4)
            # what is said of an image is remembered: a new one each turn
            found = paired(lambda: ours(images.clone()), lambda: theirs(images), rounds=rounds, least=0.0)  # noqa: B023
        if measured:
            group = "features of InceptionV3 / torch-fidelity's"
            verdicts.ratio(group, f"{resolution} px", found, aim=1.0, limit=1.0, same=None)


@pytest.mark.skipif(CUDA or not Path("/proc/self/clear_refs").exists(), reason="Linux tells how much memory was taken")
def test_the_memory_of_more_images(tmp_path, measured, verdicts, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    few, times = (1_000, 20) if measured else (70, 2)
    for n in (few, few * times):
        np.savez(tmp_path / f"{n}.npz", arr_0=np.tile(pixels(few), (n // few, 1, 1, 1)))
    how = {"metrics": ["frechet"], "settings": {"model": "test_resnet", "pretrained": False, "resize": 32}}
    peaks = []
    for n in (few, few, few * times):  # the first loads the network
        Path("/proc/self/clear_refs").write_text("5")
        zoo.score(tmp_path / f"{n}.npz", tmp_path / f"{few}.npz", **how)
        peaks.append(_peak())
    more = peaks[2] / peaks[1]
    verdicts.note("memory", group="peak memory of a score", name=f"{few * times:,} images / {few:,}", value=more)
    assert not measured or more < 1.05


def _peak() -> int:
    """Bytes, since it was last cleared."""
    return 1024 * int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1])
