"""Binds every name a recipe asks for, and checks that every row can move its players."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from zoo.api import KINDS
from zoo.errors import Position, RequestError, a, closest
from zoo.recipe.graph import BUILTINS, HELD, Graph, UnknownNameError
from zoo.recipe.parts import Lack, PartReader
from zoo.recipe.schema import Part, Phase, Row, slot_of
from zoo.recipe.sections import SLIP
from zoo.registry import UnknownName, check_options


@dataclass(frozen=True)
class Demand:
    """Someone who asks for names: a term, an output, a metric.

    Args:
        shown: those of the names that it has from an output, which has been checked itself.
        varied: name -> the names that it is computed anew for other values of.
        written: where the recipe writes a name itself.
        packages: those of the part that asks, and of the recipe that names it.
        optional: whether it is left out where what it asks for is not there.
    """

    who: str
    names: tuple[str, ...]
    position: Position
    shown: tuple[str, ...] = ()
    varied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    written: Mapping[str, Position] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    optional: bool = False

    @classmethod
    def of(cls, part: Part, who: str) -> Demand:
        """The demand of a part."""
        written = {part.wiring[need]: place for need, place in part.bound.items()}
        asked = tuple(part.arguments.values())
        packages = (part.entry.distribution, part.home)
        return cls(who, asked, part.position, written=written, packages=packages, optional=part.optional)


def connect(
    reader: PartReader,
    fields: tuple[str, ...],
    slots: Mapping[str, Part],
    written: Mapping[str, Part],
    demands: list[Demand],
    phases: Sequence[Phase],
) -> tuple[Graph, dict[str, Part]]:
    """The graph of everything asked for, and the values in it; problems go to ``reader``. ``fields`` are the data's.

    Values come from the recipe's own ``values`` first, then from the registry, by name. A slot or value that
    is wrong has been reported; its name is known all the same, so that no more is said of it.
    """
    demands = [*(Demand.of(part, f"value '{label}'") for label, part in written.items()), *demands]
    known = dict.fromkeys([*slots, *reader.mapping(("slots",))])
    wrong: dict[str, dict[str, str]] = {name: {} for name in reader.mapping(("values",)) if name not in written}
    if not known:
        return Graph((), {}, fields), {}
    known |= dict.fromkeys(_learners(reader, slots, phases))
    provided = {*fields, *BUILTINS}
    values, absent = _asked_for(reader, written, demands, {*known, *written, *wrong, *provided})
    graph = Graph(tuple(known), {name: part.arguments for name, part in values.items()} | wrong, fields)
    unmet = [demand for demand in demands if not _check(reader, graph, demand, absent)]
    reader.left_out.update(demand.who for demand in unmet if demand.optional)
    if all(demand.optional for demand in unmet) and not wrong:
        for row in (row for phase in phases for row in phase.played if row.position not in reader.incomplete):
            _check_row(reader, graph, row)
        _refuse_slips(reader, graph, written)
    return graph, values


def _asked_for(
    reader: PartReader, written: Mapping[str, Part], demands: Iterable[Demand], taken: Collection[str]
) -> tuple[dict[str, Part], dict[str, str]]:
    """The values, written and asked for, and those that nobody gives, with the reason; names that are ``taken`` are
    none of theirs.
    """
    values, absent = dict(written), dict[str, str]()
    asking = [
        (name, demand, demand.packages[:: -1 if name in demand.written else 1])  # a bound name is the recipe's
        for demand in demands
        for name in demand.names
    ]
    asked = set[tuple[str, ...]]()
    while asking:
        name, demand, packages = asking.pop()
        base = name.removesuffix(HELD)
        if {name, base} & {*taken, *absent} or (base, *packages) in asked:
            continue
        asked.add((base, *packages))
        try:
            entry = reader.registry.within(*packages).find("value", base)
            defaults, missing = check_options(entry.signature, {})
        except RequestError as error:
            known_elsewhere = not isinstance(error, UnknownName) or reader.registry.catalogue.providers("value", base)
            absent[base] = str(error) if known_elsewhere else ""
            continue
        if base in values and values[base].entry.id != entry.id:
            ids = " or ".join(sorted(f"'values: {{{base}: {part}}}'" for part in (values[base].entry.id, entry.id)))
            reader.note(demand.position, f"{demand.who}: '{base}' is two packages' own; say which is meant: {ids}")
            absent[base] = ""
        elif base not in values and not missing:
            values[base] = Part(base, entry, defaults, Position("registry"))
            inside = (entry.distribution, *demand.packages[1:])
            asking += [(need, demand, inside) for need in values[base].arguments.values()]
    return values, absent


def _refuse_slips(reader: PartReader, graph: Graph, written: Mapping[str, Part]) -> None:
    """Refuses a value that nothing asks for and whose name is nearly that of another that the recipe does not write."""
    others = [name for name in graph.arguments if name not in written]
    for label, part in written.items():
        if not graph.asked(label) and (meant := closest(label, others, SLIP)):
            reader.note(part.position, f"nothing asks for a value '{label}'; did you mean '{meant}'?")


def _learners(reader: PartReader, slots: Mapping[str, Part], phases: Iterable[Phase]) -> dict[str, Part]:
    """Terms that own networks that learn, by label: each label is the name of one player."""
    learners: dict[str, Part] = {}
    terms = [term.part for phase in phases for row in phase.rows for term in row.terms if term.part.learns]
    for part in terms:
        first = learners.setdefault(part.label, part)
        if part.label in slots:
            taken = "a slot has that name"
        elif replace(first, position=part.position) != part:
            taken = f"another term of that name, line {first.position.line}, has its own"
        else:
            continue
        cure = f"call it something else: 'other: {{use: {part.entry.name}, ...}}'"
        reader.note(part.position, f"term '{part.label}' owns networks that learn, and {taken}; {cure}")
    return learners


def _check(reader: PartReader, graph: Graph, demand: Demand, absent: Mapping[str, str]) -> bool:
    """Notes what a demand asks for in vain; ``absent`` are values that the registry does not give, and why."""
    if not all(map(graph.known, demand.shown)):
        return False  # said of the output already
    try:
        graph.verify(demand.names)
    except UnknownNameError as error:
        written = demand.written.get(error.name)
        if demand.optional and not written:
            return False
        message = f"{demand.who}: {absent.get(error.name) or error}"
        if cure := _cure(reader, demand, error.name):
            message = f"{message.partition('; ')[0]}; {cure}"
        reader.lacks(error.name, Lack(written or demand.position, demand.who, message, written is not None))
        return False
    idle = [(name, of) for name, others in demand.varied.items() for of in others if not graph.depends(name, of)]
    for name, of in () if demand.optional else idle:
        message = f"{demand.who} computes '{name}' for other values of '{of}', on which it does not depend here"
        reader.note(demand.position, message)
    return not idle


def _cure(reader: PartReader, demand: Demand, name: str) -> str:
    """The cure where a name is a field that an option of the data, or other data, bring; or the kind of a slot that a
    metric asks for.
    """
    if option := closest(name, reader.offered, SLIP):
        return reader.offered[option]
    if demand.who.startswith("metric ") and name in KINDS:
        return f"leave the metric out ('zoo list metric' has others), or give it {a(name)}"
    sets = {entry.name: entry.part.fields for entry in reader.registry.components("data")}
    having = {one: fields[name].kind for one, fields in sets.items() if not isinstance(fields, str) and name in fields}
    like = [field.name for field in reader.fields.values() if field.kind in having.values() and field.name != "x"]
    others = f"data {', '.join(having)} have it (docs/data.md)"
    binding = f"bind it to a field of this data, 'with: {{{name}: {' or '.join(like)}}}'; or: " if like else ""
    return f"{binding}{others}" if having else ""


def _check_row(reader: PartReader, graph: Graph, row: Row) -> None:
    """A row that cannot reach its player is an error, and so is a term that reaches none; torch is silent there."""
    reached = {t.label: frozenset().union(*map(graph.reaches, t.part.arguments.values())) for t in row.terms}
    routes = [f"'{label}' reaches {', '.join(sorted(slots)) or 'no slot'}" for label, slots in reached.items()]
    for player in row.players:
        if not any(slot_of(player) in slots for slots in reached.values()):
            message = f"'{player}' learns nothing in row '{row.label}': no term of it reaches '{player}'"
            reader.note(row.position, f"{message} ({'; '.join(routes)})")
            return
    for term, said in zip(row.terms, routes, strict=True):
        if not reached[term.label] & row.slots:
            reader.note(term.part.position, f"{said}, and moves nothing in row '{row.label}'; remove it, or move it")
