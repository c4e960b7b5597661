"""Networks of a few units, data, and the registers of loops."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

Loop = Callable[[bool], list[float]]
FAULTY: list[tuple[str, Loop]] = []
"""Loops that have a problem when called with True, each with the problem's kind; called with False, they are sound."""
SOUND: list[Callable[[], list[float]]] = []


def fault(kind: str) -> Callable[[Loop], Loop]:
    def register(loop: Loop) -> Loop:
        FAULTY.append((kind, loop))
        return loop

    return register


def sound(loop: Callable[[], list[float]]) -> Callable[[], list[float]]:
    SOUND.append(loop)
    return loop


def mlp(*sizes: int, last: nn.Module | None = None) -> nn.Sequential:
    layers: list[nn.Module] = []
    for a, b in itertools.pairwise(sizes):
        layers += [nn.Linear(a, b), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers[:-1], *([last] if last else []))


def generator() -> nn.Sequential:
    return mlp(3, 8, 2)


def critic() -> nn.Sequential:
    return mlp(2, 8, 1)


def points(n: int = 8, batch: int = 16) -> Iterator[Tensor]:
    """Batches of points on a ring."""
    draw = torch.Generator().manual_seed(1)
    for _ in range(n):
        angle = torch.rand(batch, generator=draw) * 6.283
        yield torch.stack([angle.cos(), angle.sin()], 1) + 0.05 * torch.randn(batch, 2, generator=draw)


def pixels(n: int = 8, batch: int = 16, size: int = 6) -> Iterator[Tensor]:
    """Batches of numbers between 0 and 1."""
    draw = torch.Generator().manual_seed(2)
    for _ in range(n):
        yield torch.rand(batch, size, generator=draw)


class Autoencoder(nn.Module):
    def __init__(self, size: int = 6, code: int = 3) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(size, 8, code), mlp(code, 8, size, last=nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return self.decoder(self.encoder(x))


class VAE(nn.Module):
    def __init__(self, size: int = 6, code: int = 3) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(size, 8, 2 * code), mlp(code, 8, size, last=nn.Sigmoid())

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_variance = self.encoder(x).chunk(2, 1)
        return mean, log_variance

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, log_variance = self.encode(x)
        z = mean + torch.randn_like(mean) * (0.5 * log_variance).exp()
        return self.decoder(z), mean, log_variance


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    return -0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1).mean()
