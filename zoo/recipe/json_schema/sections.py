"""The sections of a recipe as definitions, each as it may stand over a base recipe."""

from __future__ import annotations

from collections.abc import Mapping
from keyword import kwlist

from zoo.recipe.graph import BUILTINS
from zoo.recipe.json_schema.components import Kind, prefixed, union
from zoo.recipe.json_schema.types import NULL, TEXT, Schema, of_option, or_null, part, ref, refused, says, when
from zoo.recipe.parts import ON_OFF, read_section
from zoo.recipe.sections import LONGEST_NAME, MINIMA, NETWORKS

LISTS = {"evaluate": "metric", "augment": "augmentation", "watch": "watcher"}
"""Sections that are lists, or mappings, of parts of one kind."""

_LIMITS: dict[str, Schema] = {
    **{key: {"minimum": low} for key, low in MINIMA.items()},
    "ema": {"minimum": 0, "exclusiveMaximum": 1},
    "name": {"pattern": r"^(?:[^/\s](?:[^/]*[^/\s])?)?$", "not": {"enum": [".", ".."]}, "maxLength": LONGEST_NAME},
}
_NAME: Schema = {  # what a parameter can be called, as far as Python and editors read a pattern alike
    "pattern": r"^(?![0-9])[^\s!-/:-@\[-^`{-~]+$",
    "not": {"enum": sorted({*BUILTINS, *kwlist})},
    "errorMessage": "A name has letters, digits and '_', so that a parameter can ask for it.",
}
_PLAYER = r"\s*[^+.\s][^+.]*(?:\.[^+.]+)*"
_PLAYERS: Schema = {
    "pattern": rf"^{_PLAYER}(?:\+{_PLAYER})*$",
    "errorMessage": "A row is called by its players: encoder + decoder.",
}
_OUTPUTS = {
    "sample": "What model.sample and zoo sample give.",
    "reconstruction": "What model.reconstruct and zoo reconstruct give.",
    "posterior": "What model.encode gives.",
}


def keys_of(section: str, *, removable: bool) -> dict[str, Schema]:
    """The keys of a section (``zoo.recipe.sections``) with types, limits, defaults and descriptions."""
    options = read_section(section).options
    found = {option.name: of_option(option, _LIMITS.get(option.name), removable=removable) for option in options}
    for schema in found.values():
        if "minimum" in schema and schema.get("default", 0) < schema["minimum"]:
            schema.pop("default", None)  # a default that means "as the loader finds best" cannot be written
    return found


def definitions(kinds: Mapping[str, Kind]) -> dict[str, Schema]:
    """Every section, and what sections are made of, by name."""
    values = kinds["value"].names
    bound = {"description": "The name of a slot or value.", "examples": values}
    return {
        **{name: schema for kind in kinds.values() for name, schema in kind.definitions().items()},
        **{name: kinds[name].part() for name in ("value", "optimizer", *LISTS.values())},
        "bound": {**bound, "type": "string"},
        "bound.over": {**bound, "type": ["string", "null"]},
        "data.here": _data(),
        **_slots(kinds),
        "values": _named(kinds["value"], "Names bound to other values: {name: value}.", propertyNames=_NAME),
        "outputs": _outputs(),
        **_schedules(),
        **_phases(),
        **_rows(kinds["term"]),
        "train": _train(),
        **{section: _list(section, kinds[kind]) for section, kind in LISTS.items()},
    }


# -- slots, values, lists --------------------------------------------------------------------------------------


def _data() -> Schema:
    """``data``, which no recipe is without."""
    sizes = {"properties": {"size": {"minimum": 1}, "channels": {"minimum": 1}}}
    text = "What it learns from: NAME, or {use: NAME, option: value}."
    return {"description": text, **part(ref("data.name"), {"allOf": [ref("data.options"), sizes]})}


def _slots(kinds: Mapping[str, Kind]) -> dict[str, Schema]:
    """``slots``: a slot's kind is what it says, else the last word of its name."""
    kind = {"enum": list(NETWORKS), "description": "What the slot is, where the last word of its name does not say."}
    named = {kind: ref(f"slot.{kind}") for kind in NETWORKS}
    names = [ref(f"{kind}.name") for kind in NETWORKS]
    parts = {key: schema for kind in NETWORKS for key, schema in kinds[kind].own.items()}
    return {
        "slots": {
            "description": "The networks and the prior: {name: component}.",
            "type": "object",
            "propertyNames": _NAME,
            "properties": named,
            "patternProperties": {f"_{kind}$": slot for kind, slot in named.items()},
            "additionalProperties": ref("slot.other"),
        },
        **{f"slot.{kind}": _slot(ref(f"{kind}.name"), ref(f"{kind}.options")) for kind in NETWORKS},
        "slot.other": _slot({"anyOf": names}, ref("slot.any")),
        "slot.any": union(parts, {"use": {"anyOf": [*names, NULL]}, "kind": ref("kind")}),
        "slot.kinded": {
            "properties": {"kind": ref("kind")},
            "allOf": [{"if": when("kind", {"const": kind}), "then": ref(f"{kind}.options")} for kind in NETWORKS],
        },
        "kind": or_null(kind),
    }


def _slot(name: Schema, options: Schema) -> Schema:
    mapping = {"if": when("kind", TEXT), "then": ref("slot.kinded"), "else": options}
    return {"description": "A slot: NAME, or {use: NAME, option: value}.", **part(name, mapping, NULL)}


