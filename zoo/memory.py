"""How much memory a recipe may ask for: a recipe from elsewhere may ask for the moon."""

from __future__ import annotations

import os
import re

import torch

from zoo.assembly import assemble
from zoo.errors import RecipeError, RequestError
from zoo.model import Model
from zoo.recipe.schema import Recipe

VARIABLE = "ZOO_MEMORY"
"""Environment variable with the bytes that a model may take, such as ``64GB``; those of the device when unset."""
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_FLOAT = 4


def memory(device: torch.device | str = "cpu") -> int:
    """Bytes that a model may take on a device.

    Raises:
        RequestError: if ``ZOO_MEMORY`` is no number of bytes.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked:
        found = re.fullmatch(r"(\d{1,15})\s*([KMGT]?)B?", asked.strip().upper())
        if not found:
            raise RequestError(f"{VARIABLE}={asked}: is no number of bytes; write it as 64GB")
        return int(found[1]) * _UNITS[found[2]]
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def check_size(recipe: Recipe, device: torch.device | str = "cpu") -> None:
    """Refuses a recipe whose weights, or whose images, cannot fit; none of the memory is taken.

    A model that cannot be made on the ``meta`` device has no size before it has memory: it is let through.

    Raises:
        RequestError: saying how much it asks for and how much there is.
        RecipeError: if it cannot be made at all.
    """
    sizes, there = recipe.sizes, memory(device)
    _refuse(recipe, "one image", sizes.channels * sizes.size**2 * _FLOAT, there)
    _refuse(recipe, "one code", (sizes.latent + sizes.noise) * _FLOAT, there)
    try:
        model = Model(recipe, "meta")
    except NotImplementedError:
        return
    except RecipeError:
        assemble(recipe, "meta")  # raises it, and what else is wrong
        raise
    tensors = [*model.parameters(), *model.buffers()]
    _refuse(recipe, "its weights", sum(tensor.numel() * tensor.element_size() for tensor in tensors), there)


def _refuse(recipe: Recipe, what: str, asked: int, there: int) -> None:
    if asked > there:
        raise RequestError(
            f"recipe '{recipe.name}': {what} would take {_told(asked)}, more than the {_told(there)} of memory here; "
            f"make it smaller, or set {VARIABLE}={_told(asked).replace(' ', '')} to try all the same"
        )


def _told(size: int) -> str:
    """Bytes, rounded up: ``12 GB``."""
    unit = next(u for u in ("T", "G", "M", "K", "") if size >= _UNITS[u] or not u)
    return f"{-(-size // _UNITS[unit]):,} {unit}B"
