"""The torch-side types that plugins share. Plugins reach them as ``zoo.api.NAME``.

One letter, one meaning: B batch, C channels, H height, W width, K latent dimensions, A noise dimensions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from zoo.draws import Draw


def to_model(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixels to the range that models see: uint8 in 0..255 -> float in [-1, 1], a new tensor. Any shape."""
    return pixels.to(dtype, copy=True).div_(127.5).sub_(1.0)


def to_pixels(images: Tensor) -> Tensor:
    """Model range to pixels: float in [-1, 1] -> uint8 in 0..255, rounded, clipped. Any shape."""
    return images.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Gaussian:
    """A diagonal Gaussian over codes: what an encoder returns.

    Args:
        mean: (B, K), or codes of any other shape: a map (B, K, H, W), tokens (B, N, K).
        log_sigma: the same shape, the logarithm of the standard deviation.
    """

    mean: Tensor
    log_sigma: Tensor

    @property
    def sigma(self) -> Tensor:
        """Standard deviation, of the codes' shape."""
        return self.log_sigma.exp()

    def sample(self, draw: Draw) -> Tensor:
        """One reparameterised sample mean + sigma * eps (Kingma & Welling 2014, eq. 4)."""
        return self.mean + self.sigma * draw.normal(*self.mean.shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """log N(z; mean, sigma^2) summed over all but the batch, in nats, (B,)."""
        squares = (z - self.mean).square() * (-2 * self.log_sigma).exp()
        return -(0.5 * squares + self.log_sigma + 0.5 * math.log(2 * math.pi)).flatten(1).sum(1)


@dataclass(frozen=True)
class CriticOutput:
    """What a critic returns.

    Args:
        logit: (B,), real = positive; no sigmoid has been applied. Where the critic's contract says so a map of them,
            (B, 1, M, N), one for each patch, whose mean is the image's.
        taps: hidden layers by name, for feature matching and gradient norms.
    """

    logit: Tensor
    taps: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Examples:
    """What a data component returns, in memory or as memory maps: its fields, each an item at the same position.

    Items may be a tensor of a class that reads them when they are used (``__torch_function__``), with ``identity``, a
    text that is another where one of them is, and perhaps an order of its own for an epoch, ``shuffled(generator)``.

    Args:
        train: ``x``, the first field, (N, ...), such as uint8 images (N, C, H, W).
        test: the same of other items, (M, ...), from sources disjoint from ``train``.
        notes: sentences worth telling the user, such as files that were skipped.
        fields: the other fields by name, each (train, test); those that nothing asks for are not looked up, and what
            one warns of when it is looked up is a note.
    """

    train: Tensor
    test: Tensor
    notes: tuple[str, ...] = ()
    fields: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def cut(self, train: int, test: int) -> Examples:
        """The first of each split."""
        others = {name: (a[:train], b[:test]) for name, (a, b) in self.fields.items()}
        return Examples(self.train[:train], self.test[:test], self.notes, others)


Batch = Mapping[str, Tensor]
"""Some items' fields by name, (B, ...), as models see them."""


def count_of(batch: Batch) -> int:
    """How many items are in a batch."""
    return len(next(iter(batch.values())))


def parts_of(batch: Batch, parts: int) -> list[Batch]:
    """A batch in so many equal parts."""
    pieces = {name: tensor.chunk(parts) for name, tensor in batch.items()}
    return [{name: tensors[number] for name, tensors in pieces.items()} for number in range(parts)]


Images = Examples
"""The name of ``Examples`` before there were other fields than images."""


def mapped(function: Callable[[Tensor], Tensor], value: Any) -> Any:
    """``value`` with ``function`` applied to its tensors: in dataclasses, mappings and sequences too."""
    if isinstance(value, Tensor):
        return function(value)
    if hasattr(value, "__dataclass_fields__"):
        return type(value)(**{k: mapped(function, getattr(value, k)) for k in value.__dataclass_fields__})
    if isinstance(value, Mapping):
        return {k: mapped(function, v) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return type(value)(mapped(function, v) for v in value)
    return value


def tensors(value: Any) -> list[Tensor]:
    """Every tensor in a value: in dataclasses, mappings and sequences too."""
    found: list[Tensor] = []
    mapped(lambda tensor: found.append(tensor) or tensor, value)  # type: ignore[func-returns-value]
    return found