def _named(kind: Kind, text: str, **more: Schema) -> Schema:
    """A mapping of parts of one kind; the names of components are offered as keys."""
    offered = {name: {**ref(kind.name), "description": group[0].summary} for name, group in kind.providers.items()}
    return {
        "description": text,
        "type": ["object", "null"],
        "properties": offered,
        "additionalProperties": ref(kind.name),
        **more,
    }


def _list(section: str, kind: Kind) -> Schema:
    """A section that is a name, a list or a mapping."""
    texts = {
        "evaluate": "Metrics: a list of names or {label: {use: NAME}}, or a mapping.",
        "augment": "What is done to training images, in this order: a list of names, or a mapping.",
        "watch": "Watchers of the training: a list of names, or a mapping.",
    }
    items = {"type": "array", "items": ref(f"{kind.name}.item"), "uniqueItems": True}
    return {"description": texts[section], **part(ref(f"{kind.name}.name"), _named(kind, texts[section]), items, NULL)}


def _outputs() -> Schema:
    return {
        "description": "Which values the model shows the world: {output: value}.",
        "type": ["object", "null"],
        "properties": {key: {**ref("bound.over"), "description": text} for key, text in _OUTPUTS.items()},
        "additionalProperties": ref("bound.over"),
    }


# -- phases ----------------------------------------------------------------------------------------------------


def _schedules() -> dict[str, Schema]:
    exponential = when("shape", {"const": "exponential"})
    up, down = (
        {"properties": {"from": {sign: 0}, "to": {sign: 0}}} for sign in ("exclusiveMinimum", "exclusiveMaximum")
    )
    keys = keys_of("schedule", removable=True)
    factor = {**keys, **{key: {**keys[key], "minimum": 0} for key in ("from", "to")}}
    text = {"description": read_section("schedule").doc, "type": "object", "additionalProperties": False}
    return {
        "schedule": {
            **text,
            "properties": keys_of("schedule", removable=False),
            "required": ["from", "to"],
            "if": exponential,
            "then": {"anyOf": [up, down]},
        },
        "weight": {
            "description": "What the term is multiplied by: a number, on (1) or off (left out).",
            "anyOf": [{"type": ["number", "boolean"]}, {"enum": list(ON_OFF)}],
        },
        "rate": {
            "description": "A factor on the learning rate: a number, or {from: A, to: B, steps: N}.",
            "default": 1.0,
            **part(
                {"type": "number", "minimum": 0}, {**text, "properties": factor, "if": exponential, "then": up}, NULL
            ),
        },
    }


def _phases() -> dict[str, Schema]:
    """``phases``. Nothing in it lies over a base: lists are replaced whole."""
    timing = keys_of("phase", removable=False)
    return {
        "phases": {
            "description": "Who minimises what. Rows of a phase move together; phases follow one another.",
            "type": "array",
            "minItems": 1,
            "items": ref("phase"),
        },
        "phase": {
            "description": "Rows, {players: {term: weight}}; or {rows: ..., repeat: N} and other timing.",
            "type": "object",
            "properties": {"rows": ref("rows")},
            "if": says("rows"),
            "then": {"properties": {"rows": True, **timing}, "additionalProperties": False},
            "else": ref("rows"),
        },
        "rows": {
            "type": "object",
            "minProperties": 1,
            "propertyNames": _PLAYERS,
            "properties": {kind: ref("row") for kind in NETWORKS},
            "additionalProperties": ref("row"),
        },
    }


def _rows(term: Kind) -> dict[str, Schema]:
    """A row, down to a term's weight."""
    zero = {"type": "object", "minProperties": 1, "additionalProperties": {"enum": [0, "off", False]}}
    other = {**says("use"), "errorMessage": "There is no such term; {use: NAME} gives one another name."}
    return {
        "row": {
            "description": "What the players minimise together: {term: weight}.",
            "type": "object",
            "minProperties": 1,
            "if": zero,
            "then": refused("Every weight is 0: the row minimises nothing."),
            "properties": {name: ref(f"row.{name}") for name in term.names},
            "patternProperties": {prefixed(term.names): part(ref("weight"), {})},
            "additionalProperties": {**other, "if": says("from"), "then": False, "else": ref("term.options")},
        },
        **{f"row.{name}": _term(term, name) for name in term.names},
    }


def _term(term: Kind, name: str) -> Schema:
    """A weight, a schedule, options, or another term under this name."""
    options = {"if": says("use"), "then": ref("term.options"), "else": term.of(name)}
    mapping = {"if": says("from"), "then": ref("schedule"), "else": options}
    return {"description": term.providers[name][0].summary, **part(ref("weight"), mapping)}


# -- training --------------------------------------------------------------------------------------------------


def _train() -> Schema:
    players = [kind for kind in NETWORKS if kind != "prior"]
    own = {
        "description": "What players have of their own, laid over 'optimizer': {player: {lr: 1e-4}}.",
        "type": ["object", "null"],
        "properties": {player: ref("optimizer") for player in players},
        "additionalProperties": ref("optimizer"),
    }
    keys = keys_of("train", removable=True)
    return {
        "description": read_section("train").doc,
        "type": ["object", "null"],
        "properties": {**keys, "optimizer": ref("optimizer"), "optimizers": own},
        "additionalProperties": False,
    }
