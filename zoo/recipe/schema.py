"""The dataclasses of a resolved recipe: every name bound to a part, every default filled in."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from typing import Any, Literal

from zoo.api import Field
from zoo.errors import Position, RequestError
from zoo.recipe.data_fields import COUNTED, DataField, Number, Sizes
from zoo.recipe.graph import Graph
from zoo.recipe.schedule import ONE as ONE
from zoo.recipe.schedule import Schedule as Schedule
from zoo.recipe.sections import Timing, Top, Training
from zoo.recipe.yaml.read import Node
from zoo.registry import Entry, to_arguments
from zoo.registry.signature import CALLED

WHEREABOUTS = ("root", "workers", "download")
"""Options by which data says where its files are and how they are read: they change no image."""


OF_DIMENSIONS: tuple[Literal["vector", "signal", "image", "volume"], ...] = ("vector", "signal", "image", "volume")
"""What codes of one dimension, or more, are as a field: numbers that stay as they are."""

ORIGINAL = "original"
"""The field of codes that has what they are of."""
PLACES = ("path", "run")
"""Options by which data says where it is; which images a run is of, it notes."""

AT = "at_step"
"""The parameter by which a part whose options change with the step is told of it."""


@dataclass(frozen=True)
class Trained:
    """A run whose codes are data: its directory, and what reads its recipe, or raises a RequestError."""

    place: str
    read: Callable[[], Recipe]

    @cached_property
    def fields(self) -> dict[str, Field]:
        """``x``, its codes, ``original``, what those are of, and its data's other fields; else a RequestError."""
        run = self.read()
        if "posterior" not in run.outputs or len(run.sizes.code) > len(OF_DIMENSIONS):
            raise RequestError(f"{self.place} has no codes: its recipe has no output 'posterior'")
        found = {"x": Field(OF_DIMENSIONS[len(run.sizes.code) - 1], " ".join(map(str, run.sizes.code)))}
        for name, one in run.fields.items():
            own = Field(one.kind, " ".join(map(str, one.shape)), one.names or one.classes, one.range)  # type: ignore[arg-type]
            found[ORIGINAL if one is run.x else name] = own
        return found


def _noted(among: list[Schedule], said: Any) -> float:
    among.append(Schedule.of(said))
    return 0.0


@dataclass(frozen=True)
class Part:
    """A component where a recipe uses it.

    Args:
        label: the name it has in this recipe (slot, value, term, metric).
        entry: the component.
        options: every option, defaults filled in, as plain data.
        wiring: parameter -> slot or value it is bound to, where the recipe says other than the same name.
        position: where the recipe names it.
        weight: a term's lowest and highest weight, where its class asks for them.
        learning: whether this is the ``learn`` of a term that owns networks, rather than the term.
        bound: where the recipe binds each parameter of ``wiring``.
        home: the package whose recipe names it; empty for a recipe of the user's.
        begins: where the weights lie that a slot begins with (``zoo.recipe.weights``); empty for none.
        of: the field whose sizes a slot has; empty for the first that has each.
        sizes: a slot's own, in place of the recipe's, by name.
        trained: of data that asks for it, the run that its option ``run`` names.
        without: of data, the classes of each label that are kept out of training, by their numbers.
        optional: of a metric, whether its reason stands in the place of its number where it cannot be had.
    """

    label: str
    entry: Entry
    options: Mapping[str, Any]
    position: Position
    wiring: Mapping[str, str] = field(default_factory=dict)
    weight: tuple[float, float] | None = None
    learning: bool = False
    bound: Mapping[str, Position] = field(default_factory=dict, compare=False, repr=False)
    home: str = field(default="", compare=False)
    begins: str = ""
    of: str = ""
    sizes: Mapping[str, Number] = field(default_factory=dict)
    trained: Trained | None = field(default=None, compare=False, repr=False)
    without: Mapping[str, Any] = field(default_factory=dict)
    optional: bool = False

    @property
    def learns(self) -> bool:
        """Tells whether it owns networks that learn: they are a slot of the graph, called by the part's label."""
        return self.entry.signature.learn is not None

    @property
    def arguments(self) -> dict[str, str]:
        """Parameter -> name of the slot, value or builtin it asks for."""
        signature = self.entry.signature
        needs = (signature.learn or ()) if self.learning else signature.needs
        networks = {"self": self.label} if self.learns else {}
        return networks | {need: self.named(need) for need in needs} | ({AT: "step"} if self.changing else {})

    @cached_property
    def changing(self) -> tuple[str, ...]:
        """The options that change with the step."""
        schedules: dict[str, list[Schedule]] = {name: [] for name in self.options}
        for name, value in self.options.items():
            to_arguments(self.entry.signature, {name: value}, partial(_noted, schedules[name]))
        return tuple(name for name, own in schedules.items() if not all(schedule.constant for schedule in own))

    @property
    def computed(self) -> dict[str, tuple[str, ...]]:
        """Of a metric: what it computes anew -> what it gives for that; slots, values, outputs or builtins."""
        anew = self.entry.signature.computes or {}
        return {self.named(name): tuple(map(self.named, given)) for name, given in anew.items()}

    def named(self, name: str) -> str:
        """Translates a name that the component asks for to the recipe's name for it."""
        return self.wiring.get(name, name)

    @property
    def key(self) -> str:
        """Identifies the computation of a term: equal for equal component, options and bindings."""
        extra = [what for what in (self.weight, self.learning) if what]
        return json.dumps([self.entry.id, self.options, self.arguments, *extra], sort_keys=True)

    def plain(self) -> Any:
        """Converts to plain data as a recipe writes it."""
        said = {
            "with": {**self.wiring},
            "optional": self.optional,
            "without": {n: [*c] for n, c in self.without.items()},
        }
        return {"use": self.entry.id, **{key: value for key, value in said.items() if value}, **self.options}

    def identity(self) -> Any:
        """Plain data as ``plain`` gives it, less the options that change no result."""
        return {name: value for name, value in self.plain().items() if name not in WHEREABOUTS}

    def sees(self, sizes: Sizes) -> Sizes:
        """A recipe's sizes as this slot has them."""
        return sizes.seen_by(self.of, self.sizes)

    def load(self) -> Any:
        """The target itself, imported now."""
        return self.entry.load()

    def arguments_for(self, sizes: Sizes | None = None, step: int = 0) -> dict[str, Any]:
        """Options as Python has them at a step (lists as tuples), with the sizes that the target asks for."""
        signature = self.entry.signature
        asked = signature.sizes if self.entry.kind in CALLED else signature.needs
        sizes = sizes and self.sees(sizes)
        given = {name: self.weight if name == "weight" else getattr(sizes, name) for name in asked if sizes}
        shapes = {name for name in given if signature.annotations.get(name, "").startswith("tuple[")}
        given |= {name: (given[name],) for name in shapes if isinstance(given[name], int)}
        return {**given, **to_arguments(signature, self.options, lambda said: Schedule.of(said)(step))}


