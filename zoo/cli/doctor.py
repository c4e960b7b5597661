"""``zoo doctor``: what a bug report needs, and what is wrong with an installation."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from importlib import import_module, metadata
from pathlib import Path

import zoo
from zoo.columns import json_text, printable, table
from zoo.machine.cache import cache_folder
from zoo.machine.process import import_torch
from zoo.registry import load_registry
from zoo.registry.isolation import Failure, attempt
from zoo.registry.requirements import unmet

IMPORTED = ("torch", "torchvision", "timm")
"""Libraries that an installation may have and that may not work together."""
TOLD = (
    *IMPORTED,
    "torchaudio",
    "einops",
    "pluggy",
    "pyyaml",
    "pydantic",
    "numpy",
    "pillow",
    "safetensors",
    "diffusers",
)
SPOKEN = ("ZOO_", "OMP_", "MKL_", "CUDA_", "NVIDIA_", "PYTORCH_", "TORCH_", "WORLD_SIZE", "RANK", "LOCAL_RANK")
"""How environment variables begin that change what a training does."""
SPARE = 2 << 30
"""Free bytes of the cache's disk below which packing a large set fails."""


def doctor(arguments: argparse.Namespace) -> int:
    """Prints the facts and the faults; 1 if there are faults."""
    faults: list[str] = []
    versions = {name: version for name in TOLD if (version := _version(name))}
    faults += _imports(versions)
    versions |= {name: sys.modules[name].__version__ for name in IMPORTED if name in versions and name in sys.modules}
    busy = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    facts = {
        "zoo": f"{zoo.__version__} in {Path(zoo.__file__).parent}",
        "python": f"{platform.python_version()} in {sys.prefix}",
        "system": f"{platform.platform()}, {_cores()} cores for this process{busy}",
        **versions,
        **(_torch(faults) if "torch" in sys.modules else {}),
        "cache": _cache(faults),
        "environment": " ".join(f"{key}={os.environ[key]}" for key in sorted(os.environ) if key.startswith(SPOKEN)),
    }
    registry = load_registry(tuple(arguments.plugin))
    for plugin in registry.plugins:
        if plugin.state not in ("ok", "disabled"):
            faults.append(f"plugin '{plugin.name}' of {plugin.distribution}: {plugin.reason}")
    faults += map(str, registry.collisions())
    packages = {f"{plugin.distribution} {plugin.version}" for plugin in registry.plugins}
    facts["plugins"] = f"{len(registry.plugins)}: {', '.join(sorted(packages))}"
    if arguments.json:
        print(json_text({"facts": facts, "faults": faults}))
    else:
        print(table([["what", "is"], *([key, value] for key, value in facts.items() if value)]))
        print(
            printable("\n" + ("\n".join(f"- {fault}" for fault in faults) or "nothing is wrong that can be seen here"))
        )
    return int(bool(faults))


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return ""


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _imports(versions: Mapping[str, str]) -> Iterator[str]:
    """What is required and absent, or of another version, and what is there and cannot be imported."""
    yield from (f"generative-zoo: {lacking}" for lacking in unmet("generative-zoo"))
    for name in (name for name in IMPORTED if name in versions):
        found = attempt(
            f"importing {name} {versions[name]}", import_torch if name == "torch" else partial(import_module, name)
        )
        if isinstance(found, Failure):
            beside = "" if name == "torch" else f", beside torch {versions.get('torch')}"
            yield f"{found.sentence}{beside}; pip install --force-reinstall torch torchvision, both from one index"


def _torch(faults: list[str]) -> dict[str, str]:
    """What torch computes on."""
    import torch

    from zoo.machine.torch_private import tiles_of_bfloat16

    threads, cores = torch.get_num_threads(), _cores()
    if threads > cores:
        cure = f"OMP_NUM_THREADS={cores}"
        faults.append(
            f"torch takes {threads} threads and this process has {cores} cores; they wait for each other: {cure}"
        )
    said = os.environ.get("OMP_NUM_THREADS", "1")
    if not all(number.strip().isdigit() for number in said.split(",")):  # one for each level of nesting
        faults.append(f"OMP_NUM_THREADS={said} is no number, so it is passed over: OMP_NUM_THREADS={cores}")
    tiles = "fast (AMX): 'precision: auto' takes it" if tiles_of_bfloat16() else "no faster than float32 (no AMX)"
    found = {
        "threads": str(threads),
        "bfloat16 on the CPU": tiles,
        "cuda": torch.version.cuda or "torch is built without it",
    }
    for index in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(index)
        found[f"cuda:{index}"] = f"{card.name}, {card.total_memory >> 30} GiB, capability {card.major}.{card.minor}"
    if torch.version.cuda and not torch.cuda.device_count() and shutil.which("nvidia-smi"):
        faults.append(
            "there is nvidia-smi, but torch finds no GPU: its driver is older than CUDA "
            f"{torch.version.cuda}, or CUDA_VISIBLE_DEVICES hides it"
        )
    return found


def _cache(faults: list[str]) -> str:
    """Where the cache is, and whether it can be trusted and written to."""
    try:
        folder = cache_folder("")
    except RuntimeError as error:
        faults.append(f"there is no place for a cache: {error}; set ZOO_CACHE to a folder")
        return ""
    there = next(path for path in (folder, *folder.parents) if os.path.exists(path))  # of what may not be read too
    status, disk = there.stat(), shutil.disk_usage(there)
    if not there.is_dir() or not os.access(there, os.W_OK) or not disk.total:  # a file system such as /proc has none
        faults.append(f"the cache {folder} cannot be written to; set ZOO_CACHE to a folder that can")
        return str(folder)
    if there == folder and os.name != "nt" and status.st_mode & (stat.S_IWOTH | stat.S_IWGRP):
        faults.append(f"others may write to the cache {folder}, and change what is trained on; chmod go-w {folder}")
    if disk.free < SPARE:
        faults.append(f"the disk of the cache {folder} has {disk.free >> 20} MiB left; a large set takes gigabytes")
    return f"{folder}, {disk.free >> 30} GiB free"
