"""What more is asked of a recipe that extends no other: with no base to lean on, nothing is left out or removed."""

from __future__ import annotations

from collections.abc import Mapping

from zoo.recipe.json_schema.components import Kind, prefixed
from zoo.recipe.json_schema.sections import LISTS
from zoo.recipe.json_schema.types import NULL, TEXT, Schema, part, ref, says, when
from zoo.recipe.parts import read_section
from zoo.recipe.sections import NEEDED, NETWORKS

WRITTEN: Schema = {"type": ["string", "number", "boolean", "array", "object"]}
"""Anything but null."""

CHOSEN: Schema = {"if": {"type": "object"}, "then": {"required": ["use"]}, "else": TEXT}
"""A part that says which component it is."""

DEFAULT_OPTIMIZER = "adam"


def definitions(kinds: Mapping[str, Kind]) -> dict[str, Schema]:
    """``alone``, and the items of lists, which are replaced whole and so lie over no base either."""
    nullable = sorted(set().union(*(kind.nullable for kind in kinds.values())))
    binding = {"type": "object", "additionalProperties": TEXT}
    return {
        "filled": {"properties": {**dict.fromkeys(nullable, True), "with": binding}, "additionalProperties": WRITTEN},
        "named": {"allOf": [CHOSEN, ref("filled")]},
        **{f"{kind.name}.complete": _complete(kind) for kind in kinds.values() if kind.removable},
        **{f"{name}.labelled": _labelled(kinds[name]) for name in ("value", *LISTS.values())},
        **{f"{name}.item": _item(name) for name in LISTS.values()},
        "slots.alone": _slots(kinds),
        "alone": _alone(kinds),
    }


def _alone(kinds: Mapping[str, Kind]) -> Schema:
    named = ref("filled") if "data" in kinds["data"].names else ref("named")
    training = {"optimizer": _optimizer(kinds["optimizer"]), "optimizers": True}
    required = {"required": list(NEEDED)}
    return {
        "allOf": [required],
        "properties": {
            **{option.name: WRITTEN for option in read_section("recipe").options},
            "data": {"allOf": [named, ref("data.complete")]},
            "slots": ref("slots.alone"),
            "values": ref("value.labelled"),
            "outputs": {"additionalProperties": WRITTEN},
            "train": {"properties": training, "additionalProperties": WRITTEN},
            **{section: ref(f"{kind}.labelled") for section, kind in LISTS.items()},
        },
    }


def _complete(kind: Kind) -> Schema:
    """A part with every option that its component cannot do without."""
    rules = [{"if": kind.uses(name), "then": kind.lacking(name)} for name in kind.names if kind.lacking(name)]
    return {"not": {"enum": kind.incomplete}, "allOf": rules} if rules else {}


def _labelled(kind: Kind) -> Schema:
    """A mapping of parts; a part that does not say which component it is has the component's name."""
    parts: dict[str, Schema] = {}
    for name in kind.names:
        needed = [{"type": "object"}, kind.lacking(name)] if name in kind.incomplete else []
        mapping = {"if": says("use"), "then": ref(f"{kind.name}.options"), "else": kind.of(name)}
        unsaid = {"if": {"not": CHOSEN}, "then": {"allOf": needed}} if needed else {}
        whole = {"allOf": [ref("filled"), ref(f"{kind.name}.complete")], **unsaid}
        parts[name] = {**part(ref(f"{kind.name}.name"), mapping, NULL), "allOf": [whole]}
    return {
        "properties": parts,
        "patternProperties": {prefixed(kind.names): {"allOf": [ref(kind.name), ref("filled")]}},
        "additionalProperties": {"allOf": [ref(kind.name), ref("named"), ref(f"{kind.name}.complete")]},
    }


def _item(kind: str) -> Schema:
    """One of a list: a name, ``{use: name}`` or ``{label: part}``."""
    chosen = {"properties": {"use": TEXT}, "allOf": [ref(f"{kind}.options"), ref("filled"), ref(f"{kind}.complete")]}
    one = {"minProperties": 1, "maxProperties": 1, "allOf": [ref(f"{kind}.labelled")]}
    mapping = {"if": says("use"), "then": chosen, "else": one}
    return {**part(ref(f"{kind}.name"), mapping), "allOf": [ref(f"{kind}.complete")]}


def _slots(kinds: Mapping[str, Kind]) -> Schema:
    """Every slot says what it is, by itself or by its name."""
    labels = sorted({name for kind in NETWORKS for name in kinds[kind].names if name.isidentifier()})
    said = {**says("kind"), "errorMessage": "Say what the slot is: {kind: encoder, use: NAME}."}
    tells = {f"^(?!(?:.*_)?(?:{'|'.join(NETWORKS)})$)": said}
    whole = {
        f"^(?:.*_)?{kind}$": {"if": {"not": when("kind", TEXT)}, "then": ref(f"{kind}.complete")} for kind in NETWORKS
    }
    return {
        "minProperties": 1,
        "properties": dict.fromkeys(labels, ref("filled")),
        "additionalProperties": ref("named"),
        "allOf": [{"patternProperties": {**tells, **whole}}],
    }


def _optimizer(kind: Kind) -> Schema:
    """The common optimiser: Adam, where it does not say."""
    rate = {"type": "object", "required": ["from", "to"], "additionalProperties": WRITTEN}
    default = kind.of(DEFAULT_OPTIMIZER) if DEFAULT_OPTIMIZER in kind.names else False
    unsaid = {"if": {"not": CHOSEN}, "then": default}
    factor = {"properties": {"rate": {"anyOf": [{"type": "number"}, rate]}}}
    return {"allOf": [ref("filled"), ref("optimizer.complete"), unsaid, factor]}
