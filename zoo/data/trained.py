"""A finished run as a data set: what its encoder makes of the data that it was trained on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.api import Field
from zoo.data.fields import central, differ, items, known_images, split_of
from zoo.errors import RequestError
from zoo.machine.device import choose_device
from zoo.model.begin import read_weights
from zoo.model.model import Model
from zoo.recipe.data_fields import COUNTED
from zoo.recipe.schema import ORIGINAL, Recipe, Trained
from zoo.recipe.weights import RUN_DATA, find_weights
from zoo.types import Examples

BYTE = 256
"""Classes that a byte can tell apart."""
NUMBERS = 2**20
"""Of the items that are encoded together."""


class TrainedRun:
    """What ``zoo.api.TrainedRun`` says. The run's data and its model are had once they are asked for.

    Args:
        trained: which run.
        load: gives the data of a recipe, some fields by name among it.

    Raises:
        RequestError: in a sentence, if the run is gone, not trained to its end, or says of no data.
    """

    def __init__(self, trained: Trained, load: Callable[[Recipe, Sequence[str]], Examples]) -> None:
        self._place, self._load, self._had = trained.place, load, dict[str, Examples]()
        if not Path(os.path.expandvars(trained.place)).expanduser().is_dir():
            raise RequestError(f"the run {trained.place} is gone; bring it back")
        self.fields: Mapping[str, Field] = trained.fields
        self._recipe = trained.read()
        self._weights = find_weights(trained.place, "")
        try:
            noted = json.loads((self._weights.file.parent / RUN_DATA).read_text())
            self._data = {split: {**noted[split]} for split in ("train", "test")}
            self._types: dict[str, str] = {**noted.get("types", {})}
        except (OSError, ValueError, LookupError, TypeError) as error:
            cure = "build it, or train it with zoo.train(..., run=...)"
            raise RequestError(f"{trained.place}: its {RUN_DATA} does not say what it learnt from; {cure}") from error

    @property
    def identity(self) -> Any:
        """The SHA-256 of its weights, and the hashes of its data."""
        return {"weights": self._weights.sha256(), "data": self._data}

    def count(self, split: str) -> int:
        """How many items a split has, ``train`` or ``test``."""
        return int(self._data[split]["images"])

    def like(self, field: str) -> Tensor:
        """No items of a field, (0, ...), of the shape and type of those that there are."""
        one, own = self.fields[field], self._own(field)
        shape = [int(size) for size in one.shape.split()]
        classes = one.classes if isinstance(one.classes, int) else len(one.classes)
        if field == "x":
            return torch.empty(0, *shape)
        if one.kind in COUNTED:
            return torch.empty(0, *shape, dtype=torch.uint8 if classes <= BYTE else torch.int64)
        dtype = getattr(torch, self._types[own]) if own in self._types else self._stored(own, "train").dtype
        return torch.empty(0, *shape, dtype=dtype)

    def batches(self, field: str, split: str, start: int = 0) -> Iterator[Tensor]:
        """The items of a field from a position on, (B, ...) at a time, in their order; of ``x`` float32 codes."""
        size, like = self._size, self.like(field)
        for first in range(start // size * size, self.count(split), size):  # a code may depend on its batch
            stored = self._stored(self._own(field), split)[first : first + size]
            found = self._encoded(split, first) if field == "x" else central(stored, like.shape[1:])
            yield found[max(start - first, 0) :].to(like.dtype)

    def _own(self, field: str) -> str:
        return self._recipe.x.name if field in ("x", ORIGINAL) else field

    def _stored(self, name: str, split: str) -> Tensor:
        """A field of the run's own data."""
        if name not in self._had:
            self._had[name] = self._load(self._recipe, [name])
            if others := differ(self._data, known_images(self._had[name])):
                raise RequestError(f"{self._place} {others}; bring them back")
        return split_of(self._had[name], split, self._recipe)[name]

    @cached_property
    def _size(self) -> int:
        """Items that are encoded together; where batch norm uses the batch's statistics, those of a training step."""
        if self._recipe.batch_stats == "batch":
            return self._recipe.train.batch
        return max(1, min(256, NUMBERS // prod(self._recipe.x.shape)))

    @cached_property
    def _model(self) -> Model:
        model = Model(self._recipe, choose_device(), restored=True)
        model.load_state_dict(read_weights(self._weights.whole(), model.state_dict())[1])
        return model

    def _encoded(self, split: str, first: int) -> Tensor:
        """The posterior means of the items from a position on."""
        model, examples = self._model, self._had[self._recipe.x.name]
        given = items(examples, split, self._recipe, first, self._size, model.device, model.dtype)
        (posterior,) = model.compute(model.output("posterior"), given=model.batch(given), seed=0)
        return posterior.mean.cpu()  # type: ignore[no-any-return]
