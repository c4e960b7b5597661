"""What tests of systems share: a tiny recipe in float64, its batch, the engine's gradients and those by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from faults.tiny import placed, tiny
from torch import Tensor
from torch.nn.utils import parametrize

from zoo import api
from zoo.data.batches import Batches, load_images
from zoo.engine.engine import Engine
from zoo.model.model import Model
from zoo.recipe import load_recipe
from zoo.types import Batch

Gradients = Mapping[str, Tensor]
"""``slot.parameter`` -> its gradient; without those that no row reaches."""
Loss = Callable[[Model, Batch], Tensor]
"""What some slots minimise of a batch, by hand."""


def small(name: str, *overrides: str) -> Model:
    """A bundled recipe with networks of width 4 and images of 16 px, in float64, without EMA or augmentation."""
    plain = ("train.ema=0", "train.precision=float32", "augment=[]")
    few = {"train": 16, "test": 8}
    sets = placed(load_recipe(name)).items()
    counts = [f"{place}.{key}={few[key]}" for place, part in sets for key in few.keys() & part.options.keys()]
    return Model(tiny(name, *plain, *counts, *overrides)).to(torch.float64)


def batch_of(model: Model, turn: int = 0) -> Batch:
    """A batch of its training, fields and all."""
    return Batches.of(model.recipe, load_images(model.recipe), "cpu", torch.float64)(turn)


def gradients(model: Model, batch: Any, phase: int = 0, step: int = 0, draw: tuple[int, ...] = ()) -> Gradients:
    """The engine's gradients of the rows of a phase at the present weights; nothing is stepped."""
    engine = Engine(model, optimizers=False)
    engine.step_index = step
    model.train()
    found = engine.gradients(engine.plan_now(phase), batch, draw)[1]
    return {key.replace("/", ".", 1): gradient for key, gradient in found.items()}


def by_hand(model: Model, *slots: str, loss: Callable[[], Tensor]) -> Gradients:
    """The gradient of a loss at some slots, of nothing but torch."""
    model.train().requires_grad_(True)
    names = {f"{slot}.{key}": p for slot in slots for key, p in getattr(model, slot).named_parameters()}
    found = torch.autograd.grad(loss(), list(names.values()), allow_unused=True)
    return {name: g for name, g in zip(names, found, strict=True) if g is not None}


def assert_same(found: Gradients, expected: Gradients) -> None:
    """To 1e-9, and of the same parameters."""
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-9, atol=1e-12, msg=key)


def drawn(model: Model, name: str, draw: tuple[int, ...] = (), step: int = 0) -> api.Draw:
    """The stream of random numbers that a value, or a term, is handed."""
    return model.draw("train", step, draw, name)


def sampled(model: Model, q: api.Gaussian, name: str = "z_posterior", step: int = 0) -> Tensor:
    """mu + sigma eps, of a value's own numbers."""
    return q.mean + q.log_sigma.exp() * drawn(model, name, step=step).normal(*q.mean.shape)


def kl(q: api.Gaussian) -> Tensor:
    """KL(q || N(0, I)), nats an item, by hand."""
    return 0.5 * (q.mean**2 + (2 * q.log_sigma).exp() - 1 - 2 * q.log_sigma).sum() / len(q.mean)


def squared(a: Tensor, b: Tensor) -> Tensor:
    """|a - b|^2 / 2 an item, by hand."""
    return 0.5 * (a - b).square().sum() / len(a)


def softplus(logit: Tensor) -> Tensor:
    """mean log(1 + exp(logit)), by hand: -log(1 - sigmoid); of -logit it is -log sigmoid."""
    return (1 + logit.exp()).log().mean()


def expected(model: Model, batch: Batch, losses: Mapping[str, Loss]) -> dict[str, Tensor]:
    """Gradients by hand, each of a copy, so that no batch norm is moved twice, and spectral norm once."""
    found: dict[str, Tensor] = {}
    for slots, loss in losses.items():
        copied = deepcopy(model)
        with parametrize.cached():
            found |= by_hand(copied, *slots.split(" + "), loss=lambda c=copied, of=loss: of(c, batch))
    return found


def l1(a: Tensor, b: Tensor) -> Tensor:
    """|a - b| a number, by hand."""
    return (a - b).abs().mean()
