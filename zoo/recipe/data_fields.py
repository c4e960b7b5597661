"""What a field of a recipe's data is, and the sizes that parts ask for. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from zoo.api import SHAPES

SPATIAL = ("height", "width", "depth")
COUNTED = ("label", "mask")
"""Kinds of fields that are classes."""
Number = int | tuple[int, ...]


@dataclass(frozen=True)
class DataField:
    """A field of a recipe's data.

    Args:
        name: the recipe's name for it.
        kind: one of ``zoo.api.SHAPES``.
        shape: of one item.
        classes: how many, of a label or a mask that has a number of them; else 0.
        names: those of its classes, where they have any.
        range: the numbers that models see as -1 and 1; None for what its type and kind say.
        of: which set of the data it is of: the key that the recipe writes it under, empty where there is one set.
        own: what that set calls it.
        stored: the shape of one item where it lies, which may be larger: models see its central part, or what an
            augmentation cuts out.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    classes: int
    names: tuple[str, ...]
    range: tuple[float, float] | None
    of: str
    own: str
    stored: tuple[int, ...] = ()

    @property
    def sizes(self) -> dict[str, Number]:
        """The sizes that it has, by the names that parts ask for them by."""
        found: dict[str, Number] = dict(zip(SHAPES[self.kind].split(), self.shape, strict=True))
        sides = [number for name, number in found.items() if name in SPATIAL]
        if sides:
            found["size"] = sides[0] if len(set(sides)) == 1 else tuple(sides)  # type: ignore[arg-type]
        return found | ({"classes": self.classes} if self.classes else {})

    @property
    def spatial(self) -> bool:
        """Whether it lies in a plane or in space, so that it moves when an image is moved."""
        return self.kind in ("image", "mask", "volume")

    def __str__(self) -> str:
        """``x is 3 x 32 x 32``."""
        classes = f"one of {self.classes} classes" if self.classes else "a class"
        return f"{self.name} is {' x '.join(map(str, self.shape)) or classes}"


def class_name(field: DataField, number: int) -> str:
    """The name of a class; its number where it has none."""
    return field.names[number] if field.names else str(number)


def side_of(field: DataField) -> Number:
    """The side of a square image, or its sides; the whole shape of an item that has none."""
    return field.sizes.get("size", field.shape)


@dataclass(frozen=True)
class Sizes:
    """Sizes by the names that parts ask for them by: ``sizes.channels``.

    Those of the data are of the first of its ``fields`` that has them.
    """

    numbers: Mapping[str, Number]
    fields: Mapping[str, DataField] = field(default_factory=dict)

    @classmethod
    def of(cls, fields: Mapping[str, DataField], **numbers: Number) -> Sizes:
        """The sizes of fields, the first field's first, and what else has a number."""
        found: dict[str, Number] = {}
        for one in fields.values():
            found = one.sizes | found
        return cls(found | numbers, fields)

    def seen_by(self, of: str, own: Mapping[str, Number]) -> Sizes:
        """The same, where a slot's own sizes come before all others, and then those of the field that it is of."""
        said = {**(self.fields[of].sizes if of else {}), **own}
        return Sizes({**self.numbers, **said}, self.fields) if said else self

    @classmethod
    def square(cls, channels: int, size: int, latent: Number, noise: int) -> Sizes:
        """All that a network alone may be tried with: sides that are equal, and as many classes as they are long."""
        sides = dict.fromkeys(("size", "height", "width", "depth", "length", "features", "classes"), size)
        return cls({"channels": channels, "latent": latent, "noise": noise, **sides})

    @property
    def code(self) -> tuple[int, ...]:
        """The shape of a code."""
        latent = self.numbers["latent"]
        return latent if isinstance(latent, tuple) else (latent,)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("numbers", "fields"):
            raise AttributeError(name)
        if name not in self.numbers:
            raise AttributeError(f"there is no '{name}' here ({', '.join(map(str, self.fields.values()))})")
        return self.numbers[name]

    def __contains__(self, name: str) -> bool:
        return name in self.numbers
