"""What stands for InceptionV3, whose 2048 features would make each of FID's matrix roots a matter of seconds."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn


class Judge(nn.Module):
    """Features of 48 averages of an image, and weights that are the same every time."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4)
        self.Mixed_6d = nn.Sequential(OrderedDict(branch1x1=nn.Identity()))
        self.fc = nn.utils.skip_init(nn.Linear, 48, 1008)
        self.load_state_dict(
            {name: torch.linspace(-1, 1, t.numel()).view(t.shape) for name, t in self.state_dict().items()}
        )
        self.requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.fc(self.Mixed_6d(self.pool(pixels)).flatten(1))  # type: ignore[no-any-return]
