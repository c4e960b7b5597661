"""How batches are served: shared out, gathered ahead, from where the images lie."""

from __future__ import annotations

import pytest
import torch
from helpers.engine import in_batches
from torch import Tensor

from zoo.data.batches import _Ahead, lies_on_device
from zoo.draws import Shard
from zoo.types import to_pixels


def numbered(count: int) -> Tensor:
    """Images of one pixel, each with its own number."""
    return torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1)


@pytest.mark.parametrize("count", [5, 8, 37])
def test_shares_of_a_batch_are_the_batch(count: int) -> None:
    """Of every turn, also those that span epochs of a set smaller than a batch."""
    whole = in_batches(numbered(count), 8, seed=3)
    shares = [in_batches(numbered(count), 8, seed=3, shard=Shard(i, 4)) for i in range(4)]
    for turn in range(12):
        assert torch.equal(torch.cat([share(turn)["x"] for share in shares]), whole(turn)["x"])
        assert torch.equal(torch.cat([share.images_of(turn) for share in shares]), whole.images_of(turn))
        assert torch.equal(to_pixels(whole(turn)["x"]).flatten().long(), whole.images_of(turn))


def test_batches_gathered_ahead_are_the_same() -> None:
    """In their order, and out of it."""
    batches = in_batches(numbered(37), 8, seed=3)
    ahead = _Ahead(batches._gathered)
    for turn in (0, 1, 2, 7, 3, 4, 4):
        for (there, ticket), (here, own) in zip(ahead(turn), batches._gathered(turn), strict=True):
            assert torch.equal(there["x"], here["x"])
            assert torch.equal(ticket, own)


@pytest.mark.parametrize(
    ("on", "free", "there"), [("auto", 100, True), ("auto", 99, False), ("host", 100, False), ("device", 0, True)]
)
def test_where_the_images_lie(monkeypatch: pytest.MonkeyPatch, on: str, free: int, there: bool) -> None:
    """On a GPU if they fill at most half of its free memory, unless the recipe says."""
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 0))
    assert lies_on_device(50, torch.device("cuda"), on) == there
