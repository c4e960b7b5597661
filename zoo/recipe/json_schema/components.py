"""JSON Schema of the parts of recipes: a component's name, or a mapping with its options."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import wraps
from urllib.parse import quote

from zoo.api import KINDS, SIZES
from zoo.errors import RequestError, a
from zoo.recipe.json_schema.types import NULL, TEXT, Schema, either, mapping, of_option, part, says, when
from zoo.recipe.parts import ON_OFF, read_section
from zoo.recipe.sections import LONGEST_NAME, MINIMA, NETWORKS
from zoo.recipe.weights import FORMS
from zoo.registry import REQUIRED, Entry, Registry

_LIMITS: dict[str, Schema] = {
    **{key: {"minimum": low} for key, low in MINIMA.items()},
    "latent": {"minimum": MINIMA["latent"], "items": {"minimum": MINIMA["latent"]}, "minItems": 1},
    "ema": {"minimum": 0, "exclusiveMaximum": 1},
    "name": {"pattern": r"^(?:[^/\s](?:[^/]*[^/\s])?)?$", "not": {"enum": [".", ".."]}, "maxLength": LONGEST_NAME},
}


@dataclass(frozen=True)
class Choice:
    """A component, or one of its variants, which its option ``by`` chooses, with the options that it needs."""

    entry: Entry
    variant: str
    needed: list[str]

    def __str__(self) -> str:  # its definition is called so
        return ".".join(filter(None, [self.entry.kind, self.entry.distribution, self.entry.name, self.variant]))


Choices = Mapping[str, Mapping[str, list[Choice]]]
"""Kind -> name -> the components of that name, of every package and in every variant."""


def choices_of(registry: Registry) -> Choices:
    """Collects what parts can be; components that cannot be used are left out: a recipe that uses one is told why."""
    found: dict[str, dict[str, list[Choice]]] = {kind: {} for kind in KINDS}
    for entry in registry.components():
        for variant in entry.part.variants or [""]:
            one = entry.variant(variant)
            with suppress(RequestError):
                needed = [option.name for option in one.signature.options if option.default is REQUIRED]
                needed += [entry.part.by] if one.target != entry.target else []
                found[entry.kind].setdefault(entry.name, []).append(Choice(one, variant, needed))
    return found


def definition(make: Callable[..., Schema]) -> Callable[..., Schema]:
    """Turns a method into one that refers to its schema: a definition named by the arguments and the method."""

    @wraps(make)
    def refer(self: Parts, *arguments: object) -> Schema:
        name = ".".join(map(str, [*([] if self.over else ["alone"]), *filter(None, arguments), make.__name__]))
        if name not in self.definitions:
            self.definitions[name] = {}
            self.definitions[name] = make(self, *arguments)
        return {"$ref": f"#/$defs/{quote(name)}"}

    return refer


@dataclass(frozen=True)
class Parts:
    """Makes the schemas of parts.

    ``over`` a base recipe, null removes, and what is needed may be there already. What a list holds lies over none, as
    lists are replaced whole; the definitions of such parts have ``alone`` in their names.
    """

    choices: Choices
    definitions: dict[str, Schema]
    over: bool

    def or_null(self, schema: Schema) -> Schema:
        """Lets null through, too, where there is a base."""
        return either(schema, NULL) if self.over else schema

    def needs(self, *keys: str) -> Schema:
        """Over no base, a mapping that has these keys. Below ``allOf``, where editors make no completion of it."""
        return {} if self.over else {"allOf": [{"required": list(keys)}]}

    def keys(self, section: str) -> dict[str, Schema]:
        """The keys of a section (``zoo.recipe.sections``) with types, limits, defaults and descriptions."""
        options = read_section(section).options
        found = {o.name: of_option(o, removable=self.over) | _LIMITS.get(o.name, {}) for o in options}
        for schema in found.values():
            if "minimum" in schema and (schema.get("default") or 0) < schema["minimum"]:
                del schema["default"]  # one that means "as the loader finds best" cannot be written
        return found

    # -- a part: its component's name, or a mapping --------------------------------------------------------------

    @definition
    def part(self, kind: str, label: str = "") -> Schema:
        """A name or a mapping. Over no base, one without ``use`` is the component that its label names."""
        text = f"{a(kind).capitalize()}: NAME, or {{use: NAME, option: value}}."
        null = [NULL] if self.over or label in self._complete(kind) else []
        return {"description": text, **part(self.name(kind), self.mapping(kind, label), *null)}

    @definition
    def name(self, kind: str) -> Schema:
        """A component's name, with or without its package, which may stand for the part."""
        return {"description": f"The name of {a(kind)}.", **self._names(kind, self._complete(kind))}

    def _names(self, kind: str, names: list[str]) -> Schema:
        bare = {"enum": names, "enumDescriptions": [self.summary(kind, name) for name in names]}
        return {"anyOf": [bare, {**TEXT, "pattern": f"^[^/]+/(?:{'|'.join(names)})$"}]}

    def _complete(self, kind: str) -> list[str]:
        """The names of components, over no base of those that need no option."""
        groups = self.choices[kind].items()
        return [name for name, group in groups if self.over or not all(choice.needed for choice in group)]

    def summary(self, kind: str, name: str) -> str:
        """The summary of the component of a name."""
        return self.choices[kind][name][0].entry.summary

    def mapping(self, kind: str, label: str = "") -> Schema:
        """The options of the component that ``use`` says, or else the label; over a base, of any."""
        if self.over or label not in self.choices[kind]:
            return self.options(kind)
        choices = self.choices[kind][label]
        named = either(*map(self.component, choices))
        if by := choices[0].entry.part.by:
            named |= {"properties": {by: {"enum": [choice.variant for choice in choices]}}}
        return {"if": says("use"), "then": self.options(kind), "else": named}

    @definition
    def options(self, kind: str) -> Schema:
        """The options of any component; over no base with ``use``, which says of which."""
        choices = [choice for group in self.choices[kind].values() for choice in group]
        use = self.or_null(self._names(kind, list(self.choices[kind])))
        every = either(*map(self.component, choices))
        return {"type": "object", "properties": {"use": use}, **every, **self.needs("use")}

    @definition
    def component(self, choice: Choice) -> Schema:
        """The options of a component."""
        entry, kind, by = choice.entry, choice.entry.kind, choice.entry.part.by
        options = {option.name: of_option(option, removable=self.over) for option in entry.signature.options}
        if by:
            value = {**self.or_null({"enum": [choice.variant]}), "default": choice.variant}
            options[by] = {"description": options[by]["description"], **value}
        bound = dict.fromkeys(entry.signature.bindable, self.bound())
        text = "Other slots or values for what it asks for: {parameter: name}."
        binding = mapping(text, bound, False, null=self.over)
        use = self.or_null({**TEXT, "pattern": f"^([^/]+/)?{entry.name}$"})  # what it is, options() tells
        keys = {"use": use, **options, "with": binding, **self._beside(kind)}
        return {**mapping(entry.summary, keys, False), **(self.needs(*choice.needed) if choice.needed else {})}

    # -- what stands beside options, and in them -------------------------------------------------------------------

    def _beside(self, kind: str) -> dict[str, Schema]:
        if kind == "term":
            begins = {"description": "The weight at 'start': a weight that changes, {from: A, to: B, steps: N}."}
            return {"weight": {"default": 1.0, **part(self.weight(), self.schedule(), self.pieces())}, "from": begins}
        if kind == "optimizer":
            return {"rate": self.rate()}
        if kind == "data":
            return {"without": self.without()}
        if kind == "metric":
            text = "Whether its reason stands in the place of its number where it cannot be had."
            return {"optional": {"description": text, "default": False, **self.or_null({"type": "boolean"})}}
        return {"kind": self.kind(kind), "of": self.of(), "weights": self.begins()} if kind in NETWORKS else {}

    @definition
    def kind(self, kind: str) -> Schema:
        """What a slot is."""
        text = "What the slot is, where the last word of its name does not say."
        return {"description": text, **self.or_null({"enum": [kind]})}

    @definition
    def begins(self) -> Schema:
        """What a slot begins with."""
        return {"description": f"What the slot begins with: {FORMS}.", **self.or_null({**TEXT, "minLength": 1})}

    @definition
    def without(self) -> Schema:
        """The classes that training does without."""
        types = ["integer", "string"]
        classes: Schema = {"type": [*types, "array"], "items": {"type": types}, "minItems": 1}
        return mapping("Classes kept out of training, {LABEL: CLASS or CLASSES}.", {}, classes, null=self.over)

    @definition
    def of(self) -> Schema:
        """Whose sizes a slot has."""
        size = {"type": ["integer", "array"], "minimum": 0, "items": {"type": "integer", "minimum": 0}, "minItems": 1}
        sizes = mapping("Sizes of its own.", dict.fromkeys(SIZES, size), False)
        text = "The field of the data whose sizes the slot has; or sizes of its own, {latent: 4}."
        return {"description": text, **self.or_null(part({**TEXT, "minLength": 1}, sizes))}

    @definition
    def bound(self) -> Schema:
        """The name that a parameter or an output is bound to."""
        names = list(self.choices["value"])
        return {"description": "The name of a slot or value.", "examples": names, **self.or_null(TEXT)}

    @definition
    def weight(self) -> Schema:
        """A term's weight that does not change."""
        text = "What the term is multiplied by: a number, on (1) or off (left out)."
        return {"description": text, "anyOf": [{"type": ["number", "boolean"]}, {"enum": list(ON_OFF)}]}

    @definition
    def schedule(self) -> Schema:
        """A number that changes with the step."""
        return {**self.piece(), **self.needs("from")}

    @definition
    def number(self) -> Schema:
        """A number that may change with the step."""
        return part({"type": "number"}, self.schedule(), self.pieces())

    @definition
    def pieces(self) -> Schema:
        """Such numbers one after another."""
        text = "Pieces, each of which begins where the one before ended."
        whole = {"prefixItems": [{"required": ["from"]}]}  # lists lie over none
        return {
            "description": text,
            "type": "array",
            "minItems": 1,
            "items": replace(self, over=False).piece(),
            "allOf": [whole],
        }

    @definition
    def piece(self) -> Schema:
        """A number that changes with the step; a later piece of one goes on from where the one before ended."""
        signs = ("exclusiveMinimum", "exclusiveMaximum")
        signed = either(*({"properties": {"from": {sign: 0}, "to": {sign: 0}}} for sign in signs))
        rules = {"if": when("shape", {"const": "exponential"}), "then": signed, **self.needs("to")}
        return {**mapping(read_section("schedule").doc, self.keys("schedule"), False), **rules}

    @definition
    def rate(self) -> Schema:
        """A factor on a learning rate."""
        low: Schema = {"minimum": 0}
        text = "A factor on the learning rate: a number, {from: A, to: B, steps: N} or a list of such pieces."
        above = {"properties": {"from": low, "to": low}}
        changing, several = {"allOf": [self.schedule(), above]}, {"allOf": [self.pieces(), {"items": above}]}
        number, null = {"type": "number", **low}, [NULL] if self.over else []
        return {"description": text, "default": 1.0, **part(number, changing, several, *null)}
