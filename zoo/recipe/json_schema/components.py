"""The components of a kind as definitions: their names, each one's options, and what chooses among them.

Of a kind ``encoder``: ``encoder.name`` is a component's name, ``encoder.options`` a mapping with ``use``,
``encoder.dcgan`` the options of one component, ``encoder.any`` those of all, for a recipe that leaves it to its base
which component it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property

from zoo.errors import RequestError
from zoo.recipe.json_schema.types import NULL, TEXT, Schema, any_of, either, of_option, or_null, part, ref, when
from zoo.recipe.parts import a
from zoo.registry import REQUIRED, Entry, Registry
from zoo.registry.option_types import arms, is_none


class Kind:
    """The installed components of one kind; those that cannot be used are left out.

    Args:
        name: one of ``zoo.api.KINDS``.
        registry: where they are.
        reserved: keys that the place of the part adds to the component's options, and what they are.
        removable: whether such a part may lie over one of a base recipe, so that null removes an option and
            required ones may be missing. Terms never do: lists are replaced whole.
    """

    def __init__(
        self, name: str, registry: Registry, reserved: Mapping[str, Schema] | None = None, *, removable: bool = True
    ) -> None:
        self.name = name
        self.reserved = reserved or {}
        self.removable = removable
        self.providers: dict[str, list[Entry]] = {}
        for entry in registry.components(name):
            if any(map(_usable, _targets(entry))):
                self.providers.setdefault(entry.name, []).append(entry)
        self.components = {
            key: entry for group in self.providers.values() for e in group for key, entry in self._keyed(e).items()
        }

    def _keyed(self, entry: Entry) -> dict[str, Entry]:
        """A definition's name for each target of a component: its own and its variants'."""
        owner = f"{entry.distribution}." if len(self.providers[entry.name]) > 1 else ""
        base = f"{self.name}.{owner}{entry.name}"
        keys = {target: f"{base}.{value}" for value, target in entry.component.variants.items()}
        return {keys.get(e.target, base): e for e in _targets(entry) if _usable(e)}

    @property
    def names(self) -> list[str]:
        """Bare names of the components."""
        return list(self.providers)

    @cached_property
    def own(self) -> dict[str, Schema]:
        """The definition of each component's options, by its name."""
        return {key: self._component(entry) for key, entry in self.components.items()}

    @property
    def nullable(self) -> set[str]:
        """Options whose type has null."""
        options = [option for entry in self.components.values() for option in entry.signature.options]
        return {option.name for option in options if any(map(is_none, arms(option.type)))}

    def definitions(self) -> dict[str, Schema]:
        """All of these, by name."""
        return {
            f"{self.name}.name": self._name(),
            f"{self.name}.options": self._options(),
            f"{self.name}.any": union(self.own, {"use": True, **self.reserved}),
            **self.own,
        }

    def part(self) -> Schema:
        """A part: a name, a mapping, or null where a base may have one."""
        nothing = [NULL] if self.removable else []
        text = f"{a(self.name).capitalize()}: NAME, or {{use: NAME, option: value}}."
        return {"description": text, **part(ref(f"{self.name}.name"), ref(f"{self.name}.options"), *nothing)}

    def _name(self) -> Schema:
        bare: Schema = {"enum": self.names, "enumDescriptions": [group[0].summary for group in self.providers.values()]}
        full = {"type": "string", "pattern": prefixed(self.names)}
        return {"description": f"The name of {a(self.name)}.", "anyOf": [bare, full]}

    def _options(self) -> Schema:
        use = ref(f"{self.name}.name")
        chosen = [{"if": self.uses(name), "then": self.of(name)} for name in self.names]
        unsaid = {"if": {"not": when("use", TEXT)}, "then": ref(f"{self.name}.any")}
        properties = {"use": or_null(use) if self.removable else use}
        return {"type": "object", "properties": properties, "allOf": [*chosen, unsaid]}

    @staticmethod
    def uses(name: str) -> Schema:
        """A mapping that names a component, with or without its distribution."""
        return when("use", {"type": "string", "pattern": f"^(?:[^/]+/)?{name}$"})

    def of(self, name: str) -> Schema | bool:
        """The options of the component of a name, of whichever provider, in the variant that they say."""
        return any_of(self._chosen(entry) for entry in self.providers[name])

    def _chosen(self, entry: Entry) -> Schema | bool:
        keys = {e.target: ref(key) for key, e in self._keyed(entry).items()}
        default = keys.get(entry.target, False)
        unsaid = any_of(keys.values()) if self.removable else default  # a base may have said it
        return by_variant(entry, lambda e: keys.get(e.target, False), unsaid)

    def lacking(self, name: str) -> Schema | bool:
        """What a mapping that lies over no base must have, of the component of a name."""
        needed = [by_variant(entry, _requirement, _requirement(entry)) for entry in self.providers[name]]
        return any_of(needed)

    @property
    def incomplete(self) -> list[str]:
        """Names that cannot stand alone: their components have options without a default."""
        return [name for name, group in self.providers.items() if all(map(_requirement, group))]

    def _component(self, entry: Entry) -> Schema:
        signature = entry.signature
        options = {option.name: of_option(option, removable=self.removable) for option in signature.options}
        fixed = {"with": self._binding(entry), "use": ref(f"{self.name}.name"), **self.reserved}
        return {
            "description": entry.summary,
            "properties": {**options, **fixed},
            "additionalProperties": False,
            **({} if self.removable else _requirement(entry)),
        }

    def _binding(self, entry: Entry) -> Schema:
        names = dict.fromkeys(entry.signature.bindable, ref("bound.over" if self.removable else "bound"))
        binding = {"type": "object", "properties": names, "additionalProperties": False}
        text = "Other slots or values for what it asks for: {parameter: name}."
        return {"description": text, **(or_null(binding) if self.removable else binding)}


