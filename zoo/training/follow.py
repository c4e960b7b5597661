"""Every process but the first in a build of ``torchrun``'s: it trains and measures, and writes nothing."""

from __future__ import annotations

from typing import Protocol

from zoo.api import Watcher
from zoo.data.batches import load_images
from zoo.machine.device import choose_device
from zoo.machine.processes import Processes
from zoo.metrics.evaluate import evaluate
from zoo.model.model import Model
from zoo.recipe import Recipe, lasting
from zoo.registry import Registry
from zoo.training.loop import train

TRAIN, RESUME, EVALUATE, OVER = "train", "resume", "evaluate", "over"
"""Orders of the first process to the others: train from the beginning or from where it stands and then ask again,
measure with its weights, or end."""


class Stop(Watcher, Protocol):
    """Answers whether this process was asked to stop; sees when it trains."""

    def __call__(self) -> bool:
        """True where it was."""


def follow(recipe: Recipe, registry: Registry, device: str, stop: Stop, processes: Processes) -> None:
    """Does what the first process says until it is over, and raises as ``train``; one asked to stop stops all."""
    order = processes.told()
    if order == OVER:
        return
    images = load_images(recipe)
    recipe = lasting(recipe, len(images.train), registry)
    model = Model(recipe, choose_device(device), restored=order != TRAIN)
    if order in (TRAIN, RESUME):
        train(model, images, watchers=[stop], stop=stop, processes=processes)
        order = processes.told()
    if order == EVALUATE:
        model.load_state_dict(processes.shared({}, model.device))
        evaluate(model, images, processes=processes)
