"""Models of a stranger whose codes are maps or tokens (``parts/map_parts.py``), images (B, 3, 32, 32)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

import zoo
from zoo.model.model import Model

MAPS = Path(__file__).parents[1] / "parts" / "map_parts.py"
BATCH, SHAPE = 4, (4, 8, 8)
SOURCE: dict[str, Any] = {
    "data": {"use": "digits", "size": 32, "channels": 3},
    "slots": {"encoder": "map", "decoder": "map", "prior": "normal"},
    "phases": [{"encoder + decoder": {"reconstruction": 1, "kl": 0.1}}],
    "outputs": {"sample": "decoded_prior", "reconstruction": "reconstruction", "posterior": "posterior"},
    "train": {"steps": 4, "batch": BATCH, "optimizer": {"use": "adam", "lr": 2e-3}},
}


def made(*overrides: str, dtype: torch.dtype = torch.float32, **content: Any) -> Model:
    """The KL autoencoder, codes 4 x 8 x 8, with other sections where they are given."""
    return zoo.build({**SOURCE, **content}, overrides=overrides, plugins=[MAPS], device="cpu").to(dtype)


def images(turn: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """A batch for each turn, in [-1, 1]."""
    generator = torch.Generator().manual_seed(500 + turn)
    return torch.rand(BATCH, 3, 32, 32, generator=generator, dtype=torch.float64).to(dtype) * 2 - 1


def pixels(n: int = 24) -> Tensor:
    """A data set, uint8 (N, 3, 32, 32)."""
    return torch.randint(256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(7)).to(torch.uint8)