def prefixed(names: Iterable[str]) -> str:
    """A pattern of names with their distribution."""
    return f"^[^/]+/(?:{'|'.join(names)})$"


def _targets(entry: Entry) -> list[Entry]:
    """A component, and the same in each of its variants."""
    return [entry, *(entry.variant(value) for value in entry.component.variants)]


def _usable(entry: Entry) -> bool:
    try:
        return bool(entry.signature)
    except RequestError:
        return False  # a recipe that uses it is told why


def _requirement(entry: Entry) -> Schema:
    needed = [o.name for o in entry.signature.options if o.default is REQUIRED] if _usable(entry) else []
    return {"required": needed} if needed else {}


def by_variant(entry: Entry, of: Callable[[Entry], Schema | bool], unsaid: Schema | bool) -> Schema | bool:
    """What holds of a component in the variant that a mapping says; ``unsaid`` where it says none."""
    by, values = entry.component.by, sorted(entry.component.variants)
    if not by:
        return of(entry)
    rules = [{"if": when(by, {"const": value}), "then": of(entry.variant(value))} for value in values]
    other = {"if": {"not": when(by, {"enum": values})}, "then": unsaid}
    return {"properties": {by: either({"enum": values}, {"not": TEXT})}, "allOf": [*rules, other]}


def union(definitions: Mapping[str, Schema], fixed: Mapping[str, Schema | bool]) -> Schema:
    """A mapping with any option of any of these definitions, each referred to where it is defined."""
    options: dict[str, dict[str, Schema]] = {}
    for key, schema in definitions.items():
        for name, option in schema["properties"].items():
            told = {word: said for word, said in option.items() if word not in ("default", "description")}
            options.setdefault(name, {}).setdefault(json.dumps(told), ref(key, "properties", name))
    merged = {name: any_of(found.values()) for name, found in sorted(options.items())}
    return {"properties": {**merged, **fixed}, "additionalProperties": False}
