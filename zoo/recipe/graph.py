"""The graph of a recipe: values ask for slots and values by name; this finds the order and the routes.

It is pure Python: what a row reaches, what needs no gradient and what must be computed at all is known
before torch is imported. ``check``, ``explain`` and the engine all read this one graph.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from zoo.api import KINDS
from zoo.errors import did_you_mean

COUNTS = ("step", "epoch", "images_seen", "train_size")
"""Whole numbers of a training: steps done, passes over its images done, images that the steps took, images it has."""

BUILTINS = ("batch", "draw", *COUNTS, "sizes")
"""Names that the engine provides beside the data's fields: how many items, random numbers, counts, the sizes."""

HELD = "_held"
"""``NAME_held`` is the value NAME with its gradient stopped (detached)."""

LONGEST_ROUTE = 8
"""Names of a route that an error shows in full."""

Terms = Iterable[tuple[str, Mapping[str, str]]]
"""Each term's key and its arguments."""


class UnknownNameError(LookupError):
    """A parameter names neither a slot nor a value; or values ask for each other in a circle.

    ``name`` is that name; for a circle, a text that is the same wherever it is entered.
    """

    def __init__(self, message: str, name: str) -> None:
        super().__init__(message)
        self.name = name


@dataclass(frozen=True)
class Graph:
    """Slots by name, and for each value the slot, value or builtin that each of its parameters asks for.

    Every value that a recipe can need is in ``arguments``; those it does not need are never computed. ``fields`` are
    the data's, which the engine provides beside ``BUILTINS``.
    """

    slots: tuple[str, ...]
    arguments: Mapping[str, Mapping[str, str]]
    fields: tuple[str, ...] = ("x",)
    _verified: dict[str, None] = field(default_factory=dict, init=False, repr=False, compare=False)
    _broken: dict[str, UnknownNameError] = field(default_factory=dict, init=False, repr=False, compare=False)
    _reached: dict[str, frozenset[str]] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def provided(self) -> tuple[str, ...]:
        """Names that the engine provides."""
        return (*self.fields, *BUILTINS)

    def stops(self, name: str) -> bool:
        """Tells whether a name is a held value: no gradient flows through it."""
        return name.endswith(HELD) and name not in self.arguments

    def needs(self, name: str) -> tuple[str, ...]:
        """The names that ``name`` asks for directly; a held value asks for the value it holds."""
        held = (name.removesuffix(HELD),) if self.stops(name) else ()
        return held or tuple(self.arguments.get(name, {}).values())

    def order(self, targets: Iterable[str]) -> tuple[str, ...]:
        """Every name that ``targets`` need, each after what it needs; else an UnknownNameError that tells the route."""
        done: dict[str, None] = {}
        for target in targets:
            self._visit(target, done, {})
        return tuple(done)

    def verify(self, targets: Iterable[str]) -> None:
        """Raises as ``order`` would. No name is visited twice, however often this is called.

        The route that the exception tells is that of the first to fail for the same reason.
        """
        for target in targets:
            self._visit(target, self._verified, self._broken)

    def asked(self, name: str) -> bool:
        """Tells whether anything that was verified needs a name."""
        return name in self._verified

    def _visit(self, target: str, done: dict[str, None], broken: dict[str, UnknownNameError]) -> None:
        """Adds ``target`` to ``done``, after all that it needs; else raises, and all on the way are ``broken``."""
        route: dict[str, Iterator[str]] = {}  # from the target down: name -> its needs that are still to be visited
        name: str | None = target
        while name is not None:
            if name not in done:
                if error := self._fault(route, name, broken):
                    broken.update(dict.fromkeys(route, error))
                    raise error
                route[name] = iter(self.needs(name))
            name = None
            while route and name is None:
                last = next(reversed(route))
                name = next(route[last], None)
                if name is None:
                    done[last] = None
                    del route[last]

    def _fault(
        self, route: Collection[str], name: str, broken: Mapping[str, UnknownNameError]
    ) -> UnknownNameError | None:
        """Finds what is wrong with ``name`` at the end of a route."""
        if name in broken:
            return UnknownNameError(str(broken[name]), broken[name].name)
        if name not in route and self.known(name):
            return None
        way = list(route)
        if name in route:
            members = f"circle {' '.join(sorted(way[way.index(name) :]))}"
            return UnknownNameError(f"values ask for each other in a circle: {_arrows([*way, name])}", members)
        asked = f"{_arrows(way)} asks for '{name}'" if way else f"'{name}' is asked for"
        hint = did_you_mean(name, [*self.slots, *self.arguments, *self.provided])
        if name in KINDS:
            hint = f"; give it a slot: 'slots: {{{name}: ...}}' ('zoo list {name}' has the choices)"
        return UnknownNameError(f"{asked}, which is neither a slot of this recipe nor a value{hint}", name)

    def known(self, name: str) -> bool:
        """Tells whether a name is a slot, a value, a builtin, or a value or builtin held (a slot cannot be)."""
        base = name.removesuffix(HELD)
        return name in self.slots or any(n in self.arguments or n in self.provided for n in (name, base))

    def reaches(self, name: str) -> frozenset[str]:
        """The slots that a gradient of ``name`` arrives at."""
        if name not in self._reached:
            for visited in self.order([name]):  # each after its needs
                itself = frozenset({visited} if visited in self.slots else ())
                needs = () if self.stops(visited) else self.needs(visited)
                self._reached[visited] = itself.union(*(self._reached[need] for need in needs))
        return self._reached[name]

    def depends(self, name: str, on: str) -> bool:
        """Tells whether computing ``name`` needs ``on`` (held or not)."""
        return on in self.order([name])


