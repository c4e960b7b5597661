"""The codes of a run as a data set, for the second stage of a model."""

from functools import partial

import torch

from zoo import api
from zoo_data.bad import printable
from zoo_data.decode import Square, View
from zoo_data.pack import Later, pack
from zoo_data.sources import Items, Source


def codes(trained: "api.TrainedRun", *, run: str, fields: dict[str, list[str]] | None = None) -> api.Examples:
    """What the encoder of a finished run makes of its data: ``x``, the posterior's means, whatever their shape.

    ``original`` is what each is of; labels and the like go with it. All is computed once, with the averaged weights
    where the run has them, and packed; from then on the run's own data set is not needed.

    Args:
        run: the run's directory.
        fields: what it brings, which a run's recipe has written, so that it can be read without the first run.

    Returns:
        the same splits as the run's data.

    Raises:
        ValueError: if the run is gone, not trained to its end, or has no codes.
    """

    def both(field: str) -> tuple[torch.Tensor, torch.Tensor]:
        return _packed(trained, run, field, "train"), _packed(trained, run, field, "test")

    return api.Examples(*both("x"), fields=Later({name: partial(both, name) for name in fields or {} if name != "x"}))


def _packed(trained: "api.TrainedRun", run: str, field: str, split: str) -> torch.Tensor:
    """A field of a split, kept as images are whose every pixel is a byte of its numbers."""
    like = trained.like(field)
    each = like.new_empty(1, *like.shape[1:]).nbytes

    def items(start: int) -> Items:
        for batch in trained.batches(field, split, start):
            rows = batch.reshape(len(batch), -1).contiguous().view(torch.uint8).numpy()
            for row in rows:
                start += 1
                yield f"item {start}", Square(row[:, None, None])

    identity = [trained.identity, field, str(like.dtype), list(like.shape[1:])]
    source = Source("codes", f"{split}-{field}", trained.count(split), items, identity, f"items of {printable(run)}")
    pixels = pack(source, View(1, each, "none"), 1).pixels
    return pixels.flatten().view(like.dtype).view(-1, *like.shape[1:])
