"""Priors that learn, as players of the row whose ``kl`` goes through them: mixtures of Gaussians, and a flow.

B batch, K dimensions of a code, whatever its shape; M components. Log-densities are in nats, (B,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from zoo import api


@dataclass(frozen=True)
class Mixture:
    """sum_m w_m N(mean_m, sigma_m^2), of diagonal Gaussians.

    Args:
        means: (M, ...).
        log_sigmas: of the same shape.
        log_weights: log w, (M,).
    """

    means: Tensor
    log_sigmas: Tensor
    log_weights: Tensor

    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        """``batch`` codes, (B, ...)."""
        numbers, normal = draw.uniform(batch), draw.normal(batch, *self.means.shape[1:])
        ends = self.log_weights.exp().cumsum(0)
        which = torch.searchsorted(ends / ends[-1], numbers.to(ends), right=True).clamp(max=len(ends) - 1)
        return self.means[which] + self.log_sigmas[which].exp() * normal

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) of codes (B, ...), (B,)."""
        apart = z.flatten(1)[:, None] - self.means.flatten(1)
        log_sigmas = self.log_sigmas.flatten(1)
        each = -0.5 * (apart * (-log_sigmas).exp()).square() - log_sigmas - 0.5 * math.log(2 * math.pi)
        return torch.logsumexp(each.sum(2) + self.log_weights, 1)


class LearnedMixture(nn.Module):
    """A mixture of diagonal Gaussians that learns its weights, means and deviations (Jiang et al. 2017, section 3.1).

    Weights and deviations are 1/M and 1 at first, means N(0, I).

    Args:
        latent: K, dimensions of a code, or its shape.
        components: M.

    Raises:
        ValueError: if there is no component.
    """

    def __init__(self, latent: int | tuple[int, ...], *, components: int = 10) -> None:
        super().__init__()
        if components < 1:
            raise ValueError(f"'components' is at least 1, not {components}")
        shape = (latent,) if isinstance(latent, int) else tuple(latent)
        self.means = nn.Parameter(torch.randn(components, *shape))
        self.log_sigmas = nn.Parameter(torch.zeros(components, *shape))
        self.logits = nn.Parameter(torch.zeros(components))

    def mixture(self) -> Mixture:
        """It, as it is now."""
        return Mixture(self.means, self.log_sigmas, self.logits.log_softmax(0))

    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        """``batch`` codes, (B, K) or of any other shape."""
        return self.mixture().sample(batch, draw)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) of codes (B, K) or of any other shape, (B,)."""
        return self.mixture().log_prob(z)


class PseudoInputs(nn.Module):
    """Images that learn, M of them, within [-1, 1]: noise about 0 at first (Tomczak & Welling 2018, section 3.1).

    Args:
        channels: C.
        height: H.
        width: W.
        count: M.

    Raises:
        ValueError: if there is none.
    """

    def __init__(self, channels: int, height: int, width: int, *, count: int = 500) -> None:
        super().__init__()
        if count < 1:
            raise ValueError(f"'count' is at least 1, not {count}")
        self.images = nn.Parameter(0.2 * torch.randn(count, channels, height, width))

    def forward(self) -> Tensor:
        """The images, (M, C, H, W)."""
        return self.images.tanh()


def vamp_prior(encoder: nn.Module, pseudo_inputs: nn.Module) -> Mixture:
    """p(z) = mean_m q(z|u_m), u the slot ``pseudo_inputs`` (Tomczak & Welling 2018, eq. 9); its name is ``prior``."""
    q: api.Gaussian = encoder(pseudo_inputs())
    return Mixture(q.mean, q.log_sigma, q.mean.new_full((len(q.mean),), -math.log(len(q.mean))))


class Coupling(nn.Module):
    """Half of a vector to itself, the other to (b - t(a)) exp(-s(a)) (Dinh et al. 2017, eq. 7, 8, undone).

    s, of which the tangens hyperbolicus keeps it within -1 and 1, and t are 0 at first.

    Args:
        size: K, 2 or more.
        width: units of the hidden layer.
        swap: whether b is the first half.
    """

    def __init__(self, size: int, width: int, swap: bool) -> None:
        super().__init__()
        self.first, self.swap = size // 2, swap
        kept = size - self.first if swap else self.first
        head = nn.Linear(width, 2 * (size - kept))
        nn.init.zeros_(head.weight)
        nn.init.zeros_(head.bias)
        self.body = nn.Sequential(nn.Linear(kept, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), head)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Vectors (B, K) -> vectors (B, K) and the log-determinant, (B,)."""
        kept, moved, log_scale, shift = self._halves(z)
        return self._whole(kept, (moved - shift) * (-log_scale).exp()), -log_scale.sum(1)

    def undo(self, u: Tensor) -> Tensor:
        """What ``forward`` made vectors (B, K) of."""
        kept, moved, log_scale, shift = self._halves(u)
        return self._whole(kept, moved * log_scale.exp() + shift)

    def _halves(self, z: Tensor) -> Sequence[Tensor]:
        first, second = z.split([self.first, z.shape[1] - self.first], 1)
        kept, moved = (second, first) if self.swap else (first, second)
        raw, shift = self.body(kept).chunk(2, 1)
        return kept, moved, raw.tanh(), shift

    def _whole(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat([moved, kept] if self.swap else [kept, moved], 1)


class Flow(nn.Module):
    """A normal distribution through affine coupling layers (RealNVP, Dinh et al. 2017): N(0, I) at first.

    Args:
        latent: K, dimensions of a code, or its shape; 2 or more.
        layers: of coupling, which move the two halves of a code in turn.
        width: units of each hidden layer.

    Raises:
        ValueError: if a code has one dimension, or layers or width are less than 1.
    """

    def __init__(self, latent: int | tuple[int, ...], *, layers: int = 6, width: int = 128) -> None:
        super().__init__()
        self.shape = (latent,) if isinstance(latent, int) else tuple(latent)
        size = math.prod(self.shape)
        if size < 2:
            raise ValueError(
                "a coupling layer has two halves: codes of 1 dimension have none; set 'latent' to 2 or more"
            )
        if min(layers, width) < 1:
            raise ValueError(f"'layers' and 'width' are at least 1, not {layers} and {width}")
        self.layers = nn.ModuleList(Coupling(size, width, swap=bool(i % 2)) for i in range(layers))

    def sample(self, batch: int, draw: api.Draw) -> Tensor:
        """``batch`` codes, (B, K) or of any other shape."""
        u = draw.normal(batch, math.prod(self.shape))
        for layer in reversed(self.layers):
            u = layer.undo(u)
        return u.view(batch, *self.shape)

    def log_prob(self, z: Tensor) -> Tensor:
        """log p(z) of codes (B, K) or of any other shape, (B,)."""
        u, volume = z.flatten(1), z.new_zeros(len(z))
        for layer in self.layers:
            u, log_determinant = layer(u)
            volume = volume + log_determinant
        return volume - 0.5 * (u.square() + math.log(2 * math.pi)).sum(1)
