"""Vector quantisers with codebooks that learn: VQ, residual VQ, SimVQ.

B batch, D channels of a code, N entries, M codes of a batch.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import embedding, normalize

from zoo_quantise.quantised import Quantised, Quantiser, codes_of, map_of, straight_through, summed

FAINT = 1e-6
"""Weight of the place that an entry began at, as a share of even use: what was given no code stays there."""
STRIDE, JUMP = 7_919, 104_729
"""Primes: spare codes are taken from all over a batch, and from elsewhere each time."""


class Codebook(nn.Module):
    """N entries, of which each code is given the nearest.

    With ``ema`` an entry is the mean of the codes it was given, of late (van den Oord et al. 2017, appendix A.1):

        usage <- d usage + (1 - d) (share of the codes),  sums <- d sums + (1 - d) (their sum / M),
        entry = sums / usage

    Both begin at nothing, so that the first means are over all codes there were (k-means, MacQueen 1967). Otherwise
    entries learn by gradient. One that is used less than ``revive`` times as often as if all were used alike is put
    where a code of the batch before was (Dhariwal et al. 2020); so the first batch gives a new codebook its entries.

    What is kept is a mean over codes, or becomes one: where several processes train, and the buffers that they changed
    are averaged after a step, the codebook is that of one process, without a collective here.

    Args:
        entries: N.
        depth: D.
        ema: whether entries are means, or else learn by gradient.
        decay: d.
        revive: share of even use; 0 for never.
        normalised: codes and entries have length 1 (Yu et al. 2022), and nearest is most alike.
    """

    usage: Tensor
    sums: Tensor
    anchor: Tensor
    shift: Tensor
    spare: Tensor
    whole: Tensor
    turn: Tensor

    def __init__(self, entries: int, depth: int, ema: bool, decay: float, revive: float, normalised: bool) -> None:
        super().__init__()
        self.ema, self.decay, self.revive, self.normalised = ema, decay, revive, normalised
        first = torch.randn(entries, depth) / depth**0.5
        self.register_buffer("usage", torch.zeros(entries))
        self.register_buffer("spare", torch.zeros(entries, depth))
        self.register_buffer("whole", torch.zeros(()))
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))
        if ema:
            self.register_buffer("sums", torch.zeros(entries, depth))
            self.register_buffer("anchor", first)
        else:
            self.weight = nn.Parameter(first)
            self.register_buffer("shift", torch.zeros(entries, depth))

    def table(self) -> Tensor:
        """The entries, (N, D)."""
        if self.ema:
            faint = FAINT / len(self.usage)
            table = (self.sums + faint * self.anchor) / (self.usage + faint)[:, None]
        else:
            table = self.weight + self.shift
        return normalize(table, dim=1) if self.normalised else table

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes (M, D) -> their entries (M, D), and the numbers of these, (M,)."""
        learns = self.training and torch.is_grad_enabled()
        if learns:
            self._revive()
        table = self.table()
        index = nearest(codes, table)
        if learns:
            self._keep(codes, index)
        return embedding(index, table), index

    @torch.no_grad()
    def _keep(self, codes: Tensor, index: Tensor) -> None:
        """Takes a batch into the running sums, and keeps a code of it for each entry that may need one."""
        entries = len(self.usage)
        share = summed(index, torch.ones_like(codes[:, 0]), entries) / len(codes)
        self.usage.lerp_(share, 1 - self.decay)  # where it lies: a recorded step finds it there
        if self.ema:
            self.sums.lerp_(summed(index, codes, entries) / len(codes), 1 - self.decay)
        count, rank = (dist.get_world_size(), dist.get_rank()) if _several() else (1, 0)
        # entry i takes a code of the whole batch, which one process has: the mean over all is that code
        total = len(codes) * count
        place = (torch.arange(entries, device=codes.device) * STRIDE + self.turn * JUMP) % total - rank * len(codes)
        mine = ((place >= 0) & (place < len(codes))).to(codes)
        self.spare.copy_(codes[place.clamp(0, len(codes) - 1)] * (mine * count)[:, None])
        self.whole.fill_(count if rank == 0 else 0)  # whose mean is 1
        self.turn.add_(1)

    @torch.no_grad()
    def _revive(self) -> None:
        """Puts entries that are hardly used where codes were, once what is spare is the whole of what processes had."""
        least = self.revive / len(self.usage)
        dead = (self.usage < least) & (self.whole == 1)
        self.usage.copy_(torch.where(dead, 2 * least, self.usage))
        if self.ema:
            self.anchor.copy_(torch.where(dead[:, None], self.spare, self.anchor))
            self.sums.copy_(torch.where(dead[:, None], self.spare * self.usage[:, None], self.sums))
        else:
            self.shift.copy_(torch.where(dead[:, None], self.spare - self.weight, self.shift))


@torch.no_grad()
def nearest(codes: Tensor, table: Tensor) -> Tensor:
    """The number of the nearest entry of each code, (M,)."""
    with in_full(codes):
        return (table.square().sum(1) - 2 * codes @ table.T).argmin(1)


def in_full(codes: Tensor) -> AbstractContextManager[object]:
    """Inside, numbers keep their precision, whatever the networks around compute in."""
    device = codes.device.type
    return torch.autocast(device, enabled=False) if torch.amp.is_autocast_available(device) else nullcontext()


def _several() -> bool:
    return dist.is_available() and dist.is_initialized()


