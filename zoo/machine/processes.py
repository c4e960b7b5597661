"""The processes that train one model together, as ``torchrun`` starts them; one alone by default."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from zoo.draws import Shard
from zoo.errors import RequestError
from zoo.machine.device import choose_device


@dataclass(frozen=True)
class Processes:
    """The processes that share a training, and the rank of this one, from 0. The first alone writes."""

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
        means = list(tensors)
        for dtype in dict.fromkeys(t.dtype for t in tensors) if self.count > 1 else ():
            places = [i for i, t in enumerate(tensors) if t.dtype == dtype]
            flat = torch.cat([tensors[i].reshape(-1) for i in places])
            dist.all_reduce(flat)
            pieces = torch.split(flat.div_(self.count), [tensors[i].numel() for i in places])
            for i, piece in zip(places, pieces, strict=True):
                means[i] = piece.view(tensors[i].shape)
        return means

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

    def shared(
        self,
        tensors: Mapping[str, Tensor],
        device: torch.device,
        keep: Callable[[str, Tensor], Tensor] = lambda _, tensor: tensor,
    ) -> dict[str, Tensor]:
        """The first process's tensors, whatever the others hold; ``keep`` gives what is kept of each, by its name."""
        if self.count == 1:
            return dict(tensors)
        kept = {}
        for name, shape, dtype in self.told([(name, t.shape, t.dtype) for name, t in tensors.items()]):
            empty = None if self.first else torch.empty(shape, dtype=dtype, device=device)
            own = tensors[name].to(device).contiguous() if empty is None else empty
            dist.broadcast(own, src=0)
            kept[name] = keep(name, own)
        return kept

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

SETTLING = 0.1
"""Seconds in which gloo's threads let go of the last tensors. For that they need Python: one that still waits for it
when the interpreter ends takes the process down (pytorch#190489)."""


@contextmanager
def joined(device: str = "auto") -> Iterator[tuple[Processes, str]]:
    """The processes that ``torchrun`` started, while they work together, and this one's device; one alone without it.

    Of several GPUs each process takes that of its local rank. If they cannot be had, that is a RequestError.
    """
    if _number("WORLD_SIZE", 1) == 1 or "RANK" not in os.environ:
        yield ALONE, device
        return
    own = _own_device(device)
    dist.init_process_group("nccl" if own.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size()), str(own)
    finally:
        time.sleep(SETTLING)
        dist.destroy_process_group()


def _own_device(device: str) -> torch.device:
    """This process's: a GPU for itself, or the CPU."""
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    kind = name.partition(":")[0]
    if kind == "cuda" and torch.cuda.is_available():
        here, place = _number("LOCAL_WORLD_SIZE", 1), _number("LOCAL_RANK", 0)
        if here > torch.cuda.device_count():
            there = torch.cuda.device_count()
            raise RequestError(f"{here} processes on this machine, and {there} GPUs; start at most one for each GPU")
        torch.cuda.set_device(place)
        name = f"cuda:{place}"
    own = choose_device(name)
    if own.type not in ("cpu", "cuda"):
        raise RequestError(f"--device {device}: several processes train on cpu or cuda, not on {own.type}")
    return own


def _number(variable: str, otherwise: int) -> int:
    """A number in the environment, as ``torchrun`` sets it."""
    value = os.environ.get(variable, str(otherwise))
    if not value.isdecimal():
        raise RequestError(f"{variable}={value}: is no number of processes; torchrun sets it")
    return int(value)


def check_shares(batch: int, parts: int, processes: int) -> None:
    """Refuses a batch that cannot be shared out evenly: a RequestError has the numbers and what to do."""
    if batch % (parts * processes):
        among = f"{processes} processes" if processes > 1 else ""
        taken = f"{parts} parts (train.accumulate)" if parts > 1 else ""
        said = " of ".join(part for part in (among, taken) if part)
        raise RequestError(f"train.batch {batch} cannot be shared out evenly among {said}; choose a multiple")
