"""The random numbers of a training: each stream a function of the seed, the step, what draws and who draws."""

from __future__ import annotations

from functools import partial

import torch

from zoo.phases import Draws
from zoo.sharding import Shard, SharedDraw
from zoo.tensors import Draw, seed_global, seed_of


class Stream(Draw):
    """A stream that can be begun anew; its generator stays, so that a CUDA graph can hold on to it.

    Args:
        device: as for ``Draw``.
        dtype: as for ``Draw``.
    """

    def __init__(self, device: torch.device, dtype: torch.dtype) -> None:
        super().__init__(device=device, dtype=dtype)
        self.generator = None if device.type == "meta" else torch.Generator(device)

    def begin(self, *key: object) -> Stream:
        """The same stream; what comes next is what a ``Draw`` of this key would give."""
        if self.generator is not None:
            self.generator.manual_seed(seed_of(*key))
        return self

    def _stream(self) -> torch.Generator | None:
        return self.generator


class Streams:
    """The streams of a training.

    Args:
        seed: of the recipe.
        device: where numbers are drawn.
        dtype: their type.
    """

    def __init__(self, seed: int, device: torch.device, dtype: torch.dtype) -> None:
        self._seed, self._device, self._dtype = seed, device, dtype
        self._kept: dict[str, Stream] = {}

    def key(self, step: int, draw: tuple[int, ...], caller: str) -> tuple[object, ...]:
        """What a caller's numbers are a function of.

        Args:
            step: steps done.
            draw: which draw of the noise.
            caller: the value or term that draws.
        """
        return (self._seed, "train", step, draw, caller)

    def draws(self, step: int, draw: tuple[int, ...], shard: Shard, rows: int) -> Draws:
        """Who draws -> its stream, which is good until the next is asked for.

        Args:
            step: steps done.
            draw: which draw of the noise.
            shard: whose share of the whole batch's numbers.
            rows: images in it.
        """
        return partial(self._stream, step, draw, shard, rows)

    def _stream(self, step: int, draw: tuple[int, ...], shard: Shard, rows: int, caller: str) -> Draw:
        key = self.key(step, draw, caller)
        if shard.count > 1:
            return SharedDraw(*key, rows=rows, shard=shard, device=self._device, dtype=self._dtype)
        if caller not in self._kept:
            self._kept[caller] = Stream(self._device, self._dtype)
        return self._kept[caller].begin(*key)

    def begin_global(self, step: int, which: tuple[int, int], shard: Shard) -> None:
        """Dropout and the like draw from the global stream: it too is a function of (seed, step).

        Args:
            step: steps done.
            which: the phase, and which play of it.
            shard: whose share.
        """
        share = () if shard.count == 1 else (shard,)
        seed_global(self._device, self._seed, "global", step, which, *share)
