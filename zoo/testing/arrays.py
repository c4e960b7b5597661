"""Tensors as the checks see them: made up, collected, compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from zoo.draws import seeded
from zoo.recipe.contract import Shape
from zoo.types import mapped

CPU = torch.device("cpu")


def devices() -> list[torch.device]:
    """Where parts are moved to: meta, and a GPU if there is one."""
    return [torch.device("meta"), *([torch.device("cuda")] if torch.cuda.is_available() else [])]


def images(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """Uniform in [-1, 1], a function of shape and seed."""
    drawn = torch.rand(shape, generator=seeded("images", seed), dtype=torch.float64) * 2 - 1
    return drawn.to(dtype)


def made_up(shape: Shape, batch: int, seed: int = 0, dtype: torch.dtype = torch.float32) -> Tensor:
    """An input for one side of a contract: images where it has a side, else standard normal numbers."""
    numbers = [batch if n is None else n for n in shape.numbers]
    if {"H", "W", "size"} & set(shape.names):
        return images(*numbers, seed=seed, dtype=dtype)
    return torch.randn(numbers, generator=seeded("numbers", seed), dtype=torch.float64).to(dtype)


def tensors(value: Any) -> list[Tensor]:
    """Every tensor in a value: in dataclasses, mappings and sequences too."""
    found: list[Tensor] = []

    def keep(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(keep, value)
    return found


def equal(a: Any, b: Any) -> bool:
    """Whether two values hold the same numbers, bit for bit (a nan equals a nan)."""
    first, second = tensors(a), tensors(b)
    return len(first) == len(second) and all(_equal(x, y) for x, y in zip(first, second, strict=True))


def _equal(a: Tensor, b: Tensor) -> bool:
    same = a.shape == b.shape and a.dtype == b.dtype
    return same and bool(((a == b) | ((a != a) & (b != b))).all())


def close(a: Any, b: Any, relative: float) -> bool:
    """Whether two values hold the same numbers but for a share of the largest."""
    first, second = tensors(a), tensors(b)
    return len(first) == len(second) and all(_close(x, y, relative) for x, y in zip(first, second, strict=True))


def _close(a: Tensor, b: Tensor, relative: float) -> bool:
    if a.shape != b.shape:
        return False
    a, b = a.detach().cpu().double(), b.detach().cpu().double()
    scale = max(float(a.abs().max()), float(b.abs().max()), 1e-12) if a.numel() else 1.0
    return bool(((a - b).abs() <= relative * scale).all())


def copies(values: Sequence[Any]) -> list[Any]:
    """Copies of values, and of the tensors in them."""
    return [mapped(Tensor.clone, value) if tensors(value) else value for value in values]


def finite(value: Any) -> bool:
    """Whether every number in a value is."""
    return all(bool(t.isfinite().all()) for t in tensors(value) if t.device.type != "meta")


def total(value: Any) -> Tensor:
    """The sum of everything in a value that a gradient can start from."""
    parts = [t.sum() for t in tensors(value) if t.requires_grad]
    return torch.stack(parts).sum() if parts else torch.zeros(())


def sides(shape: Sequence[int]) -> str:
    """A shape, for a sentence: ``2 x 3 x 8``."""
    return " x ".join(map(str, shape)) or "a scalar"
