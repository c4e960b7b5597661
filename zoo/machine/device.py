"""The device that a model computes on: which, in what type, and how much memory it has."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch

from zoo.errors import Position, Problem, RecipeError, RequestError, ZooError, said_of
from zoo.machine.torch_private import out_of_memory, tiles_of_bfloat16

T = TypeVar("T")

VARIABLE = "ZOO_MEMORY"
"""Environment variable with the bytes that a model may take, such as ``64GB``; those of the device when unset."""

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Where Linux says how much a container may have: control groups of version 2, and of version 1."""

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}


def memory(device: torch.device | str = "cpu") -> int:
    """Bytes that a model may take on a device; a ``ZOO_MEMORY`` that is no number of bytes is a RequestError."""
    asked = os.environ.get(VARIABLE, "")
    if asked:
        found = re.fullmatch(r"(\d{1,15})\s*([KMGT]?)B?", asked.strip().upper())
        if not found:
            raise RequestError(f"{VARIABLE}={asked}: is no number of bytes; write it as 64GB")
        return int(found[1]) * _UNITS[found[2]]
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    if not hasattr(os, "sysconf"):  # Windows does not say
        return sys.maxsize
    return min([os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"), *_limits()])


def _limits() -> Iterator[int]:
    """Bytes that a container lets its processes have, if it says so: beyond them the kernel ends one."""
    for place in LIMITS:
        try:
            said = Path(place).read_text().strip()
        except OSError:
            continue
        if said.isdecimal():
            yield int(said)


def size_of(size: int) -> str:
    """Bytes, rounded up: ``12 GB``."""
    unit = next(u for u in ("T", "G", "M", "K", "") if size >= _UNITS[u] or not u)
    return f"{-(-size // _UNITS[unit]):,} {unit}B"


def halving(work: Callable[[int], T], batch: int) -> T:
    """``work(batch)``; where memory does not suffice, of half the batch, down to one image at a time."""
    while batch > 1:
        try:
            return work(batch)
        except Exception as error:
            if not out_of_memory(error):
                raise
        batch //= 2  # out here nothing of what failed is held any more
    return work(batch)


@contextmanager
def placed(position: Position, what: str) -> Iterator[None]:
    """What a stranger's code raises inside is a RecipeError at its place; sentences and lack of memory go through."""
    try:
        yield
    except Exception as error:
        if isinstance(error, ZooError) or out_of_memory(error):
            raise
        raise RecipeError([Problem(position, f"{what}: {said_of(error)}")]) from error


def choose_device(name: str = "auto") -> torch.device:
    """A device by name; ``auto`` is the first GPU if there is one, else the CPU. RequestError if it is not here."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        return torch.zeros(1, device=name).device  # with its number: cuda is cuda:0
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise RequestError(f"--device {name}: cannot be used here ({first}); choices: auto, cpu, cuda") from None


def compute_type(precision: str, device: torch.device) -> torch.dtype | None:
    """The type networks compute in; None for that of their parameters."""
    if precision == "auto":
        on_gpu = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        fast = on_gpu or (device.type == "cpu" and tiles_of_bfloat16())
        precision = "bfloat16" if fast else "float32"
    return torch.bfloat16 if precision == "bfloat16" and device.type != "meta" else None  # meta has no autocast


@contextmanager
def repeatable(device: torch.device) -> Iterator[None]:
    """Inside, cuDNN computes the same numbers each time; afterwards it does what the process had it do before."""
    if device.type != "cuda":
        yield
        return
    before, torch.backends.cudnn.deterministic = torch.backends.cudnn.deterministic, True
    try:
        yield
    finally:
        torch.backends.cudnn.deterministic = before


def sync_device(device: torch.device) -> None:
    """Waits for the device, so that a clock read afterwards tells the truth."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
