"""How much noise there is at each step of a diffusion: a slot that learns nothing."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn


class Schedule(nn.Module):
    """a_t, the share of an image's variance that is left after step t of T: x_t = sqrt(a_t) x + sqrt(1 - a_t) eps.

    ``cosine`` is f(t) / f(0), f(t) = cos^2((t/T + .008) / 1.008 pi/2), no step with a beta over .999 (Nichol & Dhariwal
    2021, eq. 17); ``linear`` is the product of 1 - beta, beta from 1e-4 to .02 at 1,000 steps (Ho et al. 2020, section
    4), and for other numbers of steps as much in all.

    Args:
        shape: which of them.
        steps: T.

    Raises:
        ValueError: fewer than 2 steps, or so few that a linear beta were over .999.
    """

    left: Tensor

    def __init__(self, *, shape: Literal["cosine", "linear"] = "cosine", steps: int = 1000) -> None:
        super().__init__()
        least = 2 if shape == "cosine" else 21
        if steps < least:
            raise ValueError(f"steps {steps} are too few of a {shape} schedule: choose {least} or more")
        t = torch.arange(steps + 1, dtype=torch.float64) / steps
        if shape == "cosine":
            f = ((t + 0.008) / 1.008 * (math.pi / 2)).cos().square()
            f[-1] = 0.001 * f[-2]
            left = f / f[0]
        else:
            beta = torch.linspace(1e-4, 0.02, steps, dtype=torch.float64) * (1000 / steps)
            left = torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0)])
        self.steps = steps
        self.register_buffer("left", left.float(), persistent=False)

    def forward(self, time: Tensor) -> Tensor:
        """Times t/T (B,) from 0 to 1 -> a_t (B,); between two steps what lies between theirs."""
        place = (time * self.steps).clamp(0, self.steps)
        below = place.long().clamp(max=self.steps - 1)
        return self.left[below].lerp(self.left[below + 1], place - below)
