"""The zoo's own parts keep the contract that strangers' do: the same battery, nothing exempted.

Networks are as small as they go; data sets are miniatures in their publishers' formats; judges have random weights;
trackers on the network have stand-ins.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import datasets
import pytest
import test_data_celeba
import test_data_lsun
import test_data_shards
import test_data_svhn
import test_fashion_mnist
import torch
import zoo_metrics.inception
from helpers.data import cifar_folder, encoded, random_pixels, smooth
from helpers.judge import Judge
from PIL import Image
from test_metrics_references import trunk
from zoo_dcgan import LABELS

import zoo
from zoo.testing import contract_tests

FILES = Path(tempfile.gettempdir()) / f"zoo-contract-{os.getpid()}"
NARROW: dict[str, Any] = {"width": 4}
TWO_LEVELS: dict[str, Any] = {"block_out_channels": [4, 8], "norm_num_groups": 2}
SMALL: dict[str, Any] = {"model": "test_resnet", "pretrained": False}
OURS: dict[str, Any] = {"root": str(FILES), "check": False, "workers": 1}
INCEPTION: dict[str, Any] = {"pretrained": str(FILES / "inception.pt")}


def of(*names: str, **options: Any) -> dict[str, list[dict[str, Any]]]:
    """One example for several parts."""
    return {name: [options] for name in names}


OPTIONS = {
    **of("critic/dcgan-joint", **NARROW),
    **{f"{kind}/dcgan": [{"label": each, **NARROW} for each in ("none", *LABELS[kind])] for kind in LABELS},
    **of("encoder/avae-paper", "decoder/avae-paper", "generator/avae-paper", **NARROW),
    **of("critic/avae-paper", "critic/avae-paper-joint", **NARROW),
    **of("encoder/timm", "critic/timm", model="test_resnet"),
    **of("critic/timm-frozen", model="test_resnet", pretrained=False, width=4, taps=3),
    **of("critic/timm-joint", model="test_resnet", hidden=8),
    **of("generator/r3gan", "critic/r3gan", "generator/stylegan2", "critic/stylegan2", **NARROW),
    **of("generator/resnet", "critic/resnet", "generator/resnet-class", "critic/resnet-projection", **NARROW),
    **of("critic/patch", "critic/multi-scale", width=4, layers=1),
    **of("generator/unet", width=4, drops=1),
    **of("generator/translator", width=4, halvings=1, blocks=1),
    **of("module/contents", "module/content-blocks", "module/content-decoder", width=4, halvings=1, blocks=1),
    **of("module/styled-decoder", width=4, halvings=1, blocks=1, hidden=8),
    **of("module/style", width=4, halvings=2),
    **of("encoder/residual", width=4, factor=4, multipliers=(1, 1, 1), blocks=1),
    **of("decoder/residual", width=4, multipliers=(1, 1, 1), blocks=1),
    **of("module/vq", "module/simvq", "module/residual-vq", entries=8),
    **of("encoder/timm-maps", model="test_vit", pretrained=False, depth=64, factor=16),
    **of("decoder/vit", width=8, blocks=1, heads=2),
    **of("module/lpips", net="squeeze", pretrained=str(FILES / "squeeze.pt")),
    **of("encoder/diffusers", "decoder/diffusers", "generator/diffusers", config=TWO_LEVELS),
    **of("module/unet", "module/unet-class", "decoder/unet", width=4, blocks=1, multipliers=(1, 2)),
    **of("module/mlp-time", width=8, blocks=1),
    **of("value/flow_sample", "value/flow_sample_class", "value/flow_decoded", "value/ddim_sample", steps=2),
    **of("encoder/conv1d", "encoder/conv3d", width=4, factor=4, multipliers=(1, 1, 1), blocks=1),
    **of("decoder/conv1d", "decoder/conv3d", width=4, multipliers=(1, 1, 1), blocks=1),
    **of("encoder/deep", width=4, factor=4, multipliers=(1, 1, 2)),
    **of("decoder/deep", width=4, multipliers=(1, 1, 2)),
    **of("critic/patch3d", width=4, layers=1),
    **of("critic/waves", width=4, layers=1, periods=(2,), windows=(16,)),
    **of("data/tones", length=64, train=8, test=4),
    **of("data/solids", side=8, train=8, test=4),
    **of("term/perceptual", **SMALL),
    **of("data/photos", "data/sprites", train=32, test=8),
    "data/folder": [
        {"path": str(FILES / "pictures"), "workers": 1},
        {"path": str(FILES / "town"), "workers": 1, "pairs": {"x": "photos", "y": "maps"}},
    ],
    **of("data/fashion-mnist", path=str(FILES), train=20, test=6),
    **of("data/mnist", path=str(FILES), train=20, test=6),
    **of("data/cifar10", "data/cifar100", "data/svhn", root=str(FILES), check=False),
    **of("data/celeba", **OURS),
    **of("data/lsun-bedroom", root=str(FILES), workers=1),
    **of("data/huggingface", name=str(FILES / "pictures"), workers=1),
    **of("data/shards", path=str(FILES / "shards"), workers=1),
    **of("data/codes", run=str(FILES / "run")),
    **of("metric/frechet", "metric/kernel", **SMALL),
    **of("metric/precision", "metric/recall", "metric/density", "metric/coverage", **SMALL, k=2),
    **of("metric/nearest", "metric/path-length", **SMALL),
    **of("metric/fid", "metric/sfid", "metric/kid", **INCEPTION),
    **of("metric/fd-dinov2", model="test_vit", pretrained=False),
    **of("metric/cmmd", model="test_vit", pretrained=False),
    **of("metric/inception-score", **INCEPTION, splits=2),
    **of("metric/lpips", net="squeeze", pretrained=str(FILES / "squeeze.pt")),
}


@pytest.fixture(scope="module", autouse=True)
def files() -> Iterator[None]:
    """Writes the files of data sets and judges, and puts stand-ins for trackers that are extras."""
    (FILES / "pictures").mkdir(parents=True)
    for i, pixels in enumerate(random_pixels(12, 20, 24, 3)):
        Image.fromarray(pixels).save(FILES / "pictures" / f"{i}.png")
    test_fashion_mnist.miniature(FILES)
    cifar_folder(FILES, "cifar10")
    cifar_folder(FILES, "cifar100")
    test_data_svhn.miniature(FILES)
    test_data_celeba.miniature(FILES)
    test_data_celeba.attributes(FILES, kaggle=False)
    for i, pixels in enumerate(random_pixels(12, 20, 24, 3, seed=1)):
        for part in ("photos", "maps"):
            (FILES / "town" / part).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(FILES / "town" / part / f"{i}.png")
    for part, seeds in (("train", range(20)), ("val", range(20, 25))):
        rooms = {f"{seed:040x}": encoded(smooth(seed, (48, 32)), "webp") for seed in seeds}
        test_data_lsun.database(FILES / f"bedroom_{part}_lmdb", rooms)
    pictures = {f"{i}.png": (FILES / "pictures" / f"{i}.png").read_bytes() for i in range(12)}
    test_data_shards.shard(FILES / "shards" / "a.tar", pictures)
    trunk("squeeze", FILES / "squeeze.pt")
    torch.save(Judge().state_dict(), FILES / "inception.pt")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo_metrics.inception, "network", Judge)
        for name in ("wandb", "mlflow"):
            patch.setitem(sys.modules, name, tracker(name))
        patch.setenv("ZOO_CACHE", str(FILES / "cache"))
        zoo.train(zoo.build(FIRST), run=RUN, progress=False)
        patch.setattr(datasets.config, "HF_DATASETS_CACHE", str(FILES / "hf"))
        yield
    shutil.rmtree(FILES)


def tracker(name: str) -> ModuleType:
    """A module that takes whatever it is told."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)
    module.__dict__.update(init=MagicMock(), Image=MagicMock(), MlflowClient=MagicMock())
    return module


