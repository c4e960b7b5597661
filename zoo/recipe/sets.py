"""The fields that a recipe's sets of data bring, by the names that the recipe has for them. Without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args, get_origin

from zoo.api import SHAPES, Field
from zoo.errors import Problem, RecipeError, RequestError, a, did_you_mean, reason, said_of
from zoo.recipe.contract import told
from zoo.recipe.data_fields import DataField, class_name
from zoo.recipe.schema import Part
from zoo.registry.option_types import arms, shown

NOVEL = "novel"
"""The field that says which items are of a class that is kept out of training."""


def fields_of(sets: Mapping[str, Part]) -> tuple[dict[str, DataField], dict[str, Part]]:
    """Every field of a recipe's sets of data, the first set's first, and the sets, which say it without their files.

    A RecipeError where a set cannot say.
    """
    fields, settled = dict[str, DataField](), dict[str, Part]()
    for key, part in sets.items():
        described, said = _described(part)
        settled[key] = part = replace(part, options={**part.options, **said})
        if part.without:
            described = {**described, NOVEL: Field("label", classes=("known", "novel"))}
        for own, field in described.items():
            bound = _bound(key, own, field, part, sets)
            if before := fields.get(bound.name):
                both = (
                    f"'{before.own}' of set '{before.of}' and '{own}' of set '{key}'; call set '{key}' something else"
                )
                raise RecipeError([Problem(part.position, f"two fields are called '{bound.name}', {both}")])
            fields[bound.name] = bound
        labels = {f.own: f for f in fields.values() if f.of == key and f.kind == "label" and f.own != NOVEL}
        settled[key] = replace(part, without={name: _kept_out(part, name, labels) for name in part.without})
    return fields, settled


def _kept_out(part: Part, name: str, labels: Mapping[str, DataField]) -> tuple[int, ...]:
    """The classes of a label that a set keeps out of training, by their numbers; a RecipeError where it has no such."""
    if name not in labels:
        said = f"'without' names '{name}', and data '{part.entry.name}' has no such label{did_you_mean(name, labels)}"
        raise RecipeError([Problem(part.position, said)])
    numbers, written = range(labels[name].classes), part.without[name]
    known = {class_name(labels[name], n): n for n in numbers} | {n: n for n in numbers}
    classes = written if isinstance(written, list) else [written]
    wrong = [one for one in classes if isinstance(one, bool | list | dict) or one not in known]
    if wrong or not classes:
        hint = did_you_mean(str(wrong[0]), [one for one in known if isinstance(one, str)]) if wrong else ""
        said = (
            f"'without': {name} of data '{part.entry.name}' has no class {shown(wrong[0] if wrong else written)}{hint}"
        )
        raise RecipeError([Problem(part.position, said)])
    return tuple(known[one] for one in classes)


def offered(sets: Mapping[str, Part]) -> dict[str, str]:
    """Options by which sets of data may bring other fields than they do: option -> what to write."""
    found = {NOVEL: "data with a label has it with 'without: {LABEL: CLASS}'"}
    for part in (part for part in sets.values() if isinstance(part.entry.part.fields, str)):
        for option in part.entry.signature.options:
            choices = [c for arm in arms(option.type) if get_origin(arm) is Literal for c in get_args(arm)]
            if others := [choice for choice in choices if choice != part.options[option.name]]:
                found[option.name] = f"data '{part.entry.name}' may have it with '{option.name}: {others[0]}'"
    return found


def named(key: str, own: str, sets: Mapping[str, Part]) -> str:
    """A set's field as the recipe calls it: its ``x`` by the set's key, others by their own names, but for those of
    sets after the first, which begin with the key.
    """
    if own == "x":
        return key or own
    return own if key in ("", next(iter(sets))) else f"{key}_{own}"


def _bound(key: str, own: str, field: Field, part: Part, sets: Mapping[str, Part]) -> DataField:
    size = part.options.get("size", ())
    classes: Any = part.options[field.classes] if isinstance(field.classes, str) else field.classes
    names = classes if isinstance(classes, tuple) else ()
    try:
        shape, stored = (_shape(field, part, sides) for sides in (size, part.options.get("stored") or size))
        if len(shape) != len(SHAPES[field.kind].split()):
            raise ValueError(f"it has {len(shape)} numbers")
    except (KeyError, ValueError) as error:
        promised = f"{a(field.kind)} has {SHAPES.get(field.kind, 'no shape')!r}"
        said = f"data '{part.entry.name}' says of its field '{own}': {field.kind} '{field.shape}'; {promised}"
        raise RecipeError([Problem(part.position, f"{said} ({reason(error)})")]) from None
    count = len(names) if names else int(classes)
    return DataField(named(key, own, sets), field.kind, shape, count, names, field.range, key, own, stored)


def _shape(field: Field, part: Part, size: int | Sequence[int]) -> tuple[int, ...]:
    """The shape of a field whose images have a side, or sides."""
    numbers = {name: value for name, value in part.options.items() if isinstance(value, int)}
    numbers |= dict(zip("HW", (size, size) if isinstance(size, int) else size, strict=False))
    return tuple(int(word) if word.isdigit() else numbers[word] for word in field.shape.split())


def _described(part: Part) -> tuple[Mapping[str, Field], Mapping[str, Any]]:
    """What a set of data says of its fields, by its own names, and the options that say so."""
    fields = part.entry.part.fields
    if not isinstance(fields, str):
        return fields, {}
    try:
        found = told(fields, {**part.options, "trained": part.trained})
    except Exception as error:  # a stranger's function may raise anything
        said = str(error) if isinstance(error, RequestError) else said_of(error)
        raise RecipeError([Problem(part.position, f"data '{part.entry.name}': {said}")]) from error
    return found if isinstance(found, tuple) else (found or {}, {})