@dataclass(frozen=True)
class Call:
    """One value or term as a phase computes it.

    Args:
        recorded: whether autograd records it: some row's gradient flows through it to a player.
        learning: those of the slots it calls directly that learn from this call. The others it only passes through:
            they take no gradient from it, and their statistics do not move.
    """

    name: str
    recorded: bool
    learning: frozenset[str]


def _arrows(names: list[str]) -> str:
    """A route, its middle left out where it is long."""
    shown = names if len(names) <= LONGEST_ROUTE else [*names[:3], "...", *names[-3:]]
    return " -> ".join(shown)


def plan_calls(graph: Graph, rows: Iterable[tuple[frozenset[str], Terms]]) -> dict[str, Call]:
    """Plans each value and term of a phase; of each row the slots that learn, and its terms: key and arguments."""
    named = [(slots, dict(terms)) for slots, terms in rows]
    terms = {key: arguments for _, row in named for key, arguments in row.items()}
    whole = replace(graph, arguments={**graph.arguments, **terms})
    learning: dict[str, set[str]] = {name: set() for name in whole.order(terms)}
    recorded: set[str] = set()
    for slots, row in named:
        for name in _gradient_ancestors(whole, row):
            if whole.reaches(name) & slots:
                recorded.add(name)
                learning[name] |= slots.intersection(whole.needs(name))
    return {
        name: Call(name, name in recorded, frozenset(learned))
        for name, learned in learning.items()
        if name not in whole.slots and name not in whole.provided
    }


def _gradient_ancestors(graph: Graph, names: Iterable[str]) -> set[str]:
    """Values that a gradient from ``names`` flows through (a held value stops it)."""
    ancestors: set[str] = set()
    stack = list(names)
    while stack:
        name = stack.pop()
        if name not in ancestors and name not in graph.slots and not graph.stops(name):
            ancestors.add(name)
            stack.extend(graph.needs(name))
    return ancestors


def route(graph: Graph, players: frozenset[str], terms: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Finds what a row does to each slot: it ``learns``; or ``passes``, where the gradient flows through it to a player
    and it takes none; or ``stops``, where the terms depend on it and no gradient is asked for. Others are left out.
    """
    asked = [tuple(arguments.values()) for arguments in terms]
    wanted = [name for names in asked for name in names]
    does = dict.fromkeys(frozenset().union(*map(graph.reaches, wanted)), "stops")
    for needs in (*asked, *map(graph.needs, _gradient_ancestors(graph, wanted))):
        for slot in set(needs).intersection(graph.slots):
            if any(graph.reaches(need) & players for need in needs if need != slot):
                does[slot] = "passes"
    return does | dict.fromkeys(players & does.keys(), "learns")
