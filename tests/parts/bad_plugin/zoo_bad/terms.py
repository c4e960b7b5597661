"""Terms, each with one fault, and some that make a recipe bad."""

from __future__ import annotations

import itertools
import os

import torch
from torch import Tensor, nn

COUNTER = itertools.count()


def term_good(x: Tensor, reconstruction: Tensor, *, power: float = 2.0) -> Tensor:
    """Distance of reconstructions.

    Args:
        power: of the error.
    """
    return (x - reconstruction).abs().pow(power).sum() / len(x)


class term_signature(nn.Module):
    """Asks for a size that there is not."""

    def __init__(self, colour: int) -> None:
        super().__init__()
        self.colour = colour

    def forward(self, reconstruction: Tensor) -> Tensor:
        return reconstruction.mean()


def term_options_documented(reconstruction: Tensor, *, power: float = 2.0) -> Tensor:
    """Light."""
    return reconstruction.abs().pow(power).mean()


def term_options_round_trip(reconstruction: Tensor, *, power: int = 2.5) -> Tensor:  # type: ignore[assignment]
    """Light.

    Args:
        power: of it.
    """
    return reconstruction.abs().pow(power).mean()


def term_example(reconstruction: Tensor, *, power: float) -> Tensor:
    """Light.

    Args:
        power: of it.
    """
    return reconstruction.abs().pow(power).mean()


def term_scalar(reconstruction: Tensor) -> Tensor:
    """The light of each image."""
    return reconstruction.flatten(1).mean(1)


def term_gradients(reconstruction: Tensor) -> Tensor:
    """Light that nobody is moved by."""
    return reconstruction.detach().mean()


def term_determinism(reconstruction: Tensor) -> Tensor:
    """Another one each time."""
    return reconstruction.mean() * next(COUNTER)


def term_inputs_untouched(reconstruction: Tensor) -> Tensor:
    """Light, and more of it."""
    return reconstruction.add_(1).mean()


def term_dtype(reconstruction: Tensor) -> Tensor:
    """Light, rounded to float32."""
    return reconstruction.float().mean()


def term_device_move(reconstruction: Tensor) -> Tensor:
    """Light, on the CPU wherever the images are."""
    light = reconstruction.mean()
    return torch.zeros(()) if light.is_meta else light


def term_no_global_side_effect(reconstruction: Tensor) -> Tensor:
    """Light, and a word in the environment."""
    os.environ["ZOO_BAD"] = str(next(COUNTER))
    return reconstruction.mean()


class _Judge(nn.Module):
    """A term that owns a network: it likes what it has seen."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        self.gain = 1.0
        self.taste = nn.Linear(channels * size**2, 1)

    def forward(self, reconstruction: Tensor) -> Tensor:
        return self.gain * self.taste(reconstruction.flatten(1)).mean()

    def learn(self, reconstruction_held: Tensor) -> Tensor:
        return self.taste(reconstruction_held.flatten(1)).square().mean()


class term_learn(_Judge):
    """One of its parameters learns nothing."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.idle = nn.Parameter(torch.zeros(1))


class term_state_dict_round_trip(_Judge):
    """Remembers its gain outside its state."""

    def __init__(self, channels: int, size: int) -> None:
        super().__init__(channels, size)
        self.gain = torch.rand((), device="cpu").item()


class term_pickle_free_save(_Judge):
    """Has a state that is no tensor."""

    def get_extra_state(self) -> dict[str, int]:
        return {"steps": 3}


# -- of bad recipes ------------------------------------------------------------------------------------------


def term_infinite(reconstruction: Tensor) -> Tensor:
    """Infinite light."""
    return reconstruction.mean() / 0


class term_moody(nn.Module):
    """At the first step, as the mood is; later the light."""

    def __init__(self) -> None:
        super().__init__()
        self.mood = float(next(COUNTER))

    def forward(self, reconstruction: Tensor, step: int) -> Tensor:
        return reconstruction.square().mean() * (1 if step else 1000 * (-1) ** self.mood)


class term_forgetful(nn.Module):
    """Counts its calls outside its state."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, reconstruction: Tensor) -> Tensor:
        self.calls += 1
        return reconstruction.square().mean() * (-1) ** self.calls
