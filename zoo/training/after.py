"""What is fitted once, on the codes of the training set, when a training ends (``after``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.fields import items
from zoo.engine.engine import Engine
from zoo.machine.device import placed
from zoo.metrics.evaluate import batch_of
from zoo.model.model import Model
from zoo.types import Examples


def fit_after(engine: Engine, examples: Examples, folder: Path | None, say: Callable[[str], None]) -> None:
    """Fits the slots that a recipe's ``after`` names, on codes by the weights that the model is shown with.

    Those are the averaged ones where there are any; what is fitted then goes with both. It is a function of weights,
    data and seed.

    Args:
        folder: where the codes lie meanwhile, as more of them than fit into memory; the system's own when None.

    Raises:
        RecipeError: placed at the slot that cannot be fitted.
    """
    model, average = engine.model, engine.average
    found: dict[str, Tensor] = {}
    with average.applied() if average else nullcontext():
        for slot, value in model.recipe.after.items():
            say(f"fitting {slot} on {value} of {len(examples.train):,} items")
            module: Any = model.get_submodule(slot)
            part = model.recipe.slots[slot]
            what = f"slot '{slot}' ({part.entry.kind} '{part.entry.name}') cannot be fitted"
            with _codes(model, examples, value, folder) as codes, placed(part.position, what):
                given = {"codes": codes, "draw": model.draw("after", slot)}
                module.fit(**{name: given[name] for name in inspect.signature(module.fit).parameters})
            found |= {f"{slot}.{name}": tensor.clone() for name, tensor in module.state_dict().items()}
    model.load_state_dict(found, strict=False)
    if average:
        average.restore({**average.averaged, **found})


@contextmanager
def _codes(model: Model, examples: Examples, value: str, folder: Path | None) -> Iterator[Tensor]:
    """A value of every training item, or its mean where it is a distribution, (N, ...), float32."""
    size, count, codes = batch_of(model.recipe), len(examples.train), torch.empty(0)
    with TemporaryFile(dir=folder) as file:
        for first in range(0, count, size):
            given = items(examples, "train", model.recipe, first, size, model.device, model.dtype)
            (found,) = model.compute(value, given=given, seed=first)
            mean = found if isinstance(found, Tensor) else found.mean
            if not first:
                codes = torch.from_numpy(np.memmap(file, np.float32, "w+", shape=(count, *mean.shape[1:])))
            codes[first : first + size] = mean
        yield codes
