"""A world that a generator learns in a second: normal points of the plane, far from where it begins."""

from __future__ import annotations

import torch

from zoo import api

MEAN, DEVIATION = (1.0, -0.5), (0.3, 0.5)


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Points of the plane."""
    fields = {"x": api.Field("vector", "2")}
    return (api.Component("data", "cloud", "cloud_parts:cloud", "normal points of the plane", fields=fields),)


def cloud() -> api.Examples:
    """Points of N(MEAN, DEVIATION^2)."""
    generator = torch.Generator().manual_seed(0)
    train, test = (torch.randn(n, 2, generator=generator) for n in (2048, 16))
    mean, deviation = torch.tensor(MEAN), torch.tensor(DEVIATION)
    return api.Examples(mean + deviation * train, mean + deviation * test)
