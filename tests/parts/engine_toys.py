"""A plugin of toy parts that note what they saw, for the tests of the engine."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo import api

SEEN: list[tuple[str, Any]] = []
"""What the toys noted, in order; a test empties it in its first lines."""


@api.hookimpl
def zoo_components() -> tuple[api.Component, ...]:
    """Terms and values that say what they saw."""
    terms = ("brightness", "held_code_size", "trunk_size", "watched", "drawn", "added", "counted", "scaled")
    values = ("features", "shade", "unneeded")
    return (
        *(api.Component("term", name, f"engine_toys:{name}", "a toy") for name in terms),
        *(api.Component("value", name, f"engine_toys:{name}", "a toy") for name in values),
    )


def brightness(reconstruction: Tensor) -> Tensor:
    """The mean of the reconstructions; it notes that it was called."""
    SEEN.append(("brightness", torch.is_grad_enabled()))
    return reconstruction.mean()


def held_code_size(z_posterior_held: Tensor, reconstruction: Tensor) -> Tensor:
    """The mean square of held codes, which moves nobody, and the mean of the reconstructions."""
    SEEN.append(("held", z_posterior_held.requires_grad))
    return 1e6 * z_posterior_held.square().mean() + reconstruction.mean()


def features(encoder: nn.Module, generated: Tensor) -> Tensor:
    """A part of the encoder, called by itself."""
    return encoder.trunk(generated)


def trunk_size(features: Tensor) -> Tensor:
    """The mean square of the encoder's trunk at generated images."""
    return features.square().mean()


def shade(generator: nn.Module, z: Tensor, noise: Tensor) -> Tensor:
    """G(z, z_a) again, by another name; it notes whether autograd records it."""
    SEEN.append(("shade", torch.is_grad_enabled()))
    return generator(z, noise)


def watched(shade: Tensor, reconstruction: Tensor) -> Tensor:
    """How far reconstructions are from generated images."""
    return (shade - reconstruction).square().mean()


def counted(reconstruction: Tensor, step: int, epoch: int, images_seen: int, train_size: int) -> Tensor:
    """The mean of the reconstructions; it notes what counts the training."""
    SEEN.append(("counts", (step, epoch, images_seen, train_size)))
    return reconstruction.mean()


def scaled(reconstruction: Tensor, *, factor: api.Scheduled = 1.0, shift: float = 0.0) -> Tensor:
    """The mean of the reconstructions, times a factor that may change."""
    return factor * reconstruction.mean() + shift


def drawn(reconstruction: Tensor, draw: api.Draw) -> Tensor:
    """The mean of the reconstructions; it notes its noise."""
    SEEN.append(("drawn", draw.normal(3)))
    return reconstruction.mean()


def added(encoder: nn.Module) -> Tensor:
    """The squares of two biases, added to each other; images say nothing."""
    return (encoder.mean.bias + encoder.log_sigma.bias + 1).square().sum()


def unneeded(x: Tensor) -> Tensor:  # noqa: ARG001
    """Nobody asks for it."""
    raise AssertionError("computed although no term needs it")
