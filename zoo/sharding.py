"""A batch shared out: among the parts it is taken in, and among processes. Which share a piece of work has."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from zoo.errors import RequestError
from zoo.tensors import Draw


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


class SharedDraw(Draw):
    """A share of the random numbers of a whole batch: all shares together are what one process would have drawn.

    What is not drawn in rows, one for each image of the share, is the same in every share.

    Args:
        key: as for ``Draw``.
        rows: images in this share.
        shard: which share.
        given: ``device`` and ``dtype``, as for ``Draw``.
    """

    def __init__(self, *key: object, rows: int, shard: Shard, **given: Any) -> None:
        super().__init__(*key, **given)
        self._rows = rows
        self._shard = shard

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers of the given shape."""
        return self._shared(super().normal, shape)

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform in [0, 1) of the given shape."""
        return self._shared(super().uniform, shape)

    def _shared(self, draw: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        if not shape or shape[0] != self._rows:
            return draw(*shape)
        return self._shard.of(draw(self._rows * self._shard.count, *shape[1:]))


Named = tuple[dict[str, Tensor], dict[str, Tensor]]


def summed(first: Named, second: Named) -> Named:
    """What two parts of a batch gave, together."""
    losses, gradients = ({k: one[k] + two[k] for k in one} for one, two in zip(first, second, strict=True))
    return losses, gradients


def check_shares(batch: int, parts: int, processes: int) -> None:
    """Refuses a batch that cannot be shared out evenly.

    Raises:
        RequestError: with the numbers and what to do.
    """
    if batch % (parts * processes):
        among = f"{processes} processes" if processes > 1 else ""
        taken = f"{parts} parts (train.accumulate)" if parts > 1 else ""
        said = " of ".join(part for part in (among, taken) if part)
        raise RequestError(f"train.batch {batch} cannot be shared out evenly among {said}; choose a multiple")