@dataclass(frozen=True)
class Term:
    """A term of a row, and how much it counts."""

    part: Part
    weight: Schedule

    @property
    def label(self) -> str:
        """The name the recipe gives it; ``learn`` for what its own networks minimise."""
        return "learn" if self.part.learning else self.part.label

    def plain(self) -> Any:
        """Converts to plain data as a recipe writes it."""
        return {**self.part.plain(), "weight": self.weight.plain()}


@dataclass(frozen=True)
class Row:
    """Players and the terms that they minimise together. A player is a slot or a dotted part of one.

    Terms that weigh nothing at any step are left out; ``off`` are their labels.
    """

    players: tuple[str, ...]
    terms: tuple[Term, ...]
    position: Position
    off: tuple[str, ...] = field(default=(), compare=False)

    @property
    def label(self) -> str:
        """The row's name in a recipe: ``encoder + decoder``."""
        return " + ".join(self.players)

    @property
    def slots(self) -> frozenset[str]:
        """The slots its players are, or are parts of."""
        return frozenset(slot_of(player) for player in self.players)


@dataclass(frozen=True)
class Phase(Timing):
    """Rows that move together: one shared forward, every gradient at the old weights, then every step.

    The terms of all rows are summed for each player.
    """

    rows: tuple[Row, ...]
    position: Position = field(default_factory=lambda: Position(""))

    @property
    def played(self) -> tuple[Row, ...]:
        """The rows, then one for each term of theirs that owns networks that learn."""
        terms = [term.part for row in self.rows for term in row.terms]
        learners = {part.label: replace(part, learning=True) for part in terms if part.learns and not part.learning}
        return (*self.rows, *(Row((part.label,), (Term(part, ONE),), part.position) for part in learners.values()))

    def plain(self) -> Any:
        """Converts to plain data as a recipe writes it."""
        rows = {row.label: {term.label: term.plain() for term in row.terms} for row in self.rows}
        return {"rows": rows, **{timing.name: getattr(self, timing.name) for timing in fields(Timing)}}


@dataclass(frozen=True)
class Optimizer:
    """A player's optimiser and the factor on its learning rate."""

    part: Part
    rate: Schedule = ONE

    def plain(self) -> Any:
        """Converts to plain data as a recipe writes it."""
        return {**self.part.plain(), "rate": self.rate.plain()}


@dataclass(frozen=True, kw_only=True)
class Train(Training):
    """The training of a model: its length, its batches, and an optimiser for every player of every row."""

    optimizers: Mapping[str, Optimizer]

    def plain(self) -> Any:
        """Converts to plain data as a recipe writes it."""
        plain = {key.name: getattr(self, key.name) for key in fields(Training)}
        if self.epochs:
            del plain["steps"]  # nobody knows yet
        return {**plain, "optimizers": {player: o.plain() for player, o in self.optimizers.items()}}


