"""A stranger's plugin: a KL autoencoder whose codes are maps, as the image tokenizers of latent diffusion have them
(Rombach et al. 2022), and one whose codes are tokens (``--plugin map_parts.py``)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo import api

DOWN = "B C H W -> B depth H/factor W/factor"


@api.hookimpl
def zoo_components() -> list[api.Component]:
    def part(kind: str, name: str, target: str, contract: str) -> api.Component:
        return api.Component(kind, name, f"map_parts:{target}", "codes that are no vectors", contract)

    return [
        part("encoder", "map", "Encoder", DOWN),
        part("encoder", "free-map", "Encoder", "B C H W -> B N h w"),
        part("decoder", "map", "Decoder", "B latent -> B C H W"),
        part("module", "gate", "Gate", "B depth h w -> B depth h w, B h w"),
        part("module", "judge", "Judge", "B depth h w, B h w -> B classes"),
        part("value", "gated", "gated", ""),
        part("value", "opened", "opened", ""),
        part("value", "painted", "painted", ""),
        part("value", "verdict", "verdict", ""),
        part("term", "sure", "sure", ""),
        part("encoder", "tokens", "Tokens", "B C H W -> B (H/factor)*(W/factor) width"),
        part("decoder", "tokens", "FromTokens", "B latent -> B C H W"),
    ]


class Encoder(nn.Module):
    """A convolution for each halving, then mean and deviation of the map.

    Args:
        depth: channels of the map.
        factor: how many times smaller its sides are, a power of two.
        width: channels in between.
    """

    def __init__(self, channels: int, *, depth: int = 4, factor: int = 4, width: int = 8) -> None:
        super().__init__()
        halvings = factor.bit_length() - 1
        inputs = [channels, *[width] * halvings]
        layers = [layer for c in inputs[:halvings] for layer in (nn.Conv2d(c, width, 4, 2, 1), nn.SiLU())]
        self.net = nn.Sequential(*layers, nn.Conv2d(inputs[-1], 2 * depth, 3, 1, 1))

    def forward(self, x: Tensor) -> api.Gaussian:
        mean, log_sigma = self.net(x).chunk(2, 1)
        return api.Gaussian(mean, log_sigma)


class Decoder(nn.Module):
    """The way back, from a code's shape to that of an image.

    Args:
        width: channels in between.
    """

    def __init__(self, channels: int, size: int, latent: tuple[int, int, int], *, width: int = 8) -> None:
        super().__init__()
        depth, side, _ = latent
        doublings = (size // side).bit_length() - 1
        up = [nn.Sequential(nn.ConvTranspose2d(width, width, 4, 2, 1), nn.SiLU()) for _ in range(doublings)]
        self.net = nn.Sequential(nn.Conv2d(depth, width, 3, 1, 1), nn.SiLU(), *up, nn.Conv2d(width, channels, 3, 1, 1))

    def forward(self, z: Tensor) -> Tensor:
        return self.net(z).tanh()


@dataclass(frozen=True)
class Gated:
    """What a gate lets through of a map, and how far it is open at each place."""

    codes: Tensor
    gate: Tensor


class Gate(nn.Module):
    """Lets less of a map through at some places than at others.

    Args:
        depth: channels of the map.
    """

    def __init__(self, *, depth: int = 4) -> None:
        super().__init__()
        self.score = nn.Conv2d(depth, 1, 1)

    def forward(self, codes: Tensor) -> Gated:
        gate = self.score(codes).sigmoid()
        return Gated(codes * gate, gate.squeeze(1))


class Judge(nn.Module):
    """Logits of classes, of a map and a gate.

    Args:
        depth: channels of the map.
        classes: how many there are.
    """

    def __init__(self, *, depth: int = 4, classes: int = 10) -> None:
        super().__init__()
        self.out = nn.Linear(depth, classes)

    def forward(self, codes: Tensor, gate: Tensor) -> Tensor:
        return self.out((codes * gate[:, None]).mean((2, 3)))


def gated(doorman: nn.Module, posterior_mean: Tensor) -> Gated:
    return doorman(posterior_mean)


def opened(gated: Gated) -> Tensor:
    return gated.codes


def painted(decoder: nn.Module, opened: Tensor) -> Tensor:
    return decoder(opened)


def verdict(judge: nn.Module, gated: Gated) -> Tensor:
    return judge(gated.codes, gated.gate)


def sure(verdict: Tensor) -> Tensor:
    """The entropy of the classes."""
    logs = verdict.log_softmax(1)
    return -(logs.exp() * logs).sum(1).mean()


class Tokens(nn.Module):
    """A token for each square of an image.

    Args:
        factor: side of a square.
        width: dimensions of a token.
    """

    def __init__(self, channels: int, *, factor: int = 8, width: int = 6) -> None:
        super().__init__()
        self.cut = nn.Conv2d(channels, 2 * width, factor, factor)

    def forward(self, x: Tensor) -> api.Gaussian:
        return api.Gaussian(*self.cut(x).flatten(2).transpose(1, 2).chunk(2, 2))


class FromTokens(nn.Module):
    """A square for each token."""

    def __init__(self, channels: int, size: int, latent: tuple[int, ...]) -> None:
        super().__init__()
        count, width = latent
        self.across = int(count**0.5)
        self.paint = nn.ConvTranspose2d(width, channels, size // self.across, size // self.across)

    def forward(self, z: Tensor) -> Tensor:
        squares = z.transpose(1, 2).unflatten(2, (self.across, self.across))
        return torch.tanh(self.paint(squares))
