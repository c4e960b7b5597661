"""Fields of a recipe's data: stored items as models see them, and what they hash to; batches that are made up."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from zoo.draws import Draw, seeded
from zoo.recipe.data_fields import COUNTED, DataField, class_name
from zoo.recipe.schema import Recipe
from zoo.recipe.sets import NOVEL
from zoo.types import Batch, Examples, to_model

STORED: Mapping[torch.dtype, tuple[float, float]] = {torch.uint8: (0, 255), torch.uint16: (0, 65535)}
"""Type of what is stored -> the numbers that become -1 and 1, where a field says none."""
MOST_BYTES = 256 << 20
"""Pixels of a split that are hashed, evenly spread: a fraction of a second."""
EXAMINED = 256
"""Images whose numbers are looked at, where nothing says which of them is white."""
COARSE = 5
"""Numbers along a side of the noise that smooth fields are made up from."""


def central(items: Tensor, shape: Sequence[int]) -> Tensor:
    """The central part, (B, *shape), of items that are larger."""
    for dim, (there, side) in enumerate(zip(items.shape[1:], shape, strict=True), 1):
        items = items.narrow(dim, (there - side) // 2, side) if there > side else items
    return items


def seen(stored: Tensor, field: DataField, dtype: torch.dtype = torch.float32, whole: bool = False) -> Tensor:
    """Stored items as models see them, of larger ones the central part or the ``whole``: classes as int64, numbers of a
    range in [-1, 1], others as floats."""
    stored = stored if whole or stored.shape[1:] == field.shape else central(stored, field.shape)
    if field.kind in COUNTED:
        return stored.long()
    ends = field.range or (STORED.get(stored.dtype) if field.kind != "vector" else None)
    if ends == (0, 255) and stored.dtype == torch.uint8:
        return to_model(stored, dtype)
    if ends is None:
        return stored.to(dtype)
    low, high = ends
    return stored.to(dtype, copy=True).sub_(low).mul_(2 / (high - low)).sub_(1)


def without(examples: Examples, classes: Mapping[str, Sequence[int]]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """Which training items are of none of some classes, by label; and of the items of both splits, 1 for each other."""

    def of_them(split: int) -> Tensor:
        found = [torch.isin(examples.fields[name][split], torch.tensor(own)) for name, own in classes.items()]
        return torch.stack(found).any(0).to(torch.uint8)

    novel = of_them(0), of_them(1)
    if novel[0].all():
        raise ValueError(f"has no training item that is of none of the classes in 'without' ({', '.join(classes)})")
    return (novel[0] == 0).nonzero()[:, 0], novel


def split_of(examples: Examples, split: str, recipe: Recipe) -> dict[str, Tensor]:
    """The stored tensors of a split, ``train`` or ``test``, by the names of the recipe's fields that are there."""
    first: Tensor = getattr(examples, split)
    others = {name: both[split == "test"] for name, both in examples.fields.items()}
    return {recipe.x.name: first, **{name: others[name] for name in recipe.fields if name in others}}


