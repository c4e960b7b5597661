"""Scores of a model over its data; each keeps the protocol it was measured under."""

from __future__ import annotations

import hashlib
import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from zoo.data.fields import items
from zoo.errors import Problem, RecipeError
from zoo.machine.device import halving
from zoo.machine.processes import ALONE, Processes
from zoo.metrics.metric import SPLITS, Absent, Meter, Moment, Shown
from zoo.model.model import Model
from zoo.recipe.data_fields import side_of
from zoo.recipe.schema import Part, Recipe
from zoo.types import Batch, Examples

Scores = dict[str, dict[str, Any]]
"""label -> {"value": number, "protocol": {...}}, and "details" where the metric has any."""
Pieces = dict[tuple[str, int], Any]
"""(label, how often the images had come before) -> the metric that saw this process's share of them."""
T = TypeVar("T")
MOST = 250
"""Images of at most 64 px that are scored at a time."""


def evaluate(
    model: Model,
    images: Examples,
    *,
    batch: int = 0,
    weights: str = "raw",
    parts: Sequence[Part] | None = None,
    processes: Processes = ALONE,
) -> Scores:
    """Every metric, in one pass over the images of each split that they ask for: label -> value and protocol.

    Several processes share the batches of each pass, and give the scores of one; all of them call this, with the same
    model and images. A metric without ``merge`` is measured by the first of them alone.

    Args:
        images: its data; the ``test`` split is used, ``train`` by the metrics that say so. Where batch norm uses the
            batch's statistics (``batch_stats: batch``), what is left over of a split beside whole batches is not.
        batch: images at a time; 0 for as many as ``batch_of`` gives, or half as many where memory does not suffice,
            and so on: the protocol says how many it were.
        weights: which weights the model holds, ``raw`` or ``ema``; kept in the protocol.
        parts: the metrics; the recipe's when None.

    Raises:
        RecipeError: placed at the metric that cannot be measured, with its reason; in every process.
    """
    train, test = (scored_of(model.recipe, len(pixels), batch) for pixels in (images.train, images.test))
    images = images.cut(train, test)

    def measured(batch: int) -> Scores:
        return _measured(model, images, batch, weights, parts, processes)

    if batch or processes.count > 1 or model.recipe.batch_stats == "batch":
        return measured(batch or batch_of(model.recipe))
    return halving(measured, batch_of(model.recipe))


