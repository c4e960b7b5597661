"""The codes of a data set by a run's encoder, in safetensors files, with the numbers that models of codes want."""

from __future__ import annotations

import hashlib
import json
import math
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from safetensors import SafetensorError, safe_open
from torch import Tensor

from zoo.columns import json_text
from zoo.data.batches import load_images
from zoo.data.fields import items, split_of
from zoo.data.given import read_images
from zoo.errors import RequestError
from zoo.machine.disk import remove, temporary, write_atomically
from zoo.machine.progress import Progress
from zoo.metrics.evaluate import batch_of
from zoo.model.model import Model
from zoo.model.tensorfile import digest_of, pieces
from zoo.recipe.schema import Recipe
from zoo.types import Batch, Examples, Gaussian, to_model

SHARD = 2**24
"""Numbers of the codes in a file, at most."""
INDEX = "codes.json"
"""The file that tells of all others; it is written last."""
Read = tuple[Batch, dict[str, Tensor], list[str]]
"""Items as a model takes them, on the CPU; what else is kept of each; their names, if they have any."""


@dataclass(frozen=True)
class Split:
    """A split of a recipe's data; its labels are kept beside the codes."""

    name: str
    examples: Examples
    recipe: Recipe

    def __len__(self) -> int:
        return len(getattr(self.examples, self.name))

    def read(self, begin: int, end: int) -> Read:
        """Items by their positions."""
        stored = split_of(self.examples, self.name, self.recipe)
        labels = {name: t[begin:end] for name, t in stored.items() if self.recipe.fields[name].kind == "label"}
        return items(self.examples, self.name, self.recipe, begin, end - begin), labels, []


@dataclass(frozen=True)
class Folder:
    """Images in a folder, at any depth, in the order of their names; those that cannot be read are passed over."""

    name: str
    files: tuple[Path, ...]
    recipe: Recipe

    def __len__(self) -> int:
        return len(self.files)

    def read(self, begin: int, end: int) -> Read:
        """Images by their positions."""
        files = self.files[begin:end]
        pixels = self._read(files)
        if len(pixels) != len(files):
            files = tuple(file for file in files if len(self._read((file,))))
        return {self.recipe.x.name: to_model(pixels)}, {}, [str(file) for file in files]

    def _read(self, files: tuple[Path, ...]) -> Tensor:
        with suppress(RequestError):  # none of them is an image
            return read_images(files, self.recipe)[0]
        return torch.empty(0, *self.recipe.x.shape)


def sources_of(place: str, recipe: Recipe) -> list[Split | Folder]:
    """What a user names: a folder of images, or ``data``, the recipe's own, or ``data:train``, one split of it."""
    name, _, split = place.partition(":")
    if Path(place).is_dir():
        endings = Image.registered_extensions()
        found = sorted(file for file in Path(place).rglob("*") if file.suffix.lower() in endings)
        if not found:
            raise RequestError(f"{place}: holds no images")
        return [Folder("images", tuple(found), recipe)]
    if name != "data" or split not in ("", "train", "test"):
        cure = "give a folder, data, data:train or data:test; --set data={use: NAME, ...} takes other data"
        raise RequestError(f"{place}: is no folder of images, and not the run's data; {cure}")
    examples = load_images(recipe, [name for name, field in recipe.fields.items() if field.kind == "label"])
    return [Split(each, examples, recipe) for each in ([split] if split else ["train", "test"])]


def encode(model: Model, place: str, to: Path, *, output: str = "posterior", batch: int = 0) -> dict[str, Any]:
    """Writes the codes of all items, goes on where it was stopped, and gives what ``codes.json`` tells.

    A Gaussian's ``mean`` and ``deviation`` are kept, of anything else its tensors by name; beside them labels. Of each
    of numbers, ``codes.json`` has mean and deviation, in all and for each channel; and the ``scale_factor`` that gives
    codes drawn from their Gaussians a deviation of 1 (Rombach et al. 2022, appendix G).

    Args:
        place: see ``sources_of``.
        to: a directory: it holds nothing, or what was written of the same model and items.
        output: an output or a value of the recipe.
        batch: items at a time; 0 for as many as are scored at a time.

    Raises:
        RequestError: the directory holds something else, or the model has no such value.
    """
    sources, work = sources_of(place, model.recipe), Work.of(model, output, batch)
    if to.is_file():
        raise RequestError(f"--to {to}: is a file; give a directory")
    to.mkdir(parents=True, exist_ok=True)
    for left in filter(temporary, to.glob(".*")):
        remove(left)
    shards = []
    for source in sources:
        with Progress(f"encoding {source.name}", len(source)) as bar:
            for number, begin in enumerate(range(0, len(source), work.shard)):
                path, end = to / f"{source.name}-{number:05d}.safetensors", min(begin + work.shard, len(source))
                key = json.dumps([work.key, place, model.recipe.data_identity(), begin, end], sort_keys=True)
                shards.append(_told(path, key) or work.write(path, key, source, range(begin, end), bar))
                bar.update(end)
    count = sum(shard["items"] for shard in shards)
    whole = {"items": count, "output": output, "statistics": _statistics(shards), "shards": shards}
    write_atomically(to / INDEX, f"{json_text(whole, indent=2)}\n".encode())
    return whole


