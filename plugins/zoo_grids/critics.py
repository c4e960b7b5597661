"""Critics of volumes and of signals, whose every place has a logit of its own.

B batch, C channels, L length, X, Y, Z sides.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu, pad

from zoo import api
from zoo_grids.networks import Conv3d


class VolumePatch(nn.Module):
    """A critic of patches of a volume (Isola et al. 2017, in three dimensions): ``layers`` convolutions that halve each
    side, and one to the logits. Taps ``layer1``, ``layer2`` ... are hidden layers after their activation.

    Args:
        channels: C.
        width: channels of the first layer; each next one has twice as many.
        layers: that halve the side.

    Raises:
        ValueError: a number below 1.
    """

    def __init__(self, channels: int, *, width: int = 16, layers: int = 2) -> None:
        super().__init__()
        _check(width=width, layers=layers)
        widths = [channels, *(width * 2**i for i in range(layers))]
        self.layers = nn.ModuleList(Conv3d(a, b, 4, 2, 1) for a, b in pairwise(widths))
        self.logit = Conv3d(widths[-1], 1, 3, padding=1)

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Volumes (B, C, X, Y, Z) -> logits (B, 1, X / 2^layers, ...), and the taps."""
        taps = {}
        for i, layer in enumerate(self.layers, 1):
            taps[f"layer{i}"] = x = leaky_relu(layer(x), 0.2)
        return api.CriticOutput(self.logit(x), taps)


class Waves(nn.Module):
    """Critics of a signal, each of which sees it in another way, all of one weight.

    One for each of ``periods`` folds the signal by so many samples (Kong et al. 2020, section 2.3); one for each of
    ``windows`` sees its complex spectrum through so many (Kumar et al. 2023, section 3.4, without bands). Taps are all
    their hidden layers.

    Args:
        channels: C.
        periods: samples, best without common divisors.
        windows: samples, each four times as long as the hop.
        width: channels of the first layer; each next one has twice as many.
        layers: hidden ones of each.

    Raises:
        ValueError: no critic, or a number below 1.
    """

    def __init__(
        self,
        channels: int,
        *,
        periods: tuple[int, ...] = (2, 3, 5),
        windows: tuple[int, ...] = (64, 256),
        width: int = 8,
        layers: int = 3,
    ) -> None:
        super().__init__()
        _check(width=width, layers=layers, periods=min(periods, default=1), windows=min(windows, default=1))
        if not periods and not windows:
            raise ValueError("it sees nothing: give periods or windows")
        self.periods, self.windows = periods, windows
        seen: list[tuple[int, tuple[int, int], tuple[int, int]]] = [(channels, (5, 1), (3, 1))] * len(periods)
        seen += [(2 * channels, (3, 5), (1, 2))] * len(windows)
        self.critics = nn.ModuleList(_trunk(*one, width, layers) for one in seen)

    def forward(self, x: Tensor) -> api.CriticOutput:
        """Signals (B, C, L) -> logits (B, critics, N), a shorter row repeated to the longest's N, and the taps."""
        views = [*(folded(x, p) for p in self.periods), *(spectrum(x, w) for w in self.windows)]
        rows, taps = [], {}
        for number, (view, critic) in enumerate(zip(views, self.critics, strict=True), 1):
            *hidden, last = critic
            for depth, layer in enumerate(hidden, 1):
                taps[f"critic{number}.layer{depth}"] = view = leaky_relu(layer(view), 0.1)
            rows.append(last(view).flatten(2))
        longest = max(row.shape[2] for row in rows)
        return api.CriticOutput(torch.cat([interpolate(row, longest) for row in rows], 1), taps)


def folded(x: Tensor, period: int) -> Tensor:
    """Signals (B, C, L) -> (B, C, L / period, period), the end mirrored where it does not come out even."""
    return pad(x, (0, -x.shape[2] % period), "reflect").unflatten(2, (-1, period))


def spectrum(x: Tensor, window: int) -> Tensor:
    """Signals (B, C, L) -> real and imaginary parts (B, 2 C, bands, frames), of Hann windows."""
    full = x if x.dtype in (torch.float32, torch.float64) else x.float()  # torch has no other spectra on CPUs
    shape = torch.hann_window(window, device=x.device, dtype=full.dtype)
    options: dict[str, Any] = {"hop_length": max(window // 4, 1), "window": shape, "return_complex": True}
    found = torch.view_as_real(torch.stft(full.flatten(0, 1), window, normalized=True, **options))
    return found.movedim(3, 1).unflatten(0, x.shape[:2]).flatten(1, 2).to(x.dtype)


def _trunk(inputs: int, kernel: tuple[int, int], stride: tuple[int, int], width: int, layers: int) -> nn.ModuleList:
    widths = [inputs, *(width * 2**i for i in range(layers))]
    side = (kernel[0] // 2, kernel[1] // 2)
    hidden = [nn.Conv2d(a, b, kernel, stride, side) for a, b in pairwise(widths)]
    return nn.ModuleList([*hidden, nn.Conv2d(widths[-1], 1, 3, padding=1)])


def _check(**numbers: int) -> None:
    for what, number in numbers.items():
        if number < 1:
            raise ValueError(f"{what} {number} is none: choose 1 or more")
