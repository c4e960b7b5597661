"""A JSON Schema of recipes, made from the installed plugins: what an editor completes and underlines by.

The loader decides what a recipe is; the schema follows it as far as JSON Schema can say. It takes whatever the loader
takes, but for three things that no file says by itself: a slot named for one kind that its base says is another, a
base that is itself wrong and is put right by a null, and a common optimiser that no player uses.
"""

from __future__ import annotations

from dataclasses import replace
from keyword import kwlist

from zoo.recipe.graph import BUILTINS
from zoo.recipe.json_schema.components import Parts, choices_of, definition
from zoo.recipe.json_schema.types import NULL, TEXT, Schema, either, mapping, part, says, when
from zoo.recipe.parts import read_section
from zoo.recipe.sections import NEEDED, NETWORKS
from zoo.recipe.weights import HUB, SUFFIX
from zoo.registry import Registry

_LISTS = {
    "evaluate": ("metric", "Metrics: a list of names or {label: {use: NAME}}, or a mapping."),
    "augment": ("augmentation", "What is done to training images, in this order: a list of names, or a mapping."),
    "watch": ("watcher", "Watchers of the training: a list of names, or a mapping."),
}
_NAME: Schema = {  # what a parameter can be called, as far as Python and editors read a pattern alike
    "pattern": r"^(?![0-9])[^\s!-/:-@\[-^`{-~]+$",
    "not": {"enum": sorted({*BUILTINS, *kwlist})},
    "errorMessage": "A name has letters, digits and '_', so that a parameter can ask for it.",
}
_OWN_NAME: Schema = {**_NAME, "not": {"enum": sorted({"x", *BUILTINS, *kwlist})}}
"""Of a slot or a value: none that the first field of data has nearly always."""
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


def recipe_schema(registry: Registry) -> Schema:
    """Makes the JSON Schema (draft 2020-12) of the recipes that can be written with a registry's plugins.

    It is plain data, the same on every machine. Of several packages with one name, the options of each are taken.
    """
    definitions: dict[str, Schema] = {}
    over = Sections(choices_of(registry), definitions, over=True)
    for sections in (over, replace(over, over=False)):
        sections.number()  # types of options refer to it
    shipped = registry.recipes()
    bundled = {"enum": [recipe.name for recipe in shipped], "enumDescriptions": [recipe.summary for recipe in shipped]}
    file = {"type": "string", "pattern": r"\S"}
    plugins = [plugin for plugin in registry.plugins if plugin.components or plugin.recipes]
    packages = sorted({f"{plugin.distribution} {plugin.version}" for plugin in plugins})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:generative-zoo:recipe",
        "$comment": f"Made by zoo schema from {', '.join(packages)}.",
        "title": "A recipe of the zoo",
        "description": "Who minimises what, with which parts, on what data.",
        "type": "object",
        "properties": {
            "extends": {"description": "The recipe under this one: bundled, or a file.", "anyOf": [bundled, file]}
        },
        "if": says("extends"),
        "then": over.recipe(),
        "else": replace(over, over=False).recipe(),
        "$defs": dict(sorted(definitions.items())),
    }


