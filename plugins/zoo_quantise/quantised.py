"""What quantisers give, and what all of them keep: how often each entry is used.

B batch, D channels of a code, Q codebooks, N entries of one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

ALARM = 0.1
"""Share of the entries below which a codebook's perplexity is an alarm."""


@dataclass(frozen=True)
class Quantised:
    """Codes, each replaced by entries of codebooks.

    Args:
        code: (B, D, ...), with the gradient of what was quantised (straight through).
        entries: (B, Q, D, ...), of each codebook the entry, with the gradient of the codebook, if that learns by one; a
            code is their sum.
        index: (B, Q, ...), their numbers, int64.
    """

    code: Tensor
    entries: Tensor
    index: Tensor

    @property
    def mean(self) -> Tensor:
        """The code, by the name that it has in a posterior."""
        return self.code


class Quantiser(nn.Module):
    """A quantiser of codes (B, D, ...), whose every place is a code of D numbers.

    Args:
        sizes: entries of each codebook.
        decay: what is kept of ``usage`` from step to step.
    """

    usage: Tensor

    def __init__(self, sizes: tuple[int, ...], decay: float = 0.99) -> None:
        super().__init__()
        self.sizes, self.keep = sizes, decay
        self.register_buffer("usage", torch.cat([torch.full((n,), 1 / n) for n in sizes]))

    def alarm(self) -> str:
        """A sentence where few entries are in use; ``zoo build`` asks for it now and then."""
        for number, share in enumerate(self.usage.split(self.sizes), 1):
            n, used = len(share), perplexity(share)
            if used < ALARM * n:
                which = f"codebook {number}" if len(self.sizes) > 1 else "its codebook"
                return (
                    f"codebook collapse: {which} of {n} entries is used as if it had {used:.3g} (perplexity, below "
                    f"{ALARM:.0%}). Give it fewer or shorter entries (depth), raise revive, or lower the encoder's lr"
                )
        return ""

    def prepared(self, z: Tensor) -> Tensor:
        """The codes that it looks up: z, of length 1 where it is told so."""
        return z

    def _count(self, index: Tensor) -> None:
        """Takes the entries of a training batch, (B, Q, ...), into ``usage``."""
        if self.training and torch.is_grad_enabled():
            shares = [shares_of(one, n) for one, n in zip(index.unbind(1), self.sizes, strict=True)]
            self.usage.lerp_(torch.cat(shares).to(self.usage), 1 - self.keep)


def shares_of(index: Tensor, entries: int) -> Tensor:
    """The share of codes that each entry has, (N,)."""
    return summed(index.flatten(), torch.ones_like(index.flatten(), dtype=torch.float64), entries) / index.numel()


def summed(index: Tensor, rows: Tensor, entries: int) -> Tensor:
    """The sum of the rows of each number, (N, ...), the same at each call on a GPU too."""
    zeros = rows.new_zeros(entries, *rows.shape[1:])
    return zeros.index_put((index,), rows, accumulate=True) if rows.is_cuda else zeros.index_add(0, index, rows)


def perplexity(shares: Tensor) -> float:
    """exp of the entropy of shares, from 1 to N: as many entries, used alike, tell as much."""
    p = shares.double() / shares.double().sum().clamp_min(1e-300)
    return math.exp(float(torch.special.entr(p).sum()))


def codes_of(z: Tensor) -> Tensor:
    """(B, D, ...) -> its codes (B P, D)."""
    return z.reshape(*z.shape[:2], -1).transpose(1, 2).flatten(0, 1)


def map_of(codes: Tensor, like: Tensor) -> Tensor:
    """Codes (B P, D), or their numbers (B P,), laid out as (B, D, ...) is; numbers as (B, ...)."""
    batch, places = like.shape[0], like.shape[2:]
    if codes.ndim == 1:
        return codes.view(batch, *places)
    return codes.view(batch, -1, codes.shape[1]).transpose(1, 2).reshape(batch, codes.shape[1], *places)


def straight_through(z: Tensor, code: Tensor) -> Tensor:
    """The code in value, z in gradient (van den Oord et al. 2017, section 3.2)."""
    return z + (code - z).detach()
