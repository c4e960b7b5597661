"""Twelve families of timm train inside AVAE, as its encoder and as its critic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

import zoo
from zoo.engine.engine import Engine
from zoo.model.model import Model

# A small member of each family, and the critic's norm: batch norms replaced, kept, left out, or spectral.
FAMILIES = {
    "test_resnet": "auto",
    "test_vit": "keep",
    "test_vit_relpos": "keep",
    "test_convnext": "keep",
    "test_efficientnet": "group",
    "lcnet_035": "group",
    "test_byobnet": "spectral",
    "test_nfnet": "keep",
    "test_mambaout": "keep",
    "dla46_c": "keep",
    "starnet_s050": "auto",
    "fasternet_t0": "none",
}
SIZE, BATCH = 32, 4


@pytest.fixture(autouse=True)
def _on_one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def avae(model: str, norm: str) -> Model:
    source: dict[str, Any] = {
        "extends": "avae",
        "data": {"size": SIZE},
        "latent": 5,
        "noise": 3,
        "slots": {
            "encoder": {"use": "timm", "model": model},
            "decoder": {"width": 4},
            "generator": {"width": 4},
            "critic": {"use": "timm", "model": model, "norm": norm},
        },
        "train": {"batch": BATCH, "ema": 0.0, "precision": "float32", "optimizer": {"rate": 1.0}},
    }
    return zoo.build(source)


def images(turn: int) -> Tensor:
    return torch.rand(BATCH, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(turn)) * 2 - 1


def still(engine: Engine, before: dict[str, Tensor]) -> list[str]:
    """Parameters of players that are what they were."""
    named = {key: p for player in engine.players.values() for key, p in player.parameters.items()}
    return [key for key, parameter in named.items() if torch.equal(before[key], parameter)]


@pytest.mark.parametrize(("model", "norm"), FAMILIES.items())
def test_two_steps_of_avae_move_every_parameter(model: str, norm: str) -> None:
    engine = Engine(avae(model, norm))
    before = {key: p.detach().clone() for key, p in engine.model.named_parameters()}
    for _ in range(2):
        losses = engine.step(images)
        assert all(loss.isfinite() for loss in losses.values()), losses
    assert list(engine.players) == ["encoder", "decoder", "generator", "critic"]
    assert still(engine, before) == []
