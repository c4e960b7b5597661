"""Where the weights lie that a slot begins with: in a run, in a safetensors file, in a folder of another library's, on
the Hugging Face hub. No torch.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from zoo.api import Saved
from zoo.errors import RequestError, reason, said_of
from zoo.recipe.yaml.read import read

HUB = "hf://"
SUFFIX = ".safetensors"
RUN_RECIPE = "recipe.yaml"
"""The recipe of a run, in its directory."""
RUN_DATA = "data.json"
"""What a run notes of the images it is trained on."""
RUN_FILES = {"ema": f"ema{SUFFIX}", "raw": f"model{SUFFIX}"}
"""Which finished weights of a run are in which file; the first that is there are its own."""
FORMS = f"a run's directory, RUN#SLOT, a {SUFFIX} file, FILE#PART of one, or {HUB}ORG/NAME/FILE"


@dataclass(frozen=True)
class Weights:
    """Tensors of a file whose names begin with ``prefix``; ``of_run`` where a run wrote it.

    What another library ``saved`` is a whole model, and may have parts that a slot has not.
    """

    file: Path
    prefix: str
    of_run: bool
    saved: Saved | None = None

    def whole(self) -> Weights:
        """All tensors of the same file."""
        return replace(self, prefix="")

    def sha256(self) -> str:
        """Hashes the whole file."""
        with self.file.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def find_weights(place: str, slot: str, reader: str = "") -> Weights:
    """Finds what a recipe writes as the ``weights`` of a slot; a file of the hub is fetched, or known from before.

    A ``reader`` is ``Component.weights``. A RequestError if it is not there, cannot be fetched, or is no such thing.
    """
    where, part = split_part(place)
    if where.startswith(HUB) and not where.endswith(SUFFIX) and reader:
        return _saved(reader, where, lambda name: _fetched(f"{where.rstrip('/')}/{name}"))
    if where.startswith(HUB):
        return Weights(_fetched(where), f"{part}." if part else "", of_run=False)
    path = _path(where)
    if path.is_dir():
        files = [path / name for name in RUN_FILES.values() if (path / name).is_file()]
        built = (path / RUN_RECIPE).is_file()
        if not files and reader and not built:
            return _saved(reader, where, path.joinpath)
        if not files:
            cure = f"finish it with: zoo build {where}" if built else f"weights are {FORMS}"
            raise RequestError(f"{where} is {'not trained to its end' if built else 'no run'}; {cure}")
        return Weights(files[0], f"{part or slot}.", of_run=True)
    if path.suffix != SUFFIX:
        raise RequestError(f"{where} is {'no such file' if path.exists() else 'not there'}; weights are {FORMS}")
    if not path.is_file():
        raise RequestError(f"there is no file {where}")
    return Weights(path, f"{part}." if part else "", of_run=False)


def options_saved(place: str, slot: str, reader: str, component: str) -> Mapping[str, Any]:
    """The options that a slot's weights were saved with: by a run, where its slot has the same component, or by another
    library. None where there are no weights, which whoever loads them tells.
    """
    where, part = split_part(place)
    path = _path(where)
    if (path / RUN_RECIPE).is_file():
        with suppress(OSError, RequestError):
            there = read((path / RUN_RECIPE).read_text(), where).plain()["slots"].get(part or slot) or {}
            return there if there.get("use") == component else {}
    if reader and (path.is_dir() or (where.startswith(HUB) and not where.endswith(SUFFIX))):
        return find_weights(place, slot, reader).saved.options  # type: ignore[union-attr]
    return {}


def _path(where: str) -> Path:
    return Path(os.path.expandvars(where)).expanduser()


def _saved(reader: str, where: str, file: Callable[[str], Path]) -> Weights:
    """What a component reads in a folder of another library's."""

    def there(name: str) -> Path:
        if not (path := file(name)).is_file():
            raise FileNotFoundError(f"it has no file {name}")
        return path

    try:
        saved: Saved = resolve_name(reader)(there)
    except RequestError:
        raise
    except Exception as error:  # a stranger's function may raise anything
        raise RequestError(f"{where} cannot be read: {said_of(error)}") from error
    return Weights(saved.file, "", of_run=False, saved=saved)


def split_part(place: str) -> tuple[str, str]:
    """A place, and the part of it behind ``#``; that is empty where none is named."""
    where, mark, part = place.rpartition("#")
    return (where, part) if mark else (place, "")


def _fetched(where: str) -> Path:
    """The file of the hub, ``hf://ORG/NAME/FILE`` or ``ORG/NAME@REVISION/FILE``, where the hub's library keeps it."""
    org, _, rest = where.removeprefix(HUB).partition("/")
    name, _, file = rest.partition("/")
    name, _, revision = name.partition("@")
    if not (org and name and file.endswith((SUFFIX, ".json"))):
        raise RequestError(f"{where} names no file; write {HUB}ORG/NAME/FILE{SUFFIX}")
    try:
        from huggingface_hub import hf_hub_download
    except ImportError:
        cure = "pip install 'generative-zoo[hub]'"
        raise RequestError(f"{where} is fetched by huggingface_hub, which is not installed: {cure}") from None
    try:
        return Path(hf_hub_download(f"{org}/{name}", file, revision=revision or None))
    except (OSError, ValueError) as error:
        raise RequestError(f"{where} cannot be fetched: {reason(error)}") from None
