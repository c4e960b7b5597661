"""Signals and volumes that are drawn as they are asked for: no download."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from zoo import api

RATE = 8000
"""Samples a second of a tone."""
PARTIALS = 6


def tones(*, length: int = 2048, train: int = 4000, test: int = 200, seed: int = 0) -> api.Examples:
    """Plucked tones: six partials of a pitch from 100 to 800 Hz, each dying away in its time, at 8,000 samples
    a second.

    Args:
        length: samples of a signal.
        train: how many to train on.
        test: how many are held out; they are the same whatever ``train`` is.
        seed: which ones.

    Raises:
        ValueError: a number below 1.
    """
    _check(length=length, train=train, test=test)
    return api.Examples(*(_tones(count, length, 2 * seed + split) for split, count in enumerate((train, test))))


def _tones(count: int, length: int, seed: int) -> Tensor:
    """(N, 1, length), in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    u = torch.rand(count, 2 + 2 * PARTIALS, generator=generator, dtype=torch.float64)
    partial = torch.arange(1, PARTIALS + 1)
    pitch, start = 100 * 8 ** u[:, :1], u[:, 1:2] * 0.3 * length / RATE
    loud = u[:, 2 : 2 + PARTIALS] / partial
    phase = 2 * math.pi * u[:, 2 + PARTIALS :]
    waves = torch.zeros(count, length, dtype=torch.float64)
    since = torch.arange(length) / RATE - start
    for n in range(PARTIALS):
        wave = torch.sin(2 * math.pi * (n + 1) * pitch * since + phase[:, n : n + 1])
        dying = torch.exp(-since.clamp_min(0) * 8 * (n + 1)) * (since > 0)
        waves += loud[:, n : n + 1] * ((n + 1) * pitch < RATE / 2) * dying * wave
    return (0.9 * waves / waves.abs().amax(1, keepdim=True).clamp_min(1e-3)).float()[:, None]


def solids(*, side: int = 16, train: int = 2000, test: int = 200, seed: int = 0) -> api.Examples:
    """Balls and boxes, turned, one to three of them in a cube, each of a density of its own.

    Args:
        side: of the cube, in voxels.
        train: how many to train on.
        test: how many are held out; they are the same whatever ``train`` is.
        seed: which ones.

    Raises:
        ValueError: a number below 1.
    """
    _check(side=side, train=train, test=test)
    return api.Examples(*(_solids(count, side, 2 * seed + split) for split, count in enumerate((train, test))))


def _solids(count: int, side: int, seed: int) -> Tensor:
    """uint8 (N, 1, side, side, side)."""
    generator = torch.Generator().manual_seed(seed)
    ends = (torch.arange(side) + 0.5) / side * 2 - 1
    places = torch.stack(torch.meshgrid(ends, ends, ends, indexing="ij")).flatten(1)  # (3, side^3)
    volumes = torch.zeros(count, side**3)
    for number in range(3):
        u = torch.rand(count, 9, generator=generator)
        turn = torch.linalg.qr(torch.randn(count, 3, 3, generator=generator)).Q
        sizes = 0.25 + 0.3 * u[:, 3:6]
        own = (turn @ (places - (u[:, :3] - 0.5)[:, :, None])).abs() / sizes[:, :, None]
        far = torch.where(u[:, 6:7] < 0.5, own.square().sum(1).sqrt(), own.amax(1))
        inside = (0.5 - (far - 1) * sizes.mean(1, keepdim=True) * side / 2).clamp(0, 1)  # an edge of a voxel
        there = (u[:, 7:8] < 0.5) if number else torch.ones(count, 1, dtype=torch.bool)
        volumes = torch.where(there, torch.maximum(volumes, inside * (0.4 + 0.6 * u[:, 8:9])), volumes)
    return (255 * volumes + 0.5).byte().view(count, 1, side, side, side)


def _check(**numbers: int) -> None:
    for what, number in numbers.items():
        if number < 1:
            raise ValueError(f"option '{what}' is {number}; choose 1 or more")
