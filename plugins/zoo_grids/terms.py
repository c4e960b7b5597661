"""What a codec of sounds minimises beside its critic's opinion.

These are means over bands, frames and features, as published: how many there are is a matter of windows, not of data.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo import api
from zoo_grids.critics import spectrum


def log_mel(
    x: Tensor,
    reconstruction: Tensor,
    *,
    windows: tuple[int, ...] = (64, 256, 1024),
    bands: tuple[int, ...] = (10, 24, 48),
    rate: int = 8000,
    floor: float = 1e-5,
) -> Tensor:
    """mean |log10 M(x) - log10 M(x_rec)|, M the mel bands of a spectrum's magnitude, summed over windows (Kumar et al.
    2023, section 3.5).

    Args:
        x: signals (B, C, L).
        reconstruction: of the same shape.
        windows: samples, each four times as long as its hop.
        bands: of each window.
        rate: samples a second, of the mel scale 2595 log10(1 + f / 700).
        floor: least magnitude that is told from silence.

    Raises:
        ValueError: where there are not as many numbers of bands as windows.
    """
    if len(windows) != len(bands):
        raise ValueError(f"{len(windows)} windows have a number of bands each, and here are {len(bands)}")
    total = x.new_zeros(())
    for window, count in zip(windows, bands, strict=True):
        filters = mel_filters(window // 2 + 1, count, rate, x)
        here, there = ((filters @ magnitude(y, window)).clamp_min(floor).log10() for y in (x, reconstruction))
        total = total + (here - there).abs().mean()
    return total


def magnitude(x: Tensor, window: int) -> Tensor:
    """Signals (B, C, L) -> |spectrum| (B, C, bands, frames)."""
    parts = spectrum(x, window).unflatten(1, (x.shape[1], 2))
    return (parts.square().sum(2) + 1e-12).sqrt()


def mel_filters(frequencies: int, bands: int, rate: int, like: Tensor) -> Tensor:
    """Triangles that overlap by halves, evenly spread over the mel scale from 0 to rate / 2, (bands, frequencies).

    A triangle that is narrower than the distance of two frequencies is as wide as that.
    """
    mel = torch.linspace(0, 2595 * math.log10(1 + rate / 2 / 700), bands + 2, device=like.device, dtype=like.dtype)
    ends = 700 * (10 ** (mel / 2595) - 1)
    f = torch.linspace(0, rate / 2, frequencies, device=like.device, dtype=like.dtype)
    step = rate / 2 / (frequencies - 1)
    middle = ends[1:-1, None]
    below, above = ((middle - ends[:-2, None]).clamp_min(step), (ends[2:, None] - middle).clamp_min(step))
    return torch.minimum(1 - (middle - f) / below, 1 - (f - middle) / above).clamp_min(0)


def feature_distance(critic_x_held: api.CriticOutput, critic_reconstruction: api.CriticOutput) -> Tensor:
    """mean |r(x) - r(x_rec)| over a critic's hidden layers r, averaged over these (Kumar et al. 2019, eq. 4).

    It belongs in the rows of E and D only: a critic that minimised it would shrink r to 0.

    Raises:
        ValueError: if the critic has no hidden layers to show.
    """
    if not critic_x_held.taps:
        raise ValueError("the critic shows no hidden layers (taps)")
    pairs = [(tap, critic_reconstruction.taps[name]) for name, tap in critic_x_held.taps.items()]
    return torch.stack([(a - b).abs().mean() for a, b in pairs]).mean()