JUDGED = Path(__file__).parents[1] / "parts" / "judged.yaml"
TERMS = ("distance", "perceptual_loss", "adaptive_fooling")
VALUES = ("perceptual_distance", "scaled_distance", "fooling", "adaptive_weight")
JUDGING = {f"{kind}/{name}": JUDGED for kind, names in (("term", TERMS), ("value", VALUES)) for name in names}

HALF = {"use": "diffusers", "config": TWO_LEVELS}
HALVES: dict[str, Any] = {
    "data": {"use": "digits", "size": 8},
    "slots": {"encoder": HALF, "decoder": HALF, "prior": "normal"},
    "phases": [{"encoder + decoder": {"reconstruction": 1.0}}],
}
RUN = str(FILES / "run")
FIRST: dict[str, Any] = {
    "data": {"use": "digits", "size": 8},
    "latent": 4,
    "slots": {
        "encoder": {"use": "dcgan", **NARROW},
        "decoder": {"use": "dcgan", **NARROW},
        "prior": "normal",
        "scale": {"kind": "module", "use": "moments"},
    },
    "phases": [{"encoder + decoder": {"reconstruction": 1.0, "kl": 1.0}}],
    "after": ["scale"],
    "outputs": {"sample": "decoded_prior", "posterior": "posterior"},
    "train": {"steps": 1},
}
SECOND: dict[str, Any] = {
    **FIRST,
    "data": {"use": "codes", "run": RUN},
    "slots": {
        "encoder": {"use": "mlp", **NARROW},
        "decoder": {"use": "mlp", **NARROW},
        "prior": "normal",
        "first_decoder": {"weights": f"{RUN}#decoder"},
        "scale": {"weights": RUN},
    },
    "values": {"scaled": "scaled", "unscaled": "unscaled"},
    "after": None,
    "outputs": {"sample": "first_sample", "reconstruction": "first_reconstruction", "posterior": "posterior"},
}
STAGED = ("scaled", "unscaled", "first_sample", "first_reconstruction")
SAMPLES: dict[str, Any] = {
    **FIRST,
    "slots": {label: part for label, part in FIRST["slots"].items() if label != "scale"},
    "after": [],
    "outputs": {"sample": "decoded_prior"},
}
RECIPES: dict[str, Any] = {
    **JUDGING,
    **dict.fromkeys((f"value/{name}" for name in STAGED), SECOND),
    "exporter/diffusers": HALVES,
    "exporter/onnx": SAMPLES,
    "exporter/torch": SAMPLES,
}


ALIGNED = Path(__file__).parents[1] / "parts" / "aligned.yaml"
ALIGNING = ("teacher_features", "aligned_codes", "alignment_gap", "turns", "x_turned", "codes_turned")
RECIPES |= {f"value/{name}": ALIGNED for name in ALIGNING} | {"term/feature_alignment": ALIGNED}
RECIPES |= {f"value/{name}": ALIGNED.with_name("scaled.yaml") for name in ("x_shrunk", "codes_shrunk")}
RECIPES |= {"value/code_surprise": "ganomaly"} | dict.fromkeys(("value/image_surprise", "metric/auroc"), "f-anogan")
RECIPES |= dict.fromkeys(("metric/codebook-usage", "metric/perplexity"), "vqgan-mini")

RECIPES |= {f"value/{name}": "stylegan2-lite" for name in ("style", "styles", "mixed_styles", "styled", "style_slopes")}
RECIPES |= {"term/path_length": "stylegan2-lite"}

RECIPES |= {"term/entropy": "avae"}

test_contract = contract_tests("generative-zoo", options=OPTIONS, recipes=RECIPES)
