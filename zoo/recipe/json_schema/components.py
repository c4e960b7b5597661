"""JSON Schema of the parts of recipes: a component's name, or a mapping with its options."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import wraps
from urllib.parse import quote

from zoo.api import KINDS
from zoo.errors import RequestError
from zoo.recipe.json_schema.types import NULL, TEXT, Schema, either, of_option, part, says, when
from zoo.recipe.parts import ON_OFF, a, read_section
from zoo.recipe.sections import LONGEST_NAME, MINIMA, NETWORKS
from zoo.registry import REQUIRED, Entry, Registry

_LIMITS: dict[str, Schema] = {
    **{key: {"minimum": low} for key, low in MINIMA.items()},
    "ema": {"minimum": 0, "exclusiveMaximum": 1},
    "name": {"pattern": r"^(?:[^/\s](?:[^/]*[^/\s])?)?$", "not": {"enum": [".", ".."]}, "maxLength": LONGEST_NAME},
}


@dataclass(frozen=True)
class Choice:
    """A component, or one of its variants; told by the name of its definition."""

    name: str
    entry: Entry
    variant: str
    needed: list[str]

    def __str__(self) -> str:
        return self.name


Choices = Mapping[str, Mapping[str, list[Choice]]]
"""Kind -> name -> the components of that name, of every package and in every variant."""


def choices_of(registry: Registry) -> Choices:
    """Collects what parts can be; components that cannot be used are left out."""
    found: dict[str, dict[str, list[Choice]]] = {kind: {} for kind in KINDS}
    providers = Counter((entry.kind, entry.name) for entry in registry.components())
    for whole in registry.components():
        owner = [whole.distribution] if providers[whole.kind, whole.name] > 1 else []
        for variant in whole.component.variants or [""]:
            entry = whole.variant(variant)
            try:
                options = entry.signature.options
            except RequestError:
                continue  # a recipe that uses it is told why
            needed = [option.name for option in options if option.default is REQUIRED]
            needed += [whole.component.by] if entry.target != whole.target else []
            name = ".".join([whole.kind, *owner, whole.name, *([variant] if variant else [])])
            found[whole.kind].setdefault(whole.name, []).append(Choice(name, entry, variant, needed))
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

    Args:
        choices: what parts can be.
        definitions: those made so far; of parts that lie over no base, with ``alone`` in their names.
        over: whether there is a base recipe, of which null removes, and which may have what is needed. What a list
            holds lies over none: lists are replaced whole.
    """

    choices: Choices
    definitions: dict[str, Schema]
    over: bool

    def or_null(self, schema: Schema) -> Schema:
        """The same; over a base also null."""
        return either(schema, NULL) if self.over else schema

    def keys(self, section: str) -> dict[str, Schema]:
        """The keys of a section (``zoo.recipe.sections``) with types, limits, defaults and descriptions."""
        options = read_section(section).options
        found = {o.name: of_option(o, removable=self.over) | _LIMITS.get(o.name, {}) for o in options}
        for schema in found.values():
            if "minimum" in schema and schema.get("default", 0) < schema["minimum"]:
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
        """What stands for a part by itself: a component's name, with or without its package."""
        names = self._complete(kind)
        bare = {"enum": names, "enumDescriptions": [self.summary(kind, name) for name in names]}
        full = {**TEXT, "pattern": f"^[^/]+/(?:{'|'.join(names)})$"}
        return {"description": f"The name of {a(kind)}.", "anyOf": [bare, full]}

    def _complete(self, kind: str) -> list[str]:
        """The names of components, over no base of those that need no option."""
        groups = self.choices[kind].items()
        return [name for name, group in groups if self.over or not all(choice.needed for choice in group)]

    def _use(self, kind: str) -> Schema:
        return self.or_null(replace(self, over=True).name(kind))

    def summary(self, kind: str, name: str) -> str:
        """What a component is."""
        return self.choices[kind][name][0].entry.summary

    def mapping(self, kind: str, label: str = "") -> Schema:
        """The options of the component that ``use`` says, or else the label; over a base, of any."""
        if self.over or label not in self.choices[kind]:
            return self.options(kind)
        return {"if": says("use"), "then": self.options(kind), "else": self._named(kind, label)}

    @definition
    def options(self, kind: str) -> Schema:
        """The options of the component that ``use`` says, or over a base of any."""
        rules = [
            {"if": when("use", {**TEXT, "pattern": f"^(?:[^/]+/)?{name}$"}), "then": self._named(kind, name)}
            for name in self.choices[kind]
        ]
        unsaid = {"if": {"not": when("use", TEXT)}, "then": self.any(kind)} if self.over else says("use")
        return {"type": "object", "properties": {"use": self._use(kind)}, "allOf": [*rules, unsaid]}

    def any(self, *kinds: str) -> Schema:
        """The options of any component of these kinds."""
        return either(*(self._named(kind, name) for kind in kinds for name in self.choices[kind]))

    def _named(self, kind: str, name: str) -> Schema:
        return either(*map(self.component, self.choices[kind][name]))

    @definition
    def component(self, choice: Choice) -> Schema:
        """The options of a component."""
        entry, kind = choice.entry, choice.entry.kind
        options = {option.name: of_option(option, removable=self.over) for option in entry.signature.options}
        if choice.variant:
            value = {**self.or_null({"enum": [choice.variant]}), "default": choice.variant}
            options[entry.component.by] = {"description": options[entry.component.by].get("description", ""), **value}
        bound = dict.fromkeys(entry.signature.bindable, self.bound())
        binding = self.or_null({"type": "object", "properties": bound, "additionalProperties": False})
        text = "Other slots or values for what it asks for: {parameter: name}."
        fixed = {"with": {"description": text, **binding}, "use": self._use(kind), **self._beside(kind)}
        return {
            "description": entry.summary,
            "properties": {**options, **fixed},
            "additionalProperties": False,
            "required": [] if self.over else choice.needed,
        }

    # -- what stands beside options, and in them -------------------------------------------------------------------

    def _beside(self, kind: str) -> dict[str, Schema]:
        if kind == "term":
            begins = {"description": "The weight at 'start': a weight that changes, {from: A, to: B, steps: N}."}
            return {"weight": {"default": 1.0, **part(self.weight(), self.schedule())}, "from": begins}
        if kind == "optimizer":
            return {"rate": self.rate()}
        return {"kind": self.kind()} if kind in NETWORKS else {}

    @definition
    def kind(self) -> Schema:
        """What a slot is."""
        text = "What the slot is, where the last word of its name does not say."
        return {"description": text, **self.or_null({"enum": list(NETWORKS)})}

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
        signs = ("exclusiveMinimum", "exclusiveMaximum")
        return {
            "description": read_section("schedule").doc,
            "type": "object",
            "properties": self.keys("schedule"),
            "additionalProperties": False,
            "required": [] if self.over else ["from", "to"],
            "if": when("shape", {"const": "exponential"}),
            "then": either(*({"properties": {"from": {sign: 0}, "to": {sign: 0}}} for sign in signs)),
        }

    @definition
    def rate(self) -> Schema:
        """A factor on a learning rate."""
        low: Schema = {"minimum": 0}
        text = "A factor on the learning rate: a number, or {from: A, to: B, steps: N}."
        changing = {"allOf": [self.schedule(), {"properties": {"from": low, "to": low}}]}
        number, null = {"type": "number", **low}, [NULL] if self.over else []
        return {"description": text, "default": 1.0, **part(number, changing, *null)}
