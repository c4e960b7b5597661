"""Images that a user hands in: files, pictures, arrays, tensors."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from zoo.data.fields import central, check_field
from zoo.errors import RequestError, a, text_of
from zoo.machine.device import memory, size_of
from zoo.recipe import Recipe, registry_for
from zoo.recipe.data_fields import DataField
from zoo.registry import to_arguments
from zoo.types import Examples

SHAPE = "(N, C, H, W)"
FIELDS = ("x", "image", "img", "images", "pixel_values")
"""What an item of a data set may call its image."""
PIECE = 256
"""Items of a data set that become pixels together."""


def read_images(
    images: Sequence[str | Path | Image.Image], recipe: Recipe, field: DataField | None = None
) -> tuple[Tensor, tuple[str, ...]]:
    """Files, directories and pictures, read as the recipe's data reads its own (``api.ReadingData``).

    Data that reads none has them read as ``folder`` does. They are of a ``field`` of images or masks, the first when
    None.

    Returns:
        uint8 (N, C, H, W), of masks (N, H, W), and a sentence that names those passed over.

    Raises:
        RequestError: where one is not there, or none can be read, or a mask has a class that there is not.
    """
    field = field or recipe.x
    coded = recipe.sets[field.of].trained is not None and field.own == "x"
    if coded or field.kind not in ("image", "mask"):
        kind = "a code" if coded else a(field.kind)
        raise RequestError(f"{field.name} is {kind}, and files are read of images and masks alone")
    for image in images:
        if isinstance(image, str | Path) and not os.path.lexists(image):
            raise RequestError(f"{image}: there is no such file")
    part = recipe.sets[field.of]
    read = getattr(part.load(), "read", None) or registry_for({}).find("data", "folder").load().read
    options = to_arguments(part.entry.signature, part.options)
    options |= {"channels": 1, "classes": field.classes, **field.sizes, "kind": field.kind}
    asked = inspect.signature(read).parameters
    try:
        found, notes = read(images, **{n: options[n] for n in options if n in asked})
        found = found[:, 0] if field.kind == "mask" else found
        check_field(found, field)
    except (ValueError, OSError) as error:
        raise RequestError(text_of(error)) from None
    return central(found, field.shape), notes


def read_partners(folders: Mapping[str, Path], recipe: Recipe) -> tuple[dict[str, Tensor], list[str]]:
    """Files of several directories as items: of one name below each, but for the extension, and all of them good.

    ``folders`` are by the fields, images or masks, that are in them. Returns each field as ``read_images`` does, in the
    order of the names, and sentences on the files left out; a RequestError where no item is whole.
    """
    found, notes, items = {field: _by_name(folder) for field, folder in folders.items()}, list[str](), []
    for field, files in found.items():
        if alone := [str(file) for name, file in files.items() if any(name not in other for other in found.values())]:
            notes.append(f"{field}: left out {len(alone):,} without a partner of its name: {', '.join(alone[:10])}")
    for name in sorted(set.intersection(*map(set, found.values()))):
        try:
            items.append(
                {field: read_images([found[field][name]], recipe, recipe.fields[field])[0] for field in folders}
            )
        except RequestError as error:
            notes.append(f"{name}: left out: {error}")
    if not items:
        said = f"{' and '.join(map(str, folders.values()))} have no good images of one name, but for the extension"
        raise RequestError(". ".join([said, *notes]))
    return {field: torch.cat([item[field] for item in items]) for field in folders}, notes


def _by_name(folder: Path) -> dict[str, Path]:
    """Images below a directory by their names there, without extension; none that begins with a dot."""
    known, found = {"", *Image.registered_extensions()}, dict[str, Path]()
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder).with_suffix("")
        if file.suffix.lower() in known and not any(part[0] == "." for part in name.parts) and file.is_file():
            found.setdefault(name.as_posix(), file)
    return found


def examples_of(data: Any, recipe: Recipe, value_range: tuple[float, float] | None = None) -> Examples:
    """What a user gives to train on, for the fields that a recipe's training asks for, as it would be stored.

    Args:
        data: a mapping of the fields' names to what ``pixels_of`` takes, or to tensors or arrays (N, ...) of fields
            that are no images; items, or batches, with a value for each field, in the order or by name; or images
            alone, where it asks for nothing else.
        value_range: the numbers that floats have for black and white, in images.

    Raises:
        RequestError: in a sentence, where something is missing or is no such field.
    """
    first, *others = asked = recipe.asked_fields
    given = _columns(data, asked) if others or isinstance(data, Mapping) else {first: data}
    if missing := [name for name in asked if name not in given]:
        cure = "give {" + ", ".join(f"{name!r}: ..." for name in asked) + "}, or items with a value for each"
        raise RequestError(
            f"recipe '{recipe.name}' is trained on {' and '.join(asked)}, and {missing[0]} is not given; {cure}"
        )
    stored = {name: _stored(given[name], recipe.fields[name], recipe, value_range) for name in asked}
    counts = {name: len(tensor) for name, tensor in stored.items()}
    if len({counts[name] for name in asked if recipe.fields[name].of == recipe.x.of}) > 1:
        raise RequestError(f"an item has a value for each field, and here are {counts} of them")
    fields = {name: (stored[name], stored[name][:0]) for name in others}
    return Examples(stored[first], stored[first][:0], fields=fields)


def _columns(data: Any, names: Sequence[str]) -> dict[str, Any]:
    """Field -> all of its values; of items, each a mapping or a tuple in the order of the names."""
    if isinstance(data, Mapping):
        return {name: data[name] for name in names if name in data}
    if isinstance(data, np.ndarray | Tensor | str | Path | Image.Image):
        return {names[0]: data}
    several = (item if isinstance(item, Mapping | tuple | list) else (item,) for item in _each(data))
    items = [item if isinstance(item, Mapping) else dict(zip(names, item, strict=False)) for item in several]
    found = {name: [item[name] for item in items] for name in names if all(name in item for item in items)}
    batched = isinstance(data, DataLoader)
    return {name: torch.cat([*map(torch.as_tensor, values)]) if batched else values for name, values in found.items()}


def _stored(given: Any, field: DataField, recipe: Recipe, value_range: tuple[float, float] | None) -> Tensor:
    if field.kind == "image":
        return pixels_of(given, recipe, value_range, field)
    if field.kind == "mask" and isinstance(given, Sequence) and all(isinstance(one, str | Path) for one in given):
        return read_images(given, recipe, field)[0]
    stored = _stacked(given) if isinstance(given, Sequence) else torch.as_tensor(given)
    try:
        check_field(stored, field)
    except ValueError as error:
        raise RequestError(text_of(error)) from None
    return stored


def pixels_of(
    images: Any, recipe: Recipe, value_range: tuple[float, float] | None = None, field: DataField | None = None
) -> Tensor:
    """What a user gives as images, as the pixels that a recipe's model is trained on.

    Args:
        images: a tensor or an array (N, C, H, W), (N, H, W, C), or (N, H, W) where there is one channel; a sequence of
            those without N; files, directories and Pillow's images, which are read as the recipe's data reads its own;
            or a ``Dataset``, a ``DataLoader`` or a list of items with an image in each: the first of a tuple, one of
            ``FIELDS`` in a mapping. Each is taken once. Numbers are uint8, or floats, which are rounded to 256 steps of
            their range.
        recipe: whose size and channels they must have.
        field: which field of its data they are; the first when None.
        value_range: the numbers that floats have for black and white: ``(0, 1)`` or ``(-1, 1)``.

    Returns:
        uint8 (N, C, H, W); what was given stays as it is.

    Raises:
        RequestError: in a sentence, where they are no such images.
    """
    if isinstance(images, str | Path | Image.Image):
        images = [images]
    if isinstance(images, DataLoader):
        return _joined((pixels_of(_image(batch), recipe, value_range, field) for batch in images), recipe)
    items = hasattr(images, "__getitem__") or hasattr(images, "__iter__")
    if items and not isinstance(images, Sequence | np.ndarray | Tensor | Mapping):
        found = map(_image, _each(images))
        pieces = iter(lambda: [*islice(found, PIECE)], [])
        return _joined((pixels_of(piece, recipe, value_range, field) for piece in pieces), recipe)
    if isinstance(images, Sequence):
        if any(isinstance(image, tuple | Mapping) for image in images):
            images = [*map(_image, images)]
        if any(isinstance(image, str | Path | Image.Image) for image in images):
            return read_images(images, recipe, field)[0]
        images = _stacked(images)
    if isinstance(images, np.ndarray):
        if images.dtype.kind not in "uif":
            raise RequestError(f"images are an array of {images.dtype}; give uint8, or floats with value_range=(0, 1)")
        images = torch.from_numpy(np.ascontiguousarray(images))
    if not isinstance(images, Tensor):
        raise RequestError(
            f"images are {type(images).__name__}; give a tensor or an array {SHAPE}, or a list of Pillow's images"
        )
    if images.is_meta or images.layout != torch.strided:
        where = "on meta" if images.is_meta else images.layout
        raise RequestError(f"images are {where}; give a dense tensor of numbers")
    return _eight_bits(_laid_out(images, recipe, field or recipe.x), value_range)


def _each(items: Any) -> Iterator[Any]:
    """The items of a set, which may have a length, or an end, or neither."""
    indexed = hasattr(items, "__getitem__") and hasattr(items, "__len__")
    return (items[i] for i in range(len(items))) if indexed else iter(items)


def _image(item: Any) -> Any:
    """The image in an item, or the images in a batch, of a data set."""
    if isinstance(item, Mapping):
        field = next((name for name in FIELDS if name in item), None)
        if field is None:
            raise RequestError(
                f"an item has {', '.join(map(str, item))}; its image must be called {' or '.join(FIELDS)}"
            )
        return item[field]
    return item[0] if isinstance(item, tuple | list) and len(item) else item


def _joined(pieces: Iterable[Tensor], recipe: Recipe) -> Tensor:
    """Pixels piece by piece, until they are more than there is memory for."""
    kept, room = [], memory()
    for piece in pieces:
        kept.append(piece)
        room -= piece.nbytes
        if room < 0:
            raise RequestError(f"images are more than the {size_of(memory())} of memory here, or never end; give fewer")
    return torch.cat(kept) if kept else pixels_of(torch.empty(0), recipe)


def _stacked(images: Sequence[Any]) -> Any:
    try:
        tensors = [torch.as_tensor(image) for image in images]
    except (TypeError, ValueError, RuntimeError):
        raise RequestError(f"images are a list of {type(images[0]).__name__}; give arrays or Pillow's images") from None
    kinds = {(tuple(tensor.shape), tensor.dtype) for tensor in tensors}
    if len(kinds) > 1:
        (one, first), (other, second), *_ = sorted(kinds, key=str)
        raise RequestError(f"images differ: {first} {one} and {second} {other}; give them one shape and one type")
    return torch.stack(tensors) if tensors else torch.empty(0)


def _laid_out(images: Tensor, recipe: Recipe, field: DataField) -> Tensor:
    """As (N, C, H, W), if only one layout can be meant."""
    takes = ", ".join(["N", *map(str, field.shape)])
    channels, *sides = field.shape
    shape, cure = tuple(images.shape), f"recipe {recipe.name!r} takes ({takes})"
    if not len(shape) or not shape[0]:
        raise RequestError(f"there are no images: their shape is {shape}; {cure}")
    if shape[1:] == field.shape:
        return images
    if shape[1:] == (*sides, channels):
        return images.movedim(-1, 1)
    if shape[1:] == tuple(sides) and channels == 1:
        return images[:, None]
    raise RequestError(f"images have the shape {shape}; {cure}")


def _eight_bits(images: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    if images.dtype == torch.uint8:
        return images
    if not images.is_floating_point():
        raise RequestError(f"images are {images.dtype}; give uint8, or floats with value_range=(0, 1)")
    if value_range is None:
        low, high = float(images.min()), float(images.max())
        ranges = ((0, 1), (-1, 1)) if high <= 1 else ((0, 255),)
        fit = [f"value_range={known}" for known in ranges if known[0] <= low and high <= known[1]]
        said = " or ".join(fit) or "value_range=(BLACK, WHITE), once a normalisation is undone"
        raise RequestError(
            f"images are {images.dtype}, from {low:.4g} to {high:.4g}, and nothing says which number is white; give "
            f"uint8, or say {said}"
        )
    low, high = value_range
    if not low < high:
        raise RequestError(f"value_range is {value_range}; give the number for black, then that for white")
    values = images.detach().float()
    if values.isnan().any():
        raise RequestError("images have values that are no numbers (nan); mend or leave out those that do")
    if not (values.ge(low) & values.le(high)).all():
        raise RequestError(
            f"images go from {images.min():.4g} to {images.max():.4g}, beyond value_range={value_range}; clamp them "
            "or give the range they have"
        )
    return values.sub(low).mul(255 / (high - low)).round().to(torch.uint8)
