"""A pool of past images, for a critic that is not to forget what generators did (Shrivastava et al. 2017)."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor, nn

from zoo import api


class Pool(nn.Module):
    """Images, half of them swapped for ones of batches before (Shrivastava et al. 2017; Zhu et al. 2017, section 4).

    The first images fill the pool. From then on each is, with a probability of a half, kept there in place of an older
    one, which is given instead. The images of a batch take places of their own.

    The pool is a buffer. Of several processes each swaps images of its own share and keeps them times the processes,
    where others keep 0: the mean over all, which the engine takes of buffers, is the same pool everywhere.

    Args:
        channels: C.
        height: H.
        width: W.
        size: images in the pool; 50 as published.

    Raises:
        ValueError: a pool of no image; images that are not of the shape of the recipe's.
    """

    images: Tensor
    turn: Tensor

    def __init__(self, channels: int, height: int, width: int, *, size: int = 50) -> None:
        super().__init__()
        if size < 1:
            raise ValueError(f"a pool of {size} images is none: choose 1 or more")
        self.register_buffer("images", torch.zeros(size, channels, height, width))
        self.register_buffer("turn", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, generated_held: Tensor, draw: api.Draw) -> Tensor:
        """Images (B, C, H, W) -> as many, without a gradient."""
        if generated_held.shape[1:] != self.images.shape[1:]:
            raise ValueError(f"the pool has images {(*self.images.shape[1:],)}, not {(*generated_held.shape[1:],)}")
        if not self.training:
            return generated_held
        count, (rank, ranks) = len(generated_held), _share()
        places, swapped, kept = self._places(count, ranks, draw)
        mine = slice(rank * count, (rank + 1) * count)
        older = self.images[places[mine]].to(generated_held)
        given = torch.where(swapped[mine, None, None, None], older, generated_held)
        self._keep(places, kept, mine, ranks * generated_held)
        return given

    def _places(self, count: int, ranks: int, draw: api.Draw) -> tuple[Tensor, Tensor, Tensor]:
        """For each image of all shares, its place in the pool, whether it is swapped, and whether it is kept."""
        size, total = len(self.images), count * ranks
        numbers = draw.uniform(count + 1, -(-(size + total) // (count + 1))).flatten()  # no rows: of all shares alike
        chances, order = numbers[:total], numbers[total : total + size].argsort()
        number = torch.arange(total, device=self.images.device)
        first = self.turn * total  # images that came before
        filling = first < size
        free = number < torch.where(filling, size - first, size)  # those for which the pool has a place
        places = torch.where(filling, first + number, order[(first + number) % size]).clamp(max=size - 1)
        swapped = free & ~filling & (chances < 0.5)
        return places, swapped, swapped | (free & filling)

    def _keep(self, places: Tensor, kept: Tensor, mine: slice, images: Tensor) -> None:
        """Puts this share's images where they are kept, and 0 where other shares' are."""
        weights = kept.to(self.images)
        taken = torch.zeros_like(self.images[:, 0, 0, 0]).index_add(0, places, weights)
        put = weights[mine, None, None, None] * images.to(self.images)
        new = torch.zeros_like(self.images).index_add(0, places[mine], put)
        self.images.copy_(torch.where(taken[:, None, None, None] > 0, new, self.images))
        self.turn.add_(1)


def _share() -> tuple[int, int]:
    """The rank of this process, and how many there are."""
    several = dist.is_available() and dist.is_initialized()
    return (dist.get_rank(), dist.get_world_size()) if several else (0, 1)
