"""What every process but the first does in a build of ``torchrun``'s: it trains, measures and writes nothing."""

from __future__ import annotations

from typing import Protocol

from zoo.api import Watcher
from zoo.data.batches import load_images
from zoo.machine.device import choose_device
from zoo.machine.processes import Processes
from zoo.model.model import Model
from zoo.recipe import Recipe
from zoo.score.evaluate import evaluate
from zoo.training.loop import train

TRAIN, EVALUATE, OVER = "train", "evaluate", "over"
"""What the first process tells the others to do next: train and then ask again, measure with its weights, or end."""


class Stop(Watcher, Protocol):
    """Whether this process was asked to stop; told when it trains."""

    def __call__(self) -> bool:
        """Whether it was."""


def follow(recipe: Recipe, device: str, stop: Stop, processes: Processes) -> None:
    """Does what the first process says until it is over.

    Args:
        recipe: what it builds.
        device: this process's.
        stop: whether this process was asked to stop; all stop together.
        processes: those that work together.

    Raises:
        TrainingError: as ``train``.
        Interrupted: as ``train``.
    """
    told = processes.told()
    if told == OVER:
        return
    model, images = Model(recipe, choose_device(device)), load_images(recipe)
    if told == TRAIN:
        train(model, images, watchers=[stop], stop=stop, processes=processes)
        told = processes.told()
    if told == EVALUATE:
        model.load_state_dict(processes.shared({}, model.device))
        evaluate(model, images, processes=processes)
