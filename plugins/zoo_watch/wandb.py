"""Weights & Biases (https://docs.wandb.ai), the extra ``wandb``."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from zoo import api


class WandB:
    """Losses by row, speed, scores and pictures, and the recipe as the run's configuration.

    A training that is taken up again goes on in the same W&B run: its id is a hash of the run's directory.

    Args:
        folder: the run's directory.
        recipe: the resolved recipe, as plain data.
        project: W&B's name for a group of runs.
        mode: ``online``, or ``offline`` to write files that ``wandb sync`` sends later.

    Raises:
        ModuleNotFoundError: if the extra is not installed.
    """

    def __init__(
        self,
        folder: Path,
        recipe: Mapping[str, Any],
        *,
        project: str = "zoo",
        mode: Literal["online", "offline"] = "online",
    ) -> None:
        try:
            import wandb
        except ModuleNotFoundError:
            raise ModuleNotFoundError("it needs wandb: pip install 'generative-zoo[wandb]'") from None
        self._wandb = wandb
        self._settings: dict[str, Any] = {
            "project": project,
            "name": folder.name,
            "id": hashlib.blake2b(str(folder.resolve()).encode(), digest_size=8).hexdigest(),
            "dir": str(folder),
            "mode": mode,
            "resume": "allow",
            "config": dict(recipe),
        }
        self._run: Any = None

    def start(self, step: int, steps: int, batch: int) -> None:  # noqa: ARG002 - what a watcher is told
        """Opens the W&B run, or goes on with it."""
        self._run = self._wandb.init(**self._settings)

    def log(self, record: api.Record) -> None:
        """Sends the losses and the speed."""
        losses = {f"loss/{name}": value for name, value in record.losses.items()}
        self._run.log({**losses, "images_per_s": record.images_per_s}, step=record.step)

    def picture(self, step: int, name: str, image: Tensor) -> None:
        """Sends a picture, uint8 (C, H, W)."""
        self._run.log({name: self._wandb.Image(image.permute(1, 2, 0).numpy())}, step=step)

    def scores(self, step: int, values: Mapping[str, float]) -> None:  # noqa: ARG002 - what a watcher is told
        """Puts the scores into the run's summary."""
        with self._wandb.init(**self._settings) as run:
            run.summary.update({f"score/{name}": value for name, value in values.items()})

    def end(self) -> None:
        """Closes the W&B run."""
        if self._run:
            self._run.finish()
