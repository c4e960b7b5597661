"""A plugin of parts that do not fit: each breaks one promise (``--plugin misfit_parts.py``)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo import api


@api.hookimpl
def zoo_components() -> list[api.Component]:
    def part(kind: str, name: str, target: str, contract: str = "") -> api.Component:
        return api.Component(kind, name, f"misfit_parts:{target}", "does not fit", contract)

    return [
        part("decoder", "small", "Small"),
        part("decoder", "wide", "Wide", "B 100 -> B C H W"),
        part("decoder", "odd", "Wide", "B murk -> B C H W"),
        part("decoder", "several", "Several", "B latent -> B C H W, B K, B K"),
        part("decoder", "alone", "Small", "B latent -> B C H W, B K"),
        part("decoder", "refuses", "Refuses"),
        part("decoder", "crashes", "Crashes"),
        part("decoder", "no-module", "no_module"),
        part("decoder", "gone", "Gone"),
        part("critic", "refuses-too", "Refuses"),
        part("encoder", "narrow", "Narrow"),
        part("encoder", "three", "Narrow", "B C H W -> B K"),
        part("encoder", "says-three", "Narrow", "B C H W -> B 3"),
        part("encoder", "mapped", "Mapped", "B C H W -> B depth H/factor W/factor"),
        part("encoder", "real", "Real"),
        part("encoder", "wordy", "Wordy"),
        part("encoder", "one-sigma", "OneSigma"),
        part("critic", "bare", "Bare"),
        part("critic", "pair", "Pair", "B C H W, B latent -> B"),
        part("optimizer", "forgetful", "forgetful"),
        part("optimizer", "closing", "closing"),
        part("value", "twice", "twice"),
        part("value", "decoded", "decoded"),
        part("value", "halved", "halved"),
        part("term", "vector", "vector"),
        part("term", "stopped", "stopped"),
    ]


class Painter(nn.Module):
    """A dense layer to an image."""

    def __init__(self, inputs: int, channels: int, side: int) -> None:
        super().__init__()
        self.shape = channels, side, side
        self.dense = nn.Linear(inputs, channels * side**2)

    def forward(self, z: Tensor) -> Tensor:
        return self.dense(z).unflatten(1, self.shape)


class Small(Painter):
    """Images of half the size."""

    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__(latent, channels, size // 2)


class Wide(Painter):
    """Codes of 100."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(100, channels, size)


class Mapped(nn.Module):
    """Codes that are maps."""

    def __init__(self, channels: int, *, depth: int = 4, factor: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 2 * depth, factor, factor)

    def forward(self, x: Tensor) -> Any:
        return api.Gaussian(*self.conv(x).chunk(2, 1))


class Several(Painter):
    """Images, and what else was asked for; of two things alike, one is larger."""

    def __init__(self, channels: int, size: int, latent: int, *, count: int = 3) -> None:
        super().__init__(latent, channels, size)
        self.count = count

    def forward(self, z: Tensor) -> Any:
        return (super().forward(z), z[:, :4], z)[: self.count]


class Refuses(nn.Module):
    def __init__(self, size: int) -> None:
        raise ValueError(f"this network needs a size of 64, not {size}")


class Crashes(Small):
    def forward(self, _: Tensor) -> Tensor:
        raise RuntimeError("boom")


def no_module(size: int) -> Any:
    return size


class Narrow(nn.Module):
    """Codes of 3."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.dense = nn.Linear(channels * size**2, 3)

    def forward(self, x: Tensor) -> Any:
        h = self.dense(x.flatten(1))
        return api.Gaussian(h, h)


class Real(nn.Module):
    """Looks at the numbers, of which meta has none, and gives codes of 3 where they are not all alike."""

    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__()
        self.dense = nn.Linear(channels * size**2, latent)

    def forward(self, x: Tensor) -> Any:
        h = self.dense(x.flatten(1))
        if x.device.type != "meta" and x.std() > 0:
            h = h[:, :3]
        return api.Gaussian(h, h)


class Wordy(Narrow):
    def __init__(self, channels: int, size: int, *, words: bool = False) -> None:
        super().__init__(channels, size)
        self.words = words

    def forward(self, _: Tensor) -> Any:
        return ("mean", "log_sigma") if self.words else "code"


class OneSigma(nn.Module):
    """Codes with one deviation for all of an image."""

    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__()
        self.dense = nn.Linear(channels * size**2, latent)

    def forward(self, x: Tensor) -> Any:
        h = self.dense(x.flatten(1))
        return api.Gaussian(h, h[:, :1])


class Bare(OneSigma):
    """A logit and nothing about it."""

    def forward(self, x: Tensor) -> Any:
        return self.dense(x.flatten(1))[:, 0]


class Pair(nn.Module):
    def __init__(self, channels: int, size: int, latent: int) -> None:
        super().__init__()
        self.dense = nn.Linear(channels * size**2 + latent, 1)

    def forward(self, x: Tensor, z: Tensor) -> Any:
        return api.CriticOutput(self.dense(torch.cat([x.flatten(1), z], 1)).squeeze(1))


def vector(x: Tensor, reconstruction: Tensor) -> Tensor:
    return (x - reconstruction).flatten(1).sum(1)


def stopped(reconstruction: Tensor) -> Tensor:
    return reconstruction.detach().sum()


def twice(decoder: Any, z: Tensor) -> Any:
    return decoder(z, z)


def decoded(decoder: Any, images: Tensor) -> Any:
    return decoder(images)


def halved(critic: Any, x: Tensor) -> Any:
    return critic(x[..., ::2, ::2])


def forgetful(parameters: list[nn.Parameter]) -> Any:
    torch.optim.SGD(parameters)


def closing(parameters: list[nn.Parameter]) -> Any:
    return torch.optim.LBFGS(parameters)
