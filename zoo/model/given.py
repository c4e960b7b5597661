"""Fields that are given to a model, and those that it draws as its training saw them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from unicodedata import normalize

import torch
from torch import Tensor, nn

from zoo.draws import Draw
from zoo.errors import RequestError, did_you_mean
from zoo.recipe.data_fields import DataField
from zoo.recipe.schema import Recipe
from zoo.types import Batch


def checked(given: Tensor | Mapping[str, Any], recipe: Recipe, device: torch.device, dtype: torch.dtype) -> Batch:
    """A batch as a model takes it, on its device; a tensor alone is the first field. A RequestError if it is none."""
    batch = given if isinstance(given, Mapping) else {recipe.graph.fields[0]: given}
    if not batch:
        raise RequestError(f"recipe '{recipe.name}' is given nothing; it takes {', '.join(recipe.graph.fields)}")
    first = next((len(value) for value in batch.values() if isinstance(value, Tensor) and value.ndim), 1)
    return {name: one(name, value, first, recipe, device, dtype) for name, value in batch.items()}


def refuse_without(recipe: Recipe, missing: Sequence[str], known: Mapping[str, Any]) -> None:
    """A RequestError where items are given, and fields of theirs are missing."""
    all_of_them = " and ".join(name for name in recipe.graph.fields if name in known or name in missing)
    cure = f"give {all_of_them} by name (on the command line {' '.join(f'--given {name}=...' for name in missing)})"
    them = "it is" if len(missing) == 1 else "they are"
    if missing:
        raise RequestError(f"recipe '{recipe.name}' takes {' and '.join(missing)} too, and {them} not given; {cure}")


def one(name: str, value: Any, count: int, recipe: Recipe, device: torch.device, dtype: torch.dtype) -> Tensor:
    """A field as a model takes it, (count, ...): of a single class or item, which all have; of classes by name too."""
    if name not in recipe.graph.fields:
        raise RequestError(
            f"recipe '{recipe.name}' has no field '{name}' in its data{did_you_mean(name, recipe.graph.fields)}"
        )
    field = recipe.fields[name]
    if field.kind == "label":
        return _classes(field, value, count).to(device)
    far = ""
    if (
        not isinstance(value, Tensor)
        or value.shape[1:] != field.shape
        or value.is_floating_point() == (field.kind == "mask")
        or (far := _far(value, field))
    ):
        what = f"{value.dtype} {tuple(value.shape)}{far}" if isinstance(value, Tensor) else type(value).__name__
        shape = f"{('B', *field.shape)}".replace("'B'", "B")
        takes = f"classes {shape}, whole numbers" if field.kind == "mask" else f"floats {shape}"
        made = " in [-1, 1]" if field.kind in ("image", "volume", "signal") else ""
        made += ", which zoo.api.to_model makes of uint8" if field.kind == "image" else ""
        raise RequestError(f"{name} is {what}; recipe '{recipe.name}' takes {takes}{made}")
    if len(value) not in (1, count):
        raise RequestError(f"{len(value)} items are given of {name}, and {count} of the others; give as many")
    whole = value if len(value) == count else value.expand(count, *value.shape[1:])
    return whole.to(device) if field.kind == "mask" else whole.to(device, dtype)


def _far(value: Tensor, field: DataField) -> str:
    """How far from 0 the numbers of an image go where none, noise added, goes so far; as one of 0 to 255 does."""
    scaled = field.kind in ("image", "volume", "signal") and value.numel() and not value.is_meta
    most = float(value.detach().abs().amax()) if scaled and not torch.compiler.is_compiling() else 0.0
    return f", as far from 0 as {most:.4g}" if most > 16 else ""


def _classes(field: DataField, value: Any, count: int) -> Tensor:
    """Classes (count,), of a number, a name, several of these or a tensor."""
    several = value.tolist() if isinstance(value, Tensor) else value
    if isinstance(several, str) or not isinstance(several, Sequence):
        several = [several]
    found = [_class(field, single) for single in several]
    if len(found) not in (1, count):
        raise RequestError(f"{len(found)} classes are given of {field.name}, and {count} items; give one, or as many")
    return torch.tensor(found * count if len(found) == 1 else found)


def _class(field: DataField, value: Any) -> int:
    named, text = isinstance(value, str), str(value)
    for names, name in ((field.names, text), ([normalize("NFC", n) for n in field.names], normalize("NFC", text))):
        if named and name in names:
            return names.index(name)
    otherwise = named and any(n.isdigit() and n != str(number) for number, n in enumerate(field.names))
    if text.isascii() and text.isdigit() and int(text) < field.classes and not otherwise:
        return int(text)
    if named and field.names and (otherwise or not text.isdigit()):
        raise RequestError(f"{field.name} has no class '{value}'{did_you_mean(value, field.names)}")
    raise RequestError(f"{field.name}={value}: its classes are 0 to {field.classes - 1}")


class Frequencies(nn.Module):
    """How often a training saw each class of its labels: a buffer for each label, zeros before."""

    def __init__(self, classes: Mapping[str, int], device: torch.device | str) -> None:
        super().__init__()
        for name, count in classes.items():
            self.register_buffer(name, torch.zeros(count, dtype=torch.int64, device=device))

    def note(self, stored: Mapping[str, Tensor]) -> None:
        """Counts the classes of a training set's labels anew."""
        for name, counts in self.named_buffers():
            counts.copy_(torch.bincount(stored[name].long().flatten(), minlength=len(counts)))

    def of(self, field: DataField) -> Tensor:
        """How often each class of a label was seen, (classes,); once each where nothing is known of that."""
        counts = dict(self.named_buffers()).get(field.name)
        return counts if counts is not None and counts.any() else torch.ones(field.classes)


def drawn(frequencies: Frequencies, field: DataField, count: int, draw: Draw) -> Tensor:
    """Classes (count,) as often as they were seen; all alike where nothing is known of that."""
    weights = frequencies.of(field).double().cpu()
    numbers = draw.uniform(count)
    ends = (weights.cumsum(0) / weights.sum()).to(numbers)
    return torch.searchsorted(ends, numbers, right=True).clamp(max=field.classes - 1)


def batch_size(given: Mapping[str, Any]) -> int:
    """How many items are given; 0 where nothing says."""
    several = [value for value in given.values() if isinstance(value, Tensor | list | tuple)]
    return len(several[0]) if several and not (isinstance(several[0], Tensor) and not several[0].ndim) else 0
