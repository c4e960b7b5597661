"""TensorBoard event files, written without TensorBoard."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from tensorboardX import SummaryWriter
from torch import Tensor

from zoo import api


class TensorBoard:
    """Losses by row, images per second, scores and pictures, as event files in ``RUN/tensorboard``.

    A training that is taken up again purges what was written past its checkpoint.

    Args:
        folder: the run's directory.
        flush_seconds: how long a record may wait before it is on disk.
    """

    def __init__(self, folder: Path, *, flush_seconds: int = 30) -> None:
        self._folder = folder / "tensorboard"
        self._flush = flush_seconds
        self._writer: SummaryWriter | None = None

    def start(self, step: int, steps: int, batch: int) -> None:  # noqa: ARG002 - what a watcher is told
        """Opens a file; what stands past ``step`` in older ones is void."""
        self._writer = self._open(f"{step:09d}", purge_step=step + 1 if step else None)

    def log(self, record: api.Record) -> None:
        """Adds the losses and the speed."""
        assert self._writer
        for name, value in record.losses.items():
            self._writer.add_scalar(f"loss/{name}".replace(" + ", "_and_"), value, record.step)
        self._writer.add_scalar("images_per_s", record.images_per_s, record.step)

    def picture(self, step: int, name: str, image: Tensor) -> None:
        """Adds a picture.

        Args:
            step: steps done.
            name: what it shows.
            image: uint8 (C, H, W).
        """
        assert self._writer
        self._writer.add_image(name, image.numpy(), step)

    def scores(self, step: int, values: Mapping[str, float]) -> None:
        """Adds the scores of the finished model."""
        with self._open("scores") as writer:
            for name, value in values.items():
                writer.add_scalar(f"score/{name}", value, step)

    def end(self) -> None:
        """Closes the file."""
        if self._writer:
            self._writer.close()

    def _open(self, what: str, purge_step: int | None = None) -> SummaryWriter:
        """A file of its own: by default its name is the second, and two of one second would be one."""
        suffix = f".{what}.{os.getpid()}"
        return SummaryWriter(str(self._folder), purge_step=purge_step, flush_secs=self._flush, filename_suffix=suffix)
