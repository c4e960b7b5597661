"""What a step asks of torch, counted: operations, products and bytes kept for the backward. No clock is read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

SYNCHRONISING = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "_unique2", "equal", "bincount")
"""Operations whose result, or its shape, the host waits for; ``.item()`` and ``bool()`` are the first of them."""


@dataclass
class Counts:
    """What was asked for.

    Args:
        operations: name -> how often it was dispatched, views included, forward, backward and updates.
        flops: of products (convolutions, linear layers), a multiply and an add being two.
        saved: bytes that autograd keeps for the backward, each storage once, parameters left out.
        waits: names of operations that the host waits for.
    """

    operations: Counter[str]
    flops: int
    saved: int
    waits: list[str]

    @property
    def total(self) -> int:
        """All operations."""
        return sum(self.operations.values())


def counted(run: Callable[[], Any]) -> Counts:
    """What ``run`` asks for."""
    counts, saved, held = Counts(Counter(), 0, 0, []), {}, []

    def keep(tensor: Tensor) -> Tensor:
        if not isinstance(tensor, nn.Parameter):
            storage = tensor.untyped_storage()
            saved[storage._cdata] = storage.nbytes()
            held.append(tensor)  # alive, so that no two storages have one address
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), _Watching(counts):
        run()
    counts.saved = sum(saved.values())
    return counts


class _Watching(TorchDispatchMode):
    def __init__(self, counts: Counts) -> None:
        super().__init__()
        self.counts = counts

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        namespace, name = str(func).split(".", 1)
        if namespace == "aten":  # the profiler's marks are no work
            self.counts.operations[name] += 1
        formula = flop_registry.get(func._overloadpacket)
        if formula:
            self.counts.flops += formula(*args, **(kwargs or {}), out_val=found)
        if _waits(name, args, found):
            self.counts.waits.append(name)
        return found


def _waits(name: str, args: Any, found: Any) -> bool:
    """Whether the host waits for the device: for a number, for a shape, or for a copy from one to the other."""
    base = name.split(".")[0]
    if base in ("index", "index_put", "index_put_"):
        return any(isinstance(tensor, Tensor) and tensor.dtype == torch.bool for tensor in args[1])
    if base in ("_to_copy", "copy_"):
        return len({tensor.device for tensor in (*args, found) if isinstance(tensor, Tensor)}) > 1
    return base in SYNCHRONISING
