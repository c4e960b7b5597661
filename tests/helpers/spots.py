"""Images that a network of width 4 learns within a second: a bright spot somewhere."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo import api


def spots(count: int = 256, seed: int = 0, spread: float = 1.0) -> Tensor:
    """uint8 (N, 3, 16, 16), middles uniform in a square of half side ``spread``."""
    generator = torch.Generator().manual_seed(seed)
    middle = spread * (torch.rand(count, 2, 1, 1, generator=generator) * 2 - 1)
    place = torch.linspace(-1, 1, 16)
    grey = torch.exp(-5 * ((place - middle[:, 0]) ** 2 + (place[:, None] - middle[:, 1]) ** 2))
    return api.to_pixels(2 * grey - 1)[:, None].expand(-1, 3, -1, -1).contiguous()
