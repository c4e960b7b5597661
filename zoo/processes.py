"""The processes that train one model together, as ``torchrun`` starts them; one alone by default."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.sharding import Shard


@dataclass(frozen=True)
class Processes:
    """The processes that share a training, and which of them this is.

    Args:
        rank: of this process, from 0. The first alone writes.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def first(self) -> bool:
        """Whether this is the process that writes."""
        return self.rank == 0

    @property
    def shard(self) -> Shard:
        """This process's share of a batch."""
        return Shard(self.rank, self.count)

    def mean(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The mean of each tensor over all processes, by one collective for each type among them."""
        if self.count == 1:
            return list(tensors)
        found: list[Tensor] = list(tensors)
        for dtype in dict.fromkeys(t.dtype for t in tensors):
            places = [i for i, t in enumerate(tensors) if t.dtype == dtype]
            own = [found[i].contiguous() for i in places]
            flat = torch.cat([t.reshape(-1) for t in own])
            dist.all_reduce(flat)
            means = torch.split(flat.div_(self.count), [t.numel() for t in own])
            for i, mean in zip(places, means, strict=True):
                found[i] = mean.view(found[i].shape)
        return found

    def any(self, said: bool, device: torch.device) -> bool:
        """Whether some process says so."""
        if self.count == 1:
            return said
        flag = torch.tensor(float(said), device=device)
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag)

    def told(self, what: Any = None) -> Any:
        """What the first process says, plain data or tensors on the CPU."""
        if self.count == 1:
            return what
        box = [what]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def shared(self, tensors: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
        """The first process's tensors, whatever the others hold."""
        if self.count == 1:
            return dict(tensors)
        shapes = self.told([(name, t.shape, t.dtype) for name, t in tensors.items()])
        found = {}
        for name, shape, dtype in shapes:
            empty = None if self.first else torch.empty(shape, dtype=dtype, device=device)
            own = tensors[name].to(device).contiguous() if empty is None else empty
            dist.broadcast(own, src=0)
            found[name] = own
        return found

    def gathered(self, what: Any) -> list[Any]:
        """What every process hands in, in the order of their ranks, at the first; nothing at the others."""
        if self.count == 1:
            return [what]
        box: list[Any] | None = [None] * self.count if self.first else None
        dist.gather_object(what, box)
        return box or []


ALONE = Processes()

PATIENCE = timedelta(hours=2)
"""How long a process waits for the others: the first measures some scores, and writes pictures, by itself."""


@contextmanager
def joined(device: str = "auto") -> Iterator[tuple[Processes, str]]:
    """The processes that ``torchrun`` started, while they work together; one alone where it did not.

    Args:
        device: ``auto``, ``cpu``, ``cuda`` ...; of several GPUs each process takes that of its local rank.

    Yields:
        the processes and this one's device.
    """
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1 or "RANK" not in os.environ:
        yield ALONE, device
        return
    graphics = device.startswith("cuda") or (device == "auto" and torch.cuda.is_available())
    if graphics:
        device = f"cuda:{int(os.environ.get('LOCAL_RANK', '0')) % max(torch.cuda.device_count(), 1)}"
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if graphics else "gloo", timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size()), device if graphics else "cpu"
    finally:
        dist.destroy_process_group()
