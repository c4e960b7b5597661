"""What tests of features on timm models share: a small model, pictures, weights of it in a file."""

from __future__ import annotations

from pathlib import Path

import timm
import torch
from torch import Tensor

MODEL = "test_resnet"


def pictures(n: int, seed: int = 0, size: int = 32, channels: int = 3) -> Tensor:
    return torch.rand(n, channels, size, size, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def saved_weights(path: Path) -> Path:
    torch.manual_seed(1)
    torch.save(timm.create_model(MODEL).state_dict(), path)
    return path