@dataclass(frozen=True)
class Work:
    """A model that encodes ``batch`` items at a time and ``shard`` into a file; the key tells it from others."""

    model: Model
    value: str
    batch: int
    shard: int
    key: str

    @classmethod
    def of(cls, model: Model, output: str, batch: int) -> Work:
        """A ``shard`` is whole batches, so that every batch is the same however often it is stopped."""
        most = max(1, SHARD // (2 * math.prod(model.recipe.sizes.code)))
        batch = min(most, batch or batch_of(model.recipe))
        value = model.recipe.outputs.get(output, output)
        weights = digest_of(pieces(model.state_dict(), {}))
        return cls(model, value, batch, most - most % batch, f"{value} {weights} {batch}")

    def write(self, path: Path, key: str, source: Split | Folder, places: range, bar: Progress) -> dict[str, Any]:
        """Encodes some items into a file; the next are read while some are encoded."""
        found, names, starts = dict[str, list[Tensor]](), list[str](), places[:: self.batch]
        with ThreadPoolExecutor(1) as reader:

            def ahead(start: int) -> Any:
                return reader.submit(source.read, start, min(start + self.batch, places.stop))

            waiting = ahead(places.start)
            for start in starts:
                (given, kept, called), waiting = waiting.result(), ahead(start + self.batch)
                for name, tensor in {**self._codes(given), **kept}.items():
                    found.setdefault(name, []).append(tensor)
                names += called
                bar.update(min(start + self.batch, places.stop))
        tensors = {name: torch.cat(parts) for name, parts in found.items()}
        sums = {name: _sums(t) for name, t in tensors.items() if t.is_floating_point()}
        told = {"file": path.name, "items": len(next(iter(tensors.values()), ())), "sums": sums}
        metadata = {"key": hashlib.sha256(key.encode()).hexdigest(), "told": json.dumps(told)}
        write_atomically(path, pieces(tensors, metadata | ({"names": json.dumps(names)} if names else {})))
        return told

    def _codes(self, given: Batch) -> dict[str, Tensor]:
        there = {name: tensor.to(self.model.device) for name, tensor in given.items()}
        if not all(map(len, there.values())):
            return {}
        (found,) = self.model.compute(self.value, given=there, seed=0)
        if isinstance(found, Gaussian):
            found = {"mean": found.mean, "deviation": found.sigma}
        named = {"codes": found} if isinstance(found, Tensor) else getattr(found, "__dict__", found)
        return {name: tensor.cpu() for name, tensor in named.items() if isinstance(tensor, Tensor)}


def _told(path: Path, key: str) -> dict[str, Any] | None:
    """What a file that was written before tells; None if there is none; a RequestError if it is of something else."""
    if not path.is_file():
        return None
    metadata: dict[str, str] = {}
    with suppress(SafetensorError), safe_open(path, "pt") as file:
        metadata = file.metadata() or {}
    if metadata.get("key") != hashlib.sha256(key.encode()).hexdigest():
        raise RequestError(f"{path}: holds codes of another run, of other data, or none; choose another --to")
    return json.loads(metadata["told"])  # type: ignore[no-any-return]


def _sums(tensor: Tensor) -> list[list[float]]:
    """For each channel how many numbers there are, their sum, and that of their squares."""
    rows = tensor.double().movedim(1, 0).flatten(1) if tensor.ndim > 1 else tensor.double()[None]
    return [[rows.shape[1], float(row.sum()), float(row.square().sum())] for row in rows]


def _statistics(shards: list[dict[str, Any]]) -> dict[str, Any]:
    """Of each tensor of numbers mean and deviation over all files; and the scale factor."""
    found: dict[str, Any] = {}
    for name in dict.fromkeys(name for shard in shards for name in shard["sums"]):
        each = torch.tensor([s["sums"][name] for s in shards if name in s["sums"]], dtype=torch.float64).sum(0)
        whole, *channels = (_moments(*row) for row in (each.sum(0).tolist(), *each.tolist()))
        found[name] = {**whole, "channels": {key: [one[key] for one in channels] for key in whole}}
    if len(found) == 1 or "mean" in found:
        noise = found.get("deviation", {"mean": 0, "deviation": 0})
        first = found["mean" if "mean" in found else next(iter(found))]
        variance = first["deviation"] ** 2 + noise["mean"] ** 2 + noise["deviation"] ** 2  # E sigma^2, in two parts
        found["scale_factor"] = variance**-0.5 if variance else 1.0
    return found


def _moments(count: float, total: float, squares: float) -> dict[str, float]:
    mean = total / count
    return {"mean": mean, "deviation": max(squares / count - mean**2, 0.0) ** 0.5}