def items(
    examples: Examples,
    split: str,
    recipe: Recipe,
    first: int,
    count: int,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Batch:
    """Items of a split that follow one another, as models see them; as many as there are of ``x``.

    A field of another set that has fewer begins again.
    """
    stored = split_of(examples, split, recipe)
    end = min(first + count, len(stored[recipe.x.name]))
    found = {}
    for name, tensor in stored.items():
        some = tensor[first:end] if end <= len(tensor) else tensor[torch.arange(first, end) % len(tensor)]
        found[name] = seen(some.to(device), recipe.fields[name], dtype)
    return found


def blank(recipe: Recipe, batch: int, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Batch:
    """A batch of zeros, and of the first class."""

    def zeros(field: DataField) -> Tensor:
        counted = field.kind in COUNTED
        return torch.zeros(batch, *field.shape, device=device, dtype=torch.int64 if counted else dtype)

    return {name: zeros(recipe.fields[name]) for name in recipe.graph.fields}


def made_up(recipe: Recipe, batch: int, draw: Draw) -> Batch:
    """A batch of noise in [-1, 1], smooth where a field lies in a plane or in space, and of random classes."""

    def one(field: DataField) -> Tensor:
        if field.kind in COUNTED:
            return (draw.uniform(batch, *field.shape) * field.classes).long()
        if len(field.shape) < 2:
            return draw.uniform(batch, *field.shape) * 2 - 1
        channels, *sides = field.shape
        coarse = draw.uniform(batch, channels, *[COARSE] * len(sides)) * 2 - 1
        return interpolate(coarse, sides, mode={1: "linear", 2: "bilinear", 3: "trilinear"}[len(sides)])

    return {name: one(recipe.fields[name]) for name in recipe.graph.fields}


def invented(recipe: Recipe, train: int, test: int, seed: int = 0) -> Examples:
    """Examples of random numbers, as a recipe's data would be stored."""

    def stored(field: DataField, count: int, split: str) -> Tensor:
        generator, shape = seeded("invented", seed, split, field.name), (count, *field.shape)
        if field.kind in COUNTED:
            return torch.randint(field.classes, shape, generator=generator)
        if field.kind == "image":
            return torch.randint(256, shape, dtype=torch.uint8, generator=generator)
        low, high = field.range or (-1, 1)
        return low + (high - low) * torch.rand(shape, generator=generator)

    both = {name: (stored(f, train, "train"), stored(f, test, "test")) for name, f in recipe.fields.items()}
    return Examples(*both.pop(recipe.x.name), fields=both)


def known_images(images: Examples) -> dict[str, Any]:
    """Says for both splits how many images they have and what these hash to, as plain data."""
    known: dict[str, Any] = {}
    for name, (pixels, split) in {"train": (images.train, 0), "test": (images.test, 1)}.items():
        fields = {field: _digest(both[split]) for field, both in images.fields.items()}
        known[name] = {"images": len(pixels), "blake2b": _digest(pixels), **({"fields": fields} if fields else {})}
    return known


def types_of(images: Examples, recipe: Recipe) -> dict[str, str]:
    """Field -> the type of its stored numbers."""
    return {name: str(t.dtype).removeprefix("torch.") for name, t in split_of(images, "train", recipe).items()}


def _digest(pixels: Tensor) -> str:
    if identity := getattr(pixels, "identity", ""):
        return str(identity)
    digest, step = hashlib.blake2b(digest_size=16), -(-pixels.nbytes // MOST_BYTES) or 1
    for piece in torch.split(pixels[::step], 1024):
        digest.update(piece.contiguous().numpy().data)
    return digest.hexdigest()


def _alike(then: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a split is what it was, as far as is known: of the fields that were loaded both times."""
    both = then.get("fields", {}).keys() & now.get("fields", {}).keys()
    then, now = ({**known, "fields": {name: known["fields"][name] for name in both}} for known in (then, now))
    return then == now


def differ(then: dict[str, Any], now: dict[str, Any]) -> str:
    """Says how images differ; empty where they do not, or nothing is known."""
    if not then or all(_alike(then.get(name, {}), now[name]) for name in ("train", "test")):
        return ""
    counts = [" + ".join(f"{split[name]['images']:,}" for name in ("train", "test")) for split in (then, now)]
    how = f"{counts[0]} then, {counts[1]} now" if counts[0] != counts[1] else f"{counts[0]} as then, others by content"
    return f"was trained on other images than its data has now ({how})"


def check(examples: Any, recipe: Recipe) -> None:
    """A ValueError where what a recipe's data gives is not what it says of its fields."""
    for split in ("train", "test"):
        stored = split_of(examples, split, recipe)
        if missing := [name for name in recipe.fields if name not in stored and recipe.graph.asked(name)]:
            raise ValueError(f"gives no field '{missing[0]}', which it says it has")
        for name, tensor in stored.items():
            check_field(tensor, recipe.fields[name], f"{split} items")
            if not recipe.data.trained:  # codes are what they are
                _check_range(tensor, recipe.fields[name], f"{split} items")
        for name in (name for name in stored if recipe.fields[name].of == recipe.x.of):
            if len(stored[name]) != len(stored[recipe.x.name]):
                raise ValueError(
                    f"has {len(stored[recipe.x.name]):,} {split} items of {recipe.x.name} and {len(stored[name]):,} of "
                    f"{name}; each item has one of both"
                )


def unseen(examples: Examples, recipe: Recipe) -> list[str]:
    """A sentence for each label of which some class has no training item."""
    stored = split_of(examples, "train", recipe).items()
    labels = [
        (recipe.fields[name], {*items.tolist()})
        for name, items in stored
        if recipe.fields[name].kind == "label" and recipe.fields[name].own != NOVEL
    ]
    gone = {f.name: [class_name(f, n) for n in range(f.classes) if n not in there] for f, there in labels}
    named = {name: ", ".join(map(repr, classes[:5])) + " ..." * (len(classes) > 5) for name, classes in gone.items()}
    return [f"{name} has no training item of class {classes}" for name, classes in named.items() if classes]


def _check_range(tensor: Tensor, field: DataField, items: str) -> None:
    """A ValueError where numbers of images, whose black and white nothing says, are not those that models see."""
    if field.kind != "image" or field.range or tensor.dtype in STORED:
        return
    some = tensor[:EXAMINED]
    low, high = float(some.min()), float(some.max())
    if not -1 <= low < 0 or high > 1:
        raise ValueError(
            f"its {items} of {field.name} are {tensor.dtype} from {low:.4g} to {high:.4g}, and models see [-1, 1]; "
            f"give uint8 (api.to_pixels), or say in its Field which are black and white: range=({low:.4g}, {high:.4g})"
        )


def check_field(tensor: Tensor, field: DataField, items: str = "items") -> None:
    """A ValueError where stored items are not what their field says."""
    whole = not (tensor.is_floating_point() or tensor.is_complex())
    if tuple(tensor.shape[1:]) not in (field.shape, field.stored or field.shape) or (
        field.kind in COUNTED and not whole
    ):
        shape = ", ".join(["N", *map(str, field.stored or field.shape)])
        promised = f"{'whole numbers' if field.kind in COUNTED else 'numbers'} ({shape})"
        raise ValueError(
            f"its {items} of {field.name} are {tensor.dtype} {tuple(tensor.shape)}; {promised} are promised"
        )
    if not len(tensor):
        raise ValueError(f"has no {items} of {field.name}")
    if field.kind in COUNTED and field.classes:
        low, high = int(tensor.min()), int(tensor.max())
        if low < 0 or high >= field.classes:
            there = f"it has {field.classes}: 0 to {field.classes - 1}"
            raise ValueError(f"its {items} of {field.name} have classes {low} to {high}, and {there}")
