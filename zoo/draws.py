"""Every random number: a function of the seed, of who draws, when and in whose share of a batch; never of a history."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor


@dataclass(frozen=True)
class Shard:
    """One of ``count`` equal shares of a batch, from 0."""

    index: int = 0
    count: int = 1

    def of(self, whole: Tensor) -> Tensor:
        """This share's rows of what belongs to the whole batch."""
        rows = len(whole) // self.count
        return whole[self.index * rows : (self.index + 1) * rows]

    def part(self, number: int, parts: int) -> Shard:
        """One of ``parts`` equal shares of this share."""
        return Shard(self.index * parts + number, self.count * parts)


WHOLE = Shard()


class Draw:
    """A stream of random numbers that is a function of its key alone, never of a history.

    A value asks for it by naming a parameter ``draw``. The key is (seed, name of the value, step, draw),
    so a resumed run draws what the uninterrupted one drew, and adding a value changes no other's numbers.

    Of a share of a batch, all shares together are what one process would have drawn; what is not drawn in rows, one
    for each image of the share, is the same in every share.

    Args:
        key: anything printable that identifies the stream.
        device: where the numbers are made. On ``meta`` they have a shape and no content.
        dtype: floating type of the numbers.
        shard: which share of a batch they are for.
        rows: images in that share.

    Attributes:
        generator: what makes the numbers; None on ``meta``. It stays, so that a CUDA graph can hold on to it.
    """

    def __init__(
        self, *key: object, device: torch.device, dtype: torch.dtype, shard: Shard = WHOLE, rows: int = 0
    ) -> None:
        self._device, self._dtype, self._shard, self._rows = device, dtype, shard, rows
        self.generator = None if device.type == "meta" else torch.Generator(device)
        self.begin(*key)

    def begin(self, *key: object) -> Draw:
        """The same stream; the numbers that come next are those of this key."""
        if self.generator is not None:
            self.generator.manual_seed(seed_of(*key))
        return self

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of the given shape."""
        return self._drawn("normal", shape)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1) of the given shape."""
        return self._drawn("uniform", shape)

    def _drawn(self, kind: str, shape: tuple[int, ...]) -> Tensor:
        shared = self._shard.count > 1 and shape[:1] == (self._rows,)
        whole = (self._rows * self._shard.count, *shape[1:]) if shared else shape
        draw = torch.randn if kind == "normal" else torch.rand
        numbers = draw(whole, generator=self.generator, device=self._device, dtype=self._dtype)
        return self._shard.of(numbers) if shared else numbers


Draws = Callable[[str], Draw]
"""Who draws -> its stream of random numbers."""


class Streams:
    """The streams of a training; ``dtype`` is that of the numbers."""

    def __init__(self, seed: int, device: torch.device, dtype: torch.dtype) -> None:
        self._seed, self._device, self._dtype = seed, device, dtype
        self._kept: dict[tuple[str, Shard, int], Draw] = {}

    def key(self, step: int, draw: tuple[int, ...], caller: str) -> tuple[object, ...]:
        """The key of the numbers of a caller, a value or term, after so many steps, in a draw of the noise."""
        return (self._seed, "train", step, draw, caller)

    def draws(self, step: int, draw: tuple[int, ...], shard: Shard, rows: int) -> Draws:
        """Who draws -> its stream, which is good until the next is asked for.

        The numbers are those of a share of the whole batch, with ``rows`` images in it.
        """
        return partial(self._stream, step, draw, shard, rows)

    def _stream(self, step: int, draw: tuple[int, ...], shard: Shard, rows: int, caller: str) -> Draw:
        key, who = self.key(step, draw, caller), (caller, shard, rows)
        if who not in self._kept:
            self._kept[who] = Draw(*key, device=self._device, dtype=self._dtype, shard=shard, rows=rows)
        return self._kept[who].begin(*key)

    def begin_global(self, step: int, which: tuple[int, int], shard: Shard) -> None:
        """Dropout and the like draw from the global stream: it too is a function of (seed, step).

        ``which`` is the phase, and which play of it.
        """
        share = () if shard.count == 1 else (shard,)
        seed_global(self._device, self._seed, "global", step, which, *share)


class TicketDraw(Draw):
    """Random numbers for each image of a batch: row i is a function of ticket i, and of nothing else in the batch.

    A counter-based generator: splitmix64's finaliser (Steele, Lea & Flood 2014) of key, ticket and count.

    Args:
        tickets: int64 (B,), one for each showing of an image: epoch * images + index.
        key: anything printable that identifies the stream.
        dtype: floating type of the numbers.
    """

    def __init__(self, tickets: Tensor, *key: object, dtype: torch.dtype) -> None:
        self._dtype, self._tickets, self._count = dtype, _mix(tickets + seed_of(*key)), 0

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1), one row for each image: ``uniform(B)``, ``uniform(B, 2)``.

        Raises:
            ValueError: if the first number is not that of the images.
        """
        return self._uniform(shape).to(self._dtype)

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers, one row for each image (Box & Muller 1958)."""
        radius = (-2 * (1 - self._uniform(shape)).log()).sqrt()  # 1 - u is never 0
        return (radius * (2 * math.pi * self._uniform(shape)).cos()).to(self._dtype)

    def _uniform(self, shape: tuple[int, ...]) -> Tensor:
        rows = self._tickets
        if not shape or shape[0] != len(rows):
            raise ValueError(f"an augmentation draws a row for each of its {len(rows)} images, not {list(shape)}")
        each = math.prod(shape[1:])
        columns = torch.arange(self._count, self._count + each, device=rows.device)
        self._count += each
        bits = _mix(rows[:, None] ^ _mix(columns)[None]) & (2**24 - 1)  # 24 bits: exact in float32, never 1
        return bits.float().mul_(2.0**-24).reshape(shape)


def _mix(x: Tensor) -> Tensor:
    """The finaliser of splitmix64: 64 bits in, 64 well mixed bits out."""
    x = x * -7046029254386353131  # 0x9E3779B97F4A7C15
    x = (x ^ _shifted(x, 30)) * -4658895280553007687  # 0xBF58476D1CE4E5B9
    x = (x ^ _shifted(x, 27)) * -7723592293110705685  # 0x94D049BB133111EB
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """A logical shift to the right; that of a signed tensor drags the sign along."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def seeded(*key: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A torch generator whose seed is a hash of ``key``: the same key gives the same numbers."""
    return torch.Generator(device).manual_seed(seed_of(*key))


def seed_of(*key: object) -> int:
    """A hash of ``key``, 63 bits."""
    return int.from_bytes(hashlib.blake2b(repr(key).encode(), digest_size=8).digest(), "little") >> 1


def fresh(generator: torch.Generator | None = None) -> int:
    """A new seed at each call, from a generator, or from torch's own, which ``torch.manual_seed`` sets."""
    device = generator.device if generator else "cpu"
    return int(torch.randint(2**62, (), generator=generator, device=device))


def seed_global(device: torch.device, *key: object) -> None:
    """Makes what dropout and the like draw next on a device, and on the CPU, a function of ``key``.

    ``torch.manual_seed`` also queues a seed for every accelerator that is absent, with a trace of the stack each time.
    """
    seed = seed_of(*key)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type not in ("cpu", "meta"):
        torch.manual_seed(seed)


def forked(device: torch.device) -> AbstractContextManager[None]:
    """Inside, the global random streams of the CPU and a device may be drawn from; afterwards they are as before."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])
