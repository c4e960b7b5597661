"""Tensors as the checks see them, and the checks of components that give some."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from itertools import count, repeat
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from zoo.draws import seeded
from zoo.machine.torch_private import Repeated
from zoo.recipe.contract import Contract
from zoo.recipe.data_fields import DataField
from zoo.recipe.schema import Recipe
from zoo.testing.core import Component
from zoo.types import mapped, tensors

CPU = torch.device("cpu")
GPU = 1e-2
"""Share of the largest number that a GPU, with TF32 convolutions, may be off."""


def devices() -> list[torch.device]:
    """Where parts are moved to: meta, and a GPU if there is one."""
    return [torch.device("meta"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform in [-1, 1], a function of shape and seed."""
    return (torch.rand(shape, generator=seeded("images", seed), dtype=torch.float64) * 2 - 1).to(dtype)


def fields(recipe: Recipe, batch: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """A batch of a recipe's fields: numbers as ``images`` has them, and classes."""

    def one(field: DataField) -> Tensor:
        numbers = images(batch, *field.shape, seed=seed, dtype=dtype)
        return ((numbers + 1) / 2 * field.classes).long() if field.classes else numbers

    return {name: one(recipe.fields[name]) for name in recipe.graph.fields}


def made_up(
    contract: Contract, batch: int, dtype: torch.dtype = torch.float32, classes: Sequence[int] = ()
) -> list[Tensor]:
    """Inputs of a contract: of those that have ``classes``, some of so many; images where one has a side; else standard
    normal numbers.
    """

    def one(seed: int, names: Set[str], sizes: Sequence[int], classes: int) -> Tensor:
        if classes:
            return torch.randint(classes, sizes, generator=seeded("numbers", seed))
        if {"H", "W", "size"} & names:
            return images(*sizes, seed=seed, dtype=dtype)
        return torch.randn(sizes, generator=seeded("numbers", seed), dtype=torch.float64).to(dtype)

    made = zip(count(0, 10), contract.inputs, contract.made_up(batch), classes or repeat(0), strict=False)
    return [one(seed, shape.names, sizes, own) for seed, shape, sizes, own in made]


def equal(a: Any, b: Any) -> bool:
    """True if two values hold the same numbers, bit for bit (a nan equals a nan)."""
    return _pairwise(a, b, lambda x, y: x.dtype == y.dtype and bool(((x == y) | ((x != x) & (y != y))).all()))


def close(a: Any, b: Any, relative: float) -> bool:
    """True if the numbers of two values differ by no more than a share of the largest."""

    def near(x: Tensor, y: Tensor) -> bool:
        x, y = x.detach().cpu().double(), y.detach().cpu().double()
        scale = max(float(x.abs().max()), float(y.abs().max()), 1e-12) if x.numel() else 1.0
        return bool(((x - y).abs() <= relative * scale).all())

    return _pairwise(a, b, near)


def _pairwise(a: Any, b: Any, same: Callable[[Tensor, Tensor], bool]) -> bool:
    first, second = tensors(a), tensors(b)
    shapes = [t.shape for t in first] == [t.shape for t in second]
    return shapes and all(same(x, y) for x, y in zip(first, second, strict=True))


def copied(value: Any) -> Any:
    """A copy of a value that has tensors; any other as it is."""
    return mapped(Tensor.clone, value) if tensors(value) else value


def finite(value: Any) -> bool:
    """True if every number in a value is finite."""
    return all(bool(t.isfinite().all()) for t in tensors(value) if t.device.type != "meta")


def total(value: Any) -> Tensor:
    """The sum of everything in a value that a gradient can start from."""
    parts = [t.sum() for t in tensors(value) if t.requires_grad]
    return torch.stack(parts).sum() if parts else torch.zeros(())


def learners(module: nn.Module) -> dict[str, Tensor]:
    """The parameters that can learn."""
    return {name: p for name, p in module.named_parameters() if p.requires_grad}


def missed(objective: Tensor, leaves: Mapping[str, Tensor]) -> list[str]:
    """The names of those that autograd does not connect an objective with."""
    if not leaves or not objective.requires_grad:
        return [*leaves]
    found = torch.autograd.grad(objective, list(leaves.values()), allow_unused=True)
    return [name for name, gradient in zip(leaves, found, strict=True) if gradient is None]


def sides(value: Any) -> str:
    """A tensor's shape, for a sentence: ``2 x 3 x 8``; of anything else its type."""
    if not isinstance(value, Tensor):
        return type(value).__name__
    return " x ".join(map(str, value.shape)) or "a scalar"


class GivesTensors(Component):
    """A component that gives tensors, and how to cure what ails them."""

    types: ClassVar[Sequence[torch.dtype]] = (torch.float32, torch.float64)
    alike: ClassVar = True
    """False where a GPU draws other numbers than the CPU, so that the two cannot be compared."""
    typed: ClassVar = "make new tensors like its inputs (torch.zeros_like, x.new_zeros)"
    placed: ClassVar = "make new tensors where its inputs are (torch.zeros_like, x.new_zeros)"
    repeated: ClassVar = "take every random number from 'draw', and keep nothing between calls"

    def compute(self, device: torch.device = CPU, dtype: torch.dtype = torch.float32) -> Any:
        """The output of a new one for made-up inputs, in evaluation mode."""
        raise NotImplementedError

    def use(self) -> None:
        """Makes a new one, and computes with it."""
        self.compute()

    def check_dtype(self) -> None:
        """The type that goes in comes out: of images, codes, and the model that it is in; not of whole numbers."""
        for kind in self.types:
            given = {tensor.dtype for tensor in tensors(self.compute(dtype=kind)) if tensor.is_floating_point()}
            told = f"gives {' and '.join(sorted(map(str, given - {kind})))} in a model of {str(kind)[6:]}"
            self.require(given <= {kind}, f"{told}; {self.typed}")

    def check_device_move(self) -> None:
        """Moved to meta, where shapes are checked, and to a GPU if there is one, it leaves nothing behind."""
        for device in devices():
            try:
                with Repeated():
                    given = self.compute(device)
            except NotImplementedError:
                if device.type == "meta":
                    continue  # it looks at numbers: zoo then checks recipes on the CPU
                raise
            away = {str(t.device) for t in tensors(given) if t.device.type != device.type}
            self.require(not away, f"gives tensors on {' and '.join(away)} when it is on {device}; {self.placed}")
            same = device.type == "meta" or not self.alike or close(self.compute(), given, GPU)
            self.require(same, f"gives other numbers on {device} than on the CPU")

    def check_determinism(self) -> None:
        """It gives the same again for one seed, equal inputs and equal numbers from 'draw', as a resumed run needs."""
        self.require(equal(self.compute(), self.compute()), f"gives something else the second time; {self.repeated}")