class Sections(Parts):
    """Makes the schemas of sections."""

    @definition
    def recipe(self) -> Schema:
        """A whole recipe."""
        sizes = {key: {"minimum": 1} for key in ("size", "channels")}
        one = {"allOf": [self.part("data", "data"), {"not": NULL, "properties": sizes}]}
        text = "Sets of data by the fields that they are for: {x: {use: NAME}, y: {use: NAME}}."
        several = {**mapping(text, {}, one, least=1), "propertyNames": _NAME}
        data = {"if": either({**TEXT}, says("use")), "then": one, "else": either(one, several)}
        values = self._parts("value", "Names bound to other values: {name: value}.")
        keys = {
            "extends": self.over,
            **self.keys("recipe"),
            "data": {"description": "What it learns from: NAME, or {use: NAME, option: value}.", **data},
            "slots": self._slots(),
            "values": {**values, "propertyNames": _OWN_NAME},
            "phases": replace(self, over=False).phases(),
            "after": self._after(),
            "outputs": self._outputs(),
            "train": self._train(),
            **{section: self._list(kind, text) for section, (kind, text) in _LISTS.items()},
        }
        return {**mapping("The sections of a recipe.", keys, False), **self.needs(*NEEDED)}

    # -- slots, values, lists ----------------------------------------------------------------------------------

    def _slots(self) -> Schema:
        """A slot's kind is what it says, else the last word of its name."""
        labels = [name for kind in NETWORKS for name in self.choices[kind] if name.isidentifier()]
        known = {f"_{kind}$": kind for kind in NETWORKS} | {f"^{label}$": label for label in labels}
        slots = {kind: self.slot(kind) for kind in NETWORKS}
        schema = mapping(
            "The networks and the prior: {name: component}.", slots, self.slot(""), least=0 if self.over else 1
        )
        patterns = {pattern: self.slot(label) for pattern, label in known.items()}
        return {**schema, "propertyNames": _OWN_NAME, "patternProperties": patterns}

    @definition
    def names_run(self) -> Schema:
        """A slot that names a run and no component."""
        place = {**TEXT, "not": {"pattern": rf"^{HUB}|\\{SUFFIX}(#.*)?$"}}
        return {"required": ["weights"], "not": {"required": ["use"]}, "properties": {"weights": place}}

    @definition
    def taken(self) -> Schema:
        """Such a slot."""
        return mapping("The slot of a run, as it is there.", {**self._beside("module"), "kind": TEXT}, False)

    def _after(self) -> Schema:
        text = "Slots that are fitted on the training set's codes when the training ends: [slot], or {slot: value}."
        slots = {"type": "array", "items": TEXT}
        return {"description": text, **part(TEXT, mapping(text, {}, either(TEXT, NULL)), slots, NULL)}

    @definition
    def slot(self, label: str) -> Schema:
        """A slot of a name that is a kind, a component, or neither."""
        name, null = either(*map(self.name, NETWORKS)), [NULL] if self.over else []
        said = unsaid = either(*(self.mapping(kind, label) for kind in NETWORKS))
        if label in NETWORKS:
            name, unsaid = self.name(label), self.mapping(label, label)
        elif not self.over:
            name = {"enum": [], "errorMessage": "Say what the slot is: {kind: encoder, use: NAME}."}
            unsaid = {**said, **self.needs("kind")}
        options = {"if": when("kind", TEXT), "then": said, "else": unsaid}
        if not self.over:
            options = {"if": self.names_run(), "then": self.taken(), "else": options}
        return {"description": "A slot: NAME, or {use: NAME, option: value}.", **part(name, options, *null)}

    def _parts(self, kind: str, text: str) -> Schema:
        """A mapping of parts of one kind; the names of components are offered as keys."""
        parts = {name: self.part(kind, "" if self.over else name) for name in self.choices[kind]}
        offered = {name: {**schema, "description": self.summary(kind, name)} for name, schema in parts.items()}
        full = {f"^[^/]+/{name}$": schema for name, schema in parts.items()}
        return {**mapping(text, offered, self.part(kind), null=True), "patternProperties": full}

    def _list(self, kind: str, text: str) -> Schema:
        items = {"type": "array", "items": replace(self, over=False).item(kind), "uniqueItems": True}
        return {"description": text, **part(self.name(kind), self._parts(kind, text), items, NULL)}

    @definition
    def item(self, kind: str) -> Schema:
        """A name, ``{use: name}`` or ``{label: part}``."""
        one = {**self._parts(kind, "{label: part}"), "minProperties": 1, "maxProperties": 1}
        return part(self.name(kind), {"if": says("use"), "then": self.options(kind), "else": one})

    def _outputs(self) -> Schema:
        offered = {key: {**self.bound(), "description": text} for key, text in _OUTPUTS.items()}
        text = "Which values the model shows the world: {output: value}."
        return mapping(text, offered, self.bound(), null=True)

    # -- phases: nothing in them lies over a base ----------------------------------------------------------------

    @definition
    def phases(self) -> Schema:
        """The phases, with their rows."""
        phase = {
            **mapping(
                "Rows, {players: {term: weight}}; or {rows: ..., repeat: N} and timing.", {"rows": self.rows()}, True
            ),
            "if": says("rows"),
            "then": {"properties": {"rows": True, **self.keys("phase")}, "additionalProperties": False},
            "else": self.rows(),
        }
        text = "Who minimises what. Rows of a phase move together; phases follow one another."
        return {"description": text, "type": "array", "minItems": 1, "items": phase}

    @definition
    def rows(self) -> Schema:
        """The rows of a phase, by their players."""
        rows = mapping("Rows: {players: {term: weight}}.", dict.fromkeys(NETWORKS, self.row()), self.row(), least=1)
        return {**rows, "propertyNames": _PLAYERS}

    @definition
    def row(self) -> Schema:
        """The terms of a row: each a weight, a schedule, options, or another term under this name."""
        terms = {name: self.term(name) for name in self.choices["term"]}
        other = {**says("use"), "errorMessage": "There is no such term; {use: NAME} gives one another name."}
        zero = {"type": "object", "minProperties": 1, "additionalProperties": {"enum": [0, "off", False]}}
        other |= {"if": says("from"), "then": False, "else": self.options("term")}
        return {
            **mapping("What the players minimise together: {term: weight}.", terms, other, least=1),
            "if": zero,
            "then": {"enum": [], "errorMessage": "Every weight is 0: the row minimises nothing."},
            "patternProperties": {f"^[^/]+/{name}$": term for name, term in terms.items()},
        }

    @definition
    def term(self, name: str) -> Schema:
        """A term of a row."""
        options = {"if": says("from"), "then": self.schedule(), "else": self.mapping("term", name)}
        return {"description": self.summary("term", name), **part(self.weight(), options, self.pieces())}

    # -- training ------------------------------------------------------------------------------------------------

    def _train(self) -> Schema:
        own = replace(self, over=True).part("optimizer")
        text = "What players have of their own, laid over 'optimizer': {player: {lr: 1e-4}}."
        players = mapping(text, {kind: own for kind in NETWORKS if kind != "prior"}, own, null=True)
        keys = {**self.keys("train"), "optimizer": self.part("optimizer", "adam"), "optimizers": players}
        return mapping(read_section("train").doc, keys, False, null=True)