class _Books(Quantiser):
    """Quantises by codebooks, each of what those before left (Zeghidour et al. 2021)."""

    def __init__(self, depth: int, books: list[nn.Module], sizes: tuple[int, ...], normalised: bool) -> None:
        super().__init__(sizes)
        self.depth, self.normalised = depth, normalised
        self.books = nn.ModuleList(books)

    def forward(self, z: Tensor, kept: Tensor | None = None) -> Quantised:
        """Codes (B, D, ...) -> the same, quantised; of image i by the first ``kept[i]`` codebooks alone."""
        if z.shape[1] != self.depth:
            raise ValueError(f"its entries have {self.depth} numbers, and a code here {z.shape[1]}: set depth")
        z = self.prepared(z)
        codes = codes_of(z)
        left, entries, index = codes, [], []
        for number, book in enumerate(self.books):
            entry, which = book(left)
            if kept is not None:
                used = (kept > number).repeat_interleave(len(codes) // len(z))[:, None]
                entry = entry * used.to(entry)
            left = left - entry.detach()
            entries.append(map_of(entry, z))
            index.append(map_of(which, z))
        found = torch.stack(index, 1)
        self._count(found)
        stacked = torch.stack(entries, 1)
        return Quantised(straight_through(z, stacked.sum(1)), stacked, found)

    def lookup(self, index: Tensor) -> Tensor:
        """Numbers of entries (B, Q, ...) -> codes (B, D, ...), the sum of what each codebook has."""
        tables = [book.table() for book in self.books]
        found = [embedding(i, table) for i, table in zip(index.unbind(1), tables, strict=True)]
        return torch.stack(found).sum(0).movedim(-1, 1)

    def prepared(self, z: Tensor) -> Tensor:
        """z, of length 1 where it is told so."""
        return normalize(z, dim=1) if self.normalised else z


class VQ(_Books):
    """Vector quantisation (van den Oord et al. 2017): each code is replaced by the nearest of N entries.

    Args:
        latent: shape of the codes, (D, ...).
        entries: N.
        learn: how the codebook does: ``ema``, as means of the codes it was given, in no row; or ``gradient``, by the
            term ``codebook`` in a row of its own.
        decay: of these means.
        revive: an entry that is used less than this share of even use is put where a code is; 0 for never.
        normalised: codes and entries have length 1 (Yu et al. 2022).

    Raises:
        ValueError: fewer than 2 entries, or a number out of its range.
    """

    def __init__(
        self,
        latent: tuple[int, ...],
        *,
        entries: int = 1024,
        learn: Literal["ema", "gradient"] = "ema",
        decay: float = 0.99,
        revive: float = 0.03,
        normalised: bool = False,
    ) -> None:
        _check(entries, decay, revive)
        book = Codebook(entries, latent[0], learn == "ema", decay, revive, normalised)
        super().__init__(latent[0], [book], (entries,), normalised)


class ResidualVQ(_Books):
    """Residual vector quantisation (Zeghidour et al. 2021): each codebook quantises what those before left of a code.

    Args:
        latent: shape of the codes, (D, ...).
        books: how many codebooks.
        entries: N, of each.
        learn: as for ``vq``.
        decay: as for ``vq``.
        revive: as for ``vq``.

    Raises:
        ValueError: no codebook, fewer than 2 entries, or a number out of its range.
    """

    def __init__(
        self,
        latent: tuple[int, ...],
        *,
        books: int = 4,
        entries: int = 1024,
        learn: Literal["ema", "gradient"] = "ema",
        decay: float = 0.99,
        revive: float = 0.03,
    ) -> None:
        _check(entries, decay, revive)
        if books < 1:
            raise ValueError(f"books {books} is none: choose 1 or more")
        made = [Codebook(entries, latent[0], learn == "ema", decay, revive, False) for _ in range(books)]
        super().__init__(latent[0], list[nn.Module](made), (entries,) * books, False)


class _Linear(nn.Module):
    """SimVQ's codebook: entries that never learn, through a linear map that does."""

    frozen: Tensor

    def __init__(self, entries: int, depth: int) -> None:
        super().__init__()
        self.register_buffer("frozen", torch.randn(entries, depth) / depth**0.5)
        self.map = nn.Linear(depth, depth, bias=False)

    def table(self) -> Tensor:
        """The entries, (N, D)."""
        with in_full(self.frozen):
            return self.map(self.frozen)

    def forward(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        table = self.table()
        index = nearest(codes, table)
        return embedding(index, table), index


class SimVQ(_Books):
    """SimVQ (Zhu et al. 2024): one linear map of a random codebook learns, so that all entries move with each.

    The map learns by the term ``codebook`` in a row of its own.

    Args:
        latent: shape of the codes, (D, ...).
        entries: N.

    Raises:
        ValueError: fewer than 2 entries.
    """

    def __init__(self, latent: tuple[int, ...], *, entries: int = 1024) -> None:
        _check(entries)
        super().__init__(latent[0], [_Linear(entries, latent[0])], (entries,), False)


def _check(entries: int, decay: float = 0.99, revive: float = 0.0) -> None:
    if entries < 2:
        raise ValueError(f"a codebook of {entries} entries tells nothing: choose 2 or more")
    if not 0 <= decay < 1:
        raise ValueError(f"decay is what is kept of a mean, from 0 to less than 1, and not {decay:g}")
    if not 0 <= revive < 1:
        raise ValueError(f"revive is a share of even use, from 0 to less than 1, and not {revive:g}")
