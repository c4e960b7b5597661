"""Quantisers whose codebook is a grid: finite scalar quantisation, and by signs.

B batch, D channels of a code, L levels of a channel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import normalize, softplus

from zoo_quantise.quantised import Quantised, Quantiser, codes_of, straight_through

MOST = 2**22
"""Entries, at most, whose use can be counted."""
LEAST = 1e-12
"""Share of an entry below which it has no gradient, which would be infinite at 0."""
GROUP = 9
"""Bits, at most, whose joint entropy is taken: 512 entries for each code."""


class FSQ(Quantiser):
    """Finite scalar quantisation (Mentzer et al. 2023): each channel is bounded and rounded to one of L levels.

    Nothing of it learns, and it needs no term. Levels are from -1 to 1, or, of an even number, to one step below.

    Args:
        latent: shape of the codes, (D, ...).
        levels: L of each channel, D of them; [8, 5, 5, 5] are 1,000 entries.

    Raises:
        ValueError: levels that are not D, or fewer than 2.
    """

    levels: Tensor
    basis: Tensor

    def __init__(self, latent: tuple[int, ...], *, levels: tuple[int, ...] = (8, 5, 5, 5)) -> None:
        if len(levels) != latent[0]:
            raise ValueError(
                f"{len(levels)} levels, {list(levels)}, do not fit codes of {latent[0]} channels: give one for each, "
                f"or set the encoder's depth to {len(levels)}"
            )
        if min(levels) < 2:
            raise ValueError(f"levels {list(levels)} have one of {min(levels)}: choose 2 or more")
        super().__init__((math.prod(levels),))
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        basis = [math.prod(levels[:place]) for place in range(len(levels))]
        self.register_buffer("basis", torch.tensor(basis), persistent=False)

    def forward(self, z: Tensor) -> Quantised:
        """Codes (B, D, ...) -> the same, quantised, each number in [-1, 1]."""
        levels = self.levels.to(z.dtype).view(-1, *[1] * (z.ndim - 2))
        half = (levels - 1) * (1 + 1e-3) / 2  # a little more, so that the outermost are reached
        offset = 0.5 * (levels % 2 == 0).to(z.dtype)
        bounded = (z + (offset / half).atanh()).tanh() * half - offset
        rounded = bounded.round()
        code = straight_through(bounded, rounded) / (levels / 2).floor()
        index = self._numbers((rounded.detach() + (levels / 2).floor()).long())
        self._count(index)
        return Quantised(code, code[:, None].detach(), index)

    def lookup(self, index: Tensor) -> Tensor:
        """Numbers of entries (B, 1, ...) -> codes (B, D, ...)."""
        view = self.levels.view(-1, *[1] * (index.ndim - 2))
        steps = index // self.basis.view(view.shape) % view
        return (steps - view // 2).to(self.usage) / (view // 2)

    def _numbers(self, steps: Tensor) -> Tensor:
        """Levels (B, D, ...), from 0 -> numbers of entries, (B, 1, ...), the first channel counting fastest."""
        return (steps * self.basis.view(-1, *[1] * (steps.ndim - 2))).sum(1, keepdim=True)


class LFQ(Quantiser):
    """Lookup-free quantisation (Yu et al. 2023): each channel is replaced by its sign, so D channels are 2^D entries.

    The term ``code_entropy`` keeps all of them in use; ``commitment`` holds codes near their signs.

    Args:
        latent: shape of the codes, (D, ...).
        spherical: codes have length 1 and entries are corners of a cube in that sphere (BSQ, Zhao et al. 2024).

    Raises:
        ValueError: more channels than entries can be counted of.
    """

    def __init__(self, latent: tuple[int, ...], *, spherical: bool = False) -> None:
        if 2 ** latent[0] > MOST:
            most = int(math.log2(MOST))
            raise ValueError(f"codes of {latent[0]} channels are 2^{latent[0]} entries: take {most} channels or fewer")
        super().__init__((2 ** latent[0],))
        self.depth, self.spherical, self.scale = latent[0], spherical, latent[0] ** -0.5 if spherical else 1.0

    def forward(self, z: Tensor) -> Quantised:
        """Codes (B, D, ...) -> the same, quantised: +1 or -1, divided by the root of D where ``spherical``."""
        z, scale = self.prepared(z), self.scale
        code = (2.0 * (z > 0) - 1).to(z.dtype) * scale
        index = ((z > 0).long() << self._places(z)).sum(1, keepdim=True)
        self._count(index)
        return Quantised(straight_through(z, code), code[:, None], index)

    def prepared(self, z: Tensor) -> Tensor:
        """z, of length 1 where it is told so."""
        return normalize(z, dim=1) if self.spherical else z

    def lookup(self, index: Tensor) -> Tensor:
        """Numbers of entries (B, 1, ...) -> codes (B, D, ...)."""
        return (2.0 * (index >> self._places(index) & 1) - 1).to(self.usage) * self.scale

    def _places(self, like: Tensor) -> Tensor:
        return torch.arange(self.depth, device=like.device).view(-1, *[1] * (like.ndim - 2))

    def entropies(self, z: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """Mean entropy of a code's entry, and the entropy of all codes' entries together, in nats, two scalars.

        p(entry | z) ~ exp(-|z - entry|^2 / temperature), which is independent over channels. The second is the sum
        over groups of at most 9 channels of their joint entropies: exact for D up to 9, an upper bound above.
        """
        codes, scale = codes_of(self.prepared(z)), self.scale
        logit = 4 * scale / temperature * codes  # (M, D), of being positive
        positive = torch.sigmoid(logit)
        each = (softplus(logit) - logit * positive).sum(1).mean()
        together = codes.new_zeros(())
        for group in positive.split(GROUP, dim=1):
            joint = group.new_ones(len(group), 1)
            for bit in group.unbind(1):
                joint = torch.cat([joint * (1 - bit)[:, None], joint * bit[:, None]], 1)
            together = together + torch.special.entr(joint.mean(0).clamp_min(LEAST)).sum()
        return each, together