def batch_of(recipe: Recipe) -> int:
    """Images that are scored at a time: ``MOST``, fewer of more than 64 px; those of a training step where batch norm
    uses the batch's statistics.
    """
    if recipe.batch_stats == "batch":
        return recipe.train.batch
    return max(1, min(MOST, MOST * 64**2 // math.prod(recipe.x.shape[1:])))


def scored_of(recipe: Recipe, n: int, batch: int = 0) -> int:
    """How many of n images are scored: all, or whole batches where batch norm uses the batch's statistics."""
    batch = batch or batch_of(recipe)
    return n // batch * batch if recipe.batch_stats == "batch" and n > batch else n


def _measured(
    model: Model, images: Examples, batch: int, weights: str, parts: Sequence[Part] | None, processes: Processes
) -> Scores:
    recipe = model.recipe
    meters = [Meter.of(part, recipe) for part in (recipe.evaluate if parts is None else parts)]
    work = Share(model, images, batch, processes)
    updated = _together(processes, lambda: work.updates(meters))
    _together(processes, lambda: merge(meters, updated))
    if any(meter.optional("training") for meter in meters):
        here = _handed_on(meters, processes)
        trained = _together(processes, lambda: work.training(here))
        _together(processes, lambda: merge(meters, trained, "merge_training"))
    common = {"size": side_of(recipe.x), "seed": recipe.seed, "data": recipe.data_identity(), "batch": batch}
    common |= {"batch_stats": recipe.batch_stats, "weights": weights}
    scores = _together(processes, lambda: _scores(meters, images, common, model) if processes.first else {})
    return processes.told(scores[0] if processes.first else None)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Share:
    """What one of the processes has to measure: of each pass over the images, batches that follow one another."""

    model: Model
    images: Examples
    batch: int
    processes: Processes

    def updates(self, meters: Sequence[Meter]) -> Pieces:
        """Shows the metrics this process's images, and samples of the model.

        Gives the metrics that saw some of them, but for those at the first process that the others are merged into.
        """
        passed = [self._passes([m for m in meters if m.split == split], split) for split in SPLITS]
        return {key: metric for pieces in passed for key, metric in pieces.items()}

    def _passes(self, meters: Sequence[Meter], split: str) -> Pieces:
        """One pass over a split, and as many more as it takes to draw the samples that some metrics want."""
        n, turns = len(getattr(self.images, split)), self._turns(split)
        passes = max((meter.passes(n) for meter in meters), default=0)
        pieces: Pieces = {}
        for again in range(passes):
            taken = [self._taking(meter, again, n) for meter in meters]
            for turn in range(turns):
                wanting = [meter for meter, own in taken if turn in own]
                if wanting:
                    batch, before = self._items(split, turn), again * n + turn * self.batch
                    moment = Moment(self.model, batch, again * turns + turn, passes * turns, before)
                    moment.give(wanting, again=again > 0)
            kept = meters if self.processes.first else ()
            pieces |= {(meter.label, again): meter.metric for meter, own in taken if own and meter not in kept}
        return pieces

    def _taking(self, meter: Meter, again: int, n: int) -> tuple[Meter, range]:
        """Who takes in this process's turns of a pass, and which they are.

        In a later pass that is shared a metric of its own does: what others saw of the passes before comes in between.
        """
        shared = self._shares(meter, "merge")
        taking = Meter.of(meter.part, self.model.recipe) if shared and again else meter
        return taking, self._own(meter.turns(again, n, self.batch), shared)

    def training(self, meters: Sequence[Meter]) -> Pieces:
        """Shows metrics that look at the training images this process's share of them; returns those of the others."""
        turns, first = self._turns("train"), self.model.recipe.x.name
        learning = [meter for meter in meters if meter.optional("training")]
        taken = [(meter, self._own(turns, self._shares(meter, "merge_training"))) for meter in learning]
        for turn in range(turns):
            wanting = [meter for meter, own in taken if turn in own and meter.optional("training")]
            batch = self._items("train", turn) if wanting else {}
            for meter in wanting:
                take = meter.optional("training")
                names = [first, *[*inspect.signature(take).parameters][1:]]
                with meter.placed():
                    take(*(batch[meter.part.named(name)] for name in names))
        return {} if self.processes.first else {(meter.label, 0): meter.metric for meter, own in taken if own}

    def _shares(self, meter: Meter, method: str) -> bool:
        return self.processes.count > 1 and bool(meter.optional(method))

    def _own(self, turns: int, shared: bool) -> range:
        """The turns of so many that this process takes: its share, or all of them at the first."""
        if not shared:
            return range(turns if self.processes.first else 0)
        rank, count = self.processes.rank, self.processes.count
        return range(math.ceil(turns * rank / count), math.ceil(turns * (rank + 1) / count))

    def _turns(self, split: str) -> int:
        return math.ceil(len(getattr(self.images, split)) / self.batch)

    def _items(self, split: str, turn: int) -> Batch:
        """The items of a turn, as models see them; of the last, those that are left."""
        model = self.model
        return items(self.images, split, model.recipe, turn * self.batch, self.batch, model.device, model.dtype)


def merge(meters: Sequence[Meter], by_rank: Sequence[Pieces], method: str = "merge") -> None:
    """Merges what every process saw, by rank, into the first's metrics, in the order in which one would have
    seen it. One that is absent in one process is absent.
    """
    for meter in meters:
        mine = [(again, rank) for rank, own in enumerate(by_rank) for label, again in own if label == meter.label]
        others = [by_rank[rank][meter.label, again] for again, rank in sorted(mine)]
        take = meter.optional(method) if others else None
        if take and (absent := next((one for one in others if isinstance(one, Absent)), None)):
            meter.metric = absent
        elif take:
            with meter.placed():
                take(others)


def _handed_on(meters: Sequence[Meter], processes: Processes) -> list[Meter]:
    """The metrics with what all processes saw, in every process, where each may show them training images."""
    able = [meter for meter in meters if meter.optional("merge_training")]
    told = processes.told({meter.label: meter.metric for meter in able} if processes.first else None)
    return [replace(meter, metric=told.get(meter.label, meter.metric)) for meter in meters]


def _together(processes: Processes, work: Callable[[], T]) -> list[T]:
    """What all processes come to, by rank, at the first; a RecipeError of one is raised in every one."""
    if processes.count == 1:
        return [work()]
    result: T | None = None
    problems: tuple[Problem, ...] = ()
    try:
        result = work()
    except RecipeError as error:
        problems = error.problems
    everybody = processes.gathered((result, problems))
    if refused := processes.told([problem for _, theirs in everybody for problem in theirs]):
        raise RecipeError(refused)
    return [theirs for theirs, _ in everybody]


def _scores(meters: Sequence[Meter], images: Examples, common: Mapping[str, Any], model: Model) -> Scores:
    used = {meter.split for meter in meters} | {"train" for meter in meters if meter.optional("training")}
    splits: dict[str, Tensor] = {split: getattr(images, split) for split in sorted(used)}
    shown = {split: Shown(split, len(pixels), _content(pixels)) for split, pixels in splits.items()}
    return {meter.label: meter.score(common, shown, model.recipe) for meter in meters}


def _content(pixels: Tensor) -> str:
    """A hash of images, by which equal ones are known wherever they come from."""
    digest = hashlib.sha256(repr(tuple(pixels.shape)).encode())
    digest.update(pixels.reshape(-1).view(torch.uint8).numpy().data)  # in place: they may lie on a disk
    return f"sha256:{digest.hexdigest()}"