@dataclass(frozen=True, kw_only=True)
class Recipe(Top):
    """A whole model: its parts, the phases that train it, its data, its training, its metrics.

    Its ``sets`` of data are by the fields that they are written for; one alone is by an empty key. The ``fields`` that
    they bring are by name, ``x`` first. ``after`` is by slots that are fitted when the training ends: the value that
    each is fitted on.
    """

    file: str
    latent: int | tuple[int, ...]
    sets: Mapping[str, Part]
    fields: Mapping[str, DataField]
    slots: Mapping[str, Part]
    values: Mapping[str, Part]
    phases: tuple[Phase, ...]
    after: Mapping[str, str]
    outputs: Mapping[str, str]
    train: Train
    evaluate: tuple[Part, ...]
    augment: tuple[Part, ...]
    watch: tuple[Part, ...]
    graph: Graph
    source: Node = field(compare=False, repr=False)

    @property
    def data(self) -> Part:
        """Its first set of data, the only one of most recipes."""
        return next(iter(self.sets.values()))

    @cached_property
    def x(self) -> DataField:
        """The first of them."""
        return next(iter(self.fields.values()))

    @cached_property
    def terms(self) -> dict[str, Part]:
        """Every term that its phases play, once for each computation, by what identifies that."""
        terms = [term.part for phase in self.phases for row in phase.played for term in row.terms]
        return {part.key: part for part in terms}

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """All that its training needs: slots, values and builtins, each after what it needs itself."""
        return self.graph.order(name for part in self.terms.values() for name in part.arguments.values())

    @cached_property
    def asked_fields(self) -> tuple[str, ...]:
        """The fields that its training asks for, and the first, by which items are counted."""
        first, *others = self.graph.fields
        return (first, *(name for name in others if name in self.needed))

    @cached_property
    def turns(self) -> int:
        """How many batches a step takes: one, and one for each play of a phase that draws its own."""
        return 1 + sum(phase.repeat for phase in self.phases if phase.fresh)

    def field_shaped(self, shape: Sequence[int]) -> DataField | None:
        """The first of its fields, none of classes, whose items have a shape; None where there is none."""
        shown = (field for field in self.fields.values() if field.kind not in COUNTED)
        return next((field for field in shown if field.shape == tuple(shape)), None)

    @cached_property
    def sizes(self) -> Sizes:
        """The sizes that its parts ask for."""
        return Sizes.of(self.fields, latent=self.latent, noise=self.noise)

    def parts(self) -> list[Part]:
        """Every part the recipe uses, in its order."""
        terms = [term.part for phase in self.phases for row in phase.rows for term in row.terms]
        optimizers = [optimizer.part for optimizer in self.train.optimizers.values()]
        listed = [*self.augment, *self.evaluate, *self.watch]
        return [*self.sets.values(), *self.slots.values(), *self.values.values(), *terms, *optimizers, *listed]

    def plain(self) -> dict[str, Any]:
        """Converts to plain data as a recipe writes it, with every default."""
        return {
            **{key.name: getattr(self, key.name) for key in fields(Top)},
            "latent": self.latent if isinstance(self.latent, int) else [*self.latent],
            "data": self.data.plain() if "" in self.sets else {key: part.plain() for key, part in self.sets.items()},
            "augment": {part.label: part.plain() for part in self.augment},
            "slots": {label: _slot(label, part) for label, part in self.slots.items()},
            "values": {name: part.plain() for name, part in self.values.items()},
            "phases": [phase.plain() for phase in self.phases],
            **({"after": dict(self.after)} if self.after else {}),
            "outputs": dict(self.outputs),
            "train": self.train.plain(),
            "evaluate": {part.label: part.plain() for part in self.evaluate},
            "watch": {part.label: part.plain() for part in self.watch},
        }

    def data_identity(self) -> Any:
        """What its data is, as plain data, less the options that change no result."""
        known = {key: part.identity() for key, part in self.sets.items()}
        return known.get("", known)

    def players(self) -> tuple[str, ...]:
        """Every player of every row, in order of first appearance."""
        return tuple(dict.fromkeys(player for phase in self.phases for row in phase.played for player in row.players))

    def held(self) -> list[str]:
        """The slots that begin with weights and are in no row: they stay, and compute, as those are."""
        playing = set(map(slot_of, self.players()))
        return [label for label, part in self.slots.items() if part.begins and label not in playing]

    def learners(self) -> dict[str, Part]:
        """The terms that own networks that learn, by label."""
        terms = [term for phase in self.phases for row in phase.rows for term in row.terms]
        return {term.label: term.part for term in terms if term.part.learns}


def _slot(label: str, part: Part) -> Any:
    kind = {"kind": part.entry.kind} if label != part.entry.kind else {}
    sizes = {name: size if isinstance(size, int) else [*size] for name, size in part.sizes.items()}
    said = {"of": sizes or part.of, "weights": part.begins}
    return kind | part.plain() | {name: value for name, value in said.items() if value}


def slot_of(player: str) -> str:
    """The slot a player is, or is a part of: ``encoder.trunk`` -> ``encoder``."""
    return player.split(".", 1)[0]
