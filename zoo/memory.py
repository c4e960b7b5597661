"""How much memory a recipe may ask for: a recipe from elsewhere may ask for the moon."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map_only
from torch.utils.weak import WeakIdKeyDictionary

from zoo.assembly import assemble
from zoo.errors import RecipeError, RequestError
from zoo.model import Model
from zoo.recipe.schema import Recipe

VARIABLE = "ZOO_MEMORY"
"""Environment variable with the bytes that a model may take, such as ``64GB``; those of the device when unset."""
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much a container may have: control groups of version 2, and of version 1."""
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_FLOAT = 4
_ON_META = {"device": "meta", "generator": None, "pin_memory": None}
"""Arguments with which an operation takes no memory and draws no numbers."""


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
    return min(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits())


def _limits() -> Iterator[int]:
    """Bytes that a container lets its processes have, if it says so: beyond them the kernel ends one."""
    for place in LIMITS:
        try:
            said = Path(place).read_text().strip()
        except OSError:
            continue
        if said.isdecimal():
            yield int(said)


def check_size(recipe: Recipe, device: torch.device | str = "cpu") -> None:
    """Refuses a recipe whose weights, or whose images, cannot fit; none of the memory that they lack is taken.

    A model that cannot be made on the ``meta`` device is made on the CPU, under a ``Budget``.

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
        _check_on_cpu(recipe, min(there, memory()))
        return
    except RecipeError:
        assemble(recipe, "meta")  # raises it, and what else is wrong
        raise
    tensors = [*model.parameters(), *model.buffers()]
    _refuse(recipe, "its weights", sum(tensor.numel() * tensor.element_size() for tensor in tensors), there)


def _check_on_cpu(recipe: Recipe, there: int) -> None:
    with Budget(there) as budget:
        try:
            assemble(recipe, "cpu")
        finally:  # whatever a component made of the refusal
            _refuse(recipe, "its weights", budget.asked, there)


class Budget(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Inside, a tensor is refused before it is made if more bytes would then be alive than there may be.

    What an operation is about to make is what it makes on the ``meta`` device. One whose result is as large as its
    numbers say cannot be asked there, and counts from then on. Only torch counts, in this thread: numpy does not,
    of which the system refuses an array that is larger than all its memory.

    Args:
        most: bytes.

    Attributes:
        asked: the most bytes that were alive at once, or would have been.
    """

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.asked = 0
        self._most = most
        self._alive = WeakIdKeyDictionary()  # storages, which die with the last tensor that lives in them

    def __torch_dispatch__(
        self,
        function: Any,
        types: Sequence[type],
        arguments: Sequence[Any] = (),
        named: Mapping[str, Any] | None = None,
    ) -> Any:
        """Makes what is asked for, if it may.

        Raises:
            MemoryError: if not.
        """
        named = named or {}
        self._count(_about_to_make(function, arguments, named))
        made = function(*arguments, **named)
        self._alive.update((storage, True) for storage in _storages(made))
        return made

    def _count(self, more: int) -> None:
        if more:
            self.asked = max(self.asked, more + sum(storage.nbytes() for storage in self._alive))
        if self.asked > self._most:
            raise MemoryError(f"{_told(self.asked)} are more than the {_told(self._most)} of memory here")


def _about_to_make(function: Any, arguments: Sequence[Any], named: Mapping[str, Any]) -> int:
    """Bytes by which an operation makes memory grow; 0 if only its numbers will tell."""
    try:
        given = tree_map_only(Tensor, _shape_of, (arguments, dict(named)))
        kinds = {argument.name for argument in function._schema.arguments}
        given[1].update((name, value) for name, value in _ON_META.items() if name in kinds)
        before = _bytes(given)
        return _bytes((given, function(*given[0], **given[1]))) - before
    except Exception:  # noqa: BLE001 - meta kernels raise anything; a wrong call raises it again
        return 0


def _shape_of(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="meta")


def _bytes(tensors: Any) -> int:
    return sum({storage._cdata: storage.nbytes() for storage in _storages(tensors)}.values())


def _storages(tensors: Any) -> list[torch.UntypedStorage]:
    """The memory that tensors live in, which several may share; a sparse one's parts are tensors themselves."""
    dense = [tensor for tensor in tree_iter(tensors) if isinstance(tensor, Tensor) and tensor.layout == torch.strided]
    return [tensor.untyped_storage() for tensor in dense]


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
