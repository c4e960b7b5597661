"""How batches are served: shared out, gathered ahead, from where the images lie."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from zoo.data.batches import Batches, _Ahead, _lies_on_device
from zoo.draws import Shard
from zoo.types import to_pixels


def numbered(count: int) -> Tensor:
    """Images of one pixel, each with its own number."""
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)


@pytest.mark.parametrize("count", [5, 8, 37])
def test_shares_of_a_batch_are_the_batch(count: int) -> None:
    """Of every turn, also those that span epochs of a set smaller than a batch."""
    whole = Batches(numbered(count), 8, seed=3)
    shares = [Batches(numbered(count), 8, seed=3, shard=Shard(i, 4)) for i in range(4)]
    for turn in range(12):
        assert torch.equal(torch.cat([share(turn) for share in shares]), whole(turn))
        assert torch.equal(torch.cat([share.images_of(turn) for share in shares]), whole.images_of(turn))
        assert torch.equal(to_pixels(whole(turn)).flatten().long(), whole.images_of(turn))


def test_batches_gathered_ahead_are_the_same() -> None:
    """In their order, and out of it."""
    batches = Batches(numbered(37), 8, seed=3, augment=())
    ahead = _Ahead(batches._gathered)
    for turn in (0, 1, 2, 7, 3, 4, 4):
        for there, here in zip(ahead(turn), batches._gathered(turn), strict=True):
            assert torch.equal(there, here)


@pytest.mark.parametrize(
    ("on", "free", "there"), [("auto", 100, True), ("auto", 99, False), ("host", 100, False), ("device", 0, True)]
)
def test_where_the_images_lie(monkeypatch: pytest.MonkeyPatch, on: str, free: int, there: bool) -> None:
    """On a GPU if they fill at most half of its free memory, unless the recipe says."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 0))
    assert _lies_on_device(numbered(50), torch.device("cuda"), on) == there
