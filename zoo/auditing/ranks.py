"""Whether the ranks of a distributed training still have the same weights."""

from __future__ import annotations

import hashlib
from typing import Any

import torch
import torch.distributed as dist

from zoo.auditing.networks import Network
from zoo.auditing.record import Record


def compare_ranks(record: Record) -> None:
    """Every rank tells every other the hashes of its networks; does nothing where there is one process."""
    if not (dist.is_available() and dist.is_initialized()) or dist.get_world_size() == 1:
        return
    record.ranks = dist.get_world_size()
    all_: list[Any] = [None] * record.ranks
    dist.all_gather_object(all_, {network.name: _hash(network) for network in record.networks})
    for name in all_[0]:
        ranks = [each.get(name, "") for each in all_]
        if len(set(ranks)) > 1:
            record.diverged[name] = ranks


def _hash(network: Network) -> str:
    digest = hashlib.sha256()
    for parameter in network.parameters:
        digest.update(parameter.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
