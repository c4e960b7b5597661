"""The torch-side types that plugins share. Plugins reach them as ``zoo.api.NAME``.

One letter, one meaning: B batch, C channels, H height, W width, K latent dimensions, A noise dimensions.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


def to_model(pixels: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """Pixels to the range that models see: uint8 in 0..255 -> float in [-1, 1]. Any shape."""
    return pixels.to(dtype).div_(127.5).sub_(1.0)


def to_pixels(images: Tensor) -> Tensor:
    """Model range to pixels: float in [-1, 1] -> uint8 in 0..255, rounded, clipped. Any shape."""
    return images.detach().float().add(1.0).mul(127.5).round().clamp(0, 255).to(torch.uint8)


@dataclass(frozen=True)
class Gaussian:
    """A diagonal Gaussian over codes: what an encoder returns.

    Args:
        mean: (B, K).
        log_sigma: (B, K), the logarithm of the standard deviation.
    """

    mean: Tensor
    log_sigma: Tensor

    @property
    def sigma(self) -> Tensor:
        """Standard deviation, (B, K)."""
        return self.log_sigma.exp()

    def sample(self, draw: Draw) -> Tensor:
        """One reparameterised sample mean + sigma * eps (Kingma & Welling 2014, eq. 4), (B, K)."""
        return self.mean + self.sigma * draw.normal(*self.mean.shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """log N(z; mean, sigma^2) summed over dimensions, in nats, (B,)."""
        squares = (z - self.mean).square() * (-2 * self.log_sigma).exp()
        return -(0.5 * squares + self.log_sigma + 0.5 * math.log(2 * math.pi)).sum(1)


@dataclass(frozen=True)
class CriticOutput:
    """What a critic returns.

    Args:
        logit: (B,), real = positive; no sigmoid has been applied.
        taps: hidden layers by name, for feature matching and gradient norms.
    """

    logit: Tensor
    taps: Mapping[str, Tensor] = field(default_factory=dict)


class Draw:
    """A stream of random numbers that is a function of its key alone, never of a history.

    A value asks for it by naming a parameter ``draw``. The key is (seed, name of the value, step, draw),
    so a resumed run draws what the uninterrupted one drew, and adding a value changes no other's numbers.

    Args:
        key: anything printable that identifies the stream.
        device: where the numbers are made. On ``meta`` they have a shape and no content.
        dtype: floating type of the numbers.
    """

    def __init__(self, *key: object, device: torch.device, dtype: torch.dtype) -> None:
        self._key = key
        self._device = device
        self._dtype = dtype
        self._generator: torch.Generator | None = None

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of the given shape."""
        return torch.randn(shape, generator=self._stream(), device=self._device, dtype=self._dtype)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1) of the given shape."""
        return torch.rand(shape, generator=self._stream(), device=self._device, dtype=self._dtype)

    def _stream(self) -> torch.Generator | None:
        if self._generator is None and self._device.type != "meta":
            self._generator = seeded(*self._key, device=self._device)
        return self._generator


def seeded(*key: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator whose seed is a hash of ``key``: the same key gives the same numbers."""
    return torch.Generator(device).manual_seed(seed_of(*key))


def seed_of(*key: object) -> int:
    """A hash of ``key``, 63 bits."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "little") >> 1


def seed_global(device: torch.device, *key: object) -> None:
    """Makes what dropout and the like draw next on a device, and on the CPU, a function of ``key``.

    ``torch.manual_seed`` also queues a seed for every accelerator that is absent, with a trace of the stack each time.
    """
    seed = seed_of(*key)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)


def forked(device: torch.device) -> AbstractContextManager[None]:
    """Inside, the global random streams of the CPU and a device may be drawn from; afterwards they are as before."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


@dataclass(frozen=True)
class Images:
    """What a data component returns: packed pixels in memory (or a memory map).

    Args:
        train: uint8 (N, C, H, W).
        test: uint8 (M, C, H, W), from sources disjoint from ``train``.
        notes: sentences worth telling the user, such as files that were skipped.
    """

    train: Tensor
    test: Tensor
    notes: tuple[str, ...] = ()


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
