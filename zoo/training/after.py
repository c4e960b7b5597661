"""What is fitted once, on the codes of the training set, when a training ends (``after``)."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from copy import deepcopy
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.fields import items
from zoo.engine.engine import Engine
from zoo.errors import Problem, RecipeError
from zoo.machine.device import placed
from zoo.metrics.evaluate import batch_of
from zoo.model.model import Model
from zoo.recipe.misfit import dims
from zoo.types import Examples

FEW = 64
"""Codes that a fit is tried on; on more only if it wants more."""
NUMBERS = 2**24
"""Of the codes that a fit is tried on, at most."""


def try_fits(model: Model, examples: Examples) -> None:
    """Fits copies of what ``after`` names on made-up codes, no more than the training set has, of their true shape.

    Raises:
        RecipeError: placed at the slots that cannot be fitted.
    """
    problems, count = list[Problem](), len(examples.train)
    for slot, value in model.recipe.after.items():
        like = _computed(model, examples, slot, value, 0, 2)[0]
        most = min(count, max(FEW, NUMBERS // max(like.numel(), 1)))
        for some in sorted({min(count, FEW), most}):
            codes = model.draw("tried", slot).normal(some, *like.shape).float().cpu()
            try:
                _fit(model, slot, value, deepcopy(model.get_submodule(slot)), codes)
                break
            except RecipeError as error:
                problems += error.problems if some == most else ()
    if problems:
        raise RecipeError(problems)


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
            module = model.get_submodule(slot)
            with _codes(model, examples, slot, value, folder) as codes:
                _fit(model, slot, value, module, codes)
            found |= {f"{slot}.{name}": tensor.clone() for name, tensor in module.state_dict().items()}
    model.load_state_dict(found, strict=False)
    if average:
        average.restore({**average.averaged, **found})


def _fit(model: Model, slot: str, value: str, module: Any, codes: Tensor) -> None:
    part, given = model.recipe.slots[slot], {"codes": codes, "draw": model.draw("after", slot)}
    what = f"slot '{slot}' ({part.entry.kind} '{part.entry.name}') cannot be fitted on {value}, {dims(codes.shape)}"
    with placed(part.position, what):
        module.fit(**{name: given[name] for name in inspect.signature(module.fit).parameters})


def _computed(model: Model, examples: Examples, slot: str, value: str, first: int, size: int) -> Tensor:
    """A value of training items, or its mean where it is a distribution."""
    given = items(examples, "train", model.recipe, first, size, model.device, model.dtype)
    (found,) = model.compute(value, given=given, seed=first)
    mean = found if isinstance(found, Tensor) else getattr(found, "mean", None)
    if not isinstance(mean, Tensor) or mean.shape[:1] != (min(size, len(examples.train) - first),):
        said = f"slot '{slot}' cannot be fitted on {value}, which is no code of each item"
        raise RecipeError([Problem(model.recipe.slots[slot].position, said)])
    return mean


@contextmanager
def _codes(model: Model, examples: Examples, slot: str, value: str, folder: Path | None) -> Iterator[Tensor]:
    """What ``_computed`` gives of every training item, (N, ...), float32."""
    size, count, codes = batch_of(model.recipe), len(examples.train), torch.empty(0)
    with TemporaryFile(dir=folder) as file:
        for first in range(0, count, size):
            mean = _computed(model, examples, slot, value, first, size)
            if not first:
                codes = torch.from_numpy(np.memmap(file, np.float32, "w+", shape=(count, *mean.shape[1:])))
            codes[first : first + size] = mean
        yield codes
