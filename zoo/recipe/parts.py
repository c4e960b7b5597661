"""Reads the pieces that every section is made of: parts with options, weights, schedules."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import MISSING, dataclass, fields
from functools import cache
from pathlib import PurePath
from typing import Any, get_args, get_type_hints

from zoo.api import Scheduled
from zoo.errors import Position, Problem, RecipeError, RequestError, a, closest, did_you_mean
from zoo.recipe.data_fields import DataField
from zoo.recipe.schedule import SPELT, Piece, Schedule
from zoo.recipe.schema import Part
from zoo.recipe.sections import MINIMA, SIGNED, Training
from zoo.recipe.yaml.read import MAX_PROBLEMS, Node
from zoo.registry import REQUIRED, Entry, Option, Registry, Signature, check_options
from zoo.registry.option_types import shown, type_text
from zoo.registry.signature import split

Path = tuple[str | int, ...]
Nodes = Mapping[str, Node]
LONGEST_NAME = 200
"""Characters of the longest name that a component may have."""

WRONG = object()
"""In place of what cannot be read, once that is said."""

ON_OFF = {"on": 1.0, "off": 0.0}
PIECE = "{from: A, to: B, steps: N}"


@cache
def read_section(name: str) -> Signature:
    """The signature of a recipe's section, its keys as a recipe spells them."""
    section = SIGNED[name]
    text, docs = split(section.__doc__ or "")
    types = get_type_hints(section, include_extras=True)
    options = []
    for key in fields(section):
        default = REQUIRED if key.default is MISSING else key.default
        name, kind = SPELT.get(key.name, key.name), types[key.name]
        options.append(Option(name, kind, type_text(kind), default, docs[key.name]))
    return Signature((), tuple(options), text, file="", line=0)


def _below(value: Any, low: float) -> bool:
    """Whether a number, or one of several, is too small; none at all are."""
    if isinstance(value, list):
        return not value or any(_below(each, low) for each in value)
    return isinstance(value, int | float) and value < low


@dataclass(frozen=True)
class Lack:
    """Someone who asks for what is not there; ``written`` where the recipe has the name at that position."""

    position: Position
    who: str
    message: str
    written: bool


WORDS = {
    **dict.fromkeys(
        ("iterations", "max_steps"), "a training's length is train.steps, each of train.batch images, or train.epochs"
    ),
    **dict.fromkeys(("learning_rate", "lr"), "it is 'lr' of the optimizer: 'train: {optimizer: {lr: 0.0002}}'"),
    **dict.fromkeys(("batch_size", "batchsize"), "it is train.batch"),
    **dict.fromkeys(("device", "gpu", "gpus"), "where it runs is no part of a recipe: zoo build RECIPE --device cuda"),
}
"""What others call a setting -> where it is here."""


class PartReader:
    """Reads parts of one recipe. Problems are collected; a part that is wrong is left out.

    Its ``fields`` are the data's, none where the data is wrong.
    """

    fields: Mapping[str, DataField] = {}

    def __init__(self, root: Node, registry: Registry) -> None:
        self.root = root
        self.registry = registry
        self.problems: list[Problem] = []
        self.incomplete: set[Position] = set()  # rows of which something is wrong already
        self.left_out: set[str] = set()  # what may be absent and is, for what it asks for is not there
        self.lacking: dict[str, list[Lack]] = {}
        self.offered: dict[str, str] = {}  # options by which the data may bring other fields -> what to write
        self._homes: dict[str, str] = {}

    def written(self, path: Path) -> Node | None:
        """The node at a path of the recipe; None where nothing, or null, is written there."""
        node = self.root.get(path)
        return None if node is None or node.value is None else node

    def error(self, path: Path, message: str) -> None:
        """Notes a problem at a path of the recipe."""
        self.note(self.root.at(path), message)

    def note(self, position: Position, message: str) -> None:
        """Notes a problem; raises all of them where there are so many that nobody would read on."""
        self.problems.append(Problem(position, message))
        if len(self.problems) >= MAX_PROBLEMS:
            raise RecipeError(self.problems)

    def lacks(self, name: str, lack: Lack) -> None:
        """Notes that someone asks for a slot or value that is not there."""
        self.lacking.setdefault(name, []).append(lack)
        if len(self.lacking) >= MAX_PROBLEMS:
            self.report_lacking()

    def report_lacking(self) -> None:
        """One problem for each name that is not there, however many ask for it.

        It is told where the name is removed, else at each place that writes it, else at the first that needs it.
        """
        for name, lacks in self.lacking.items():
            removed = self._removed(name)
            written = [lack for lack in lacks if lack.written]
            if removed:
                asking = [f"{lack.who} ({lack.position})" for lack in lacks[:3]]
                asking += [f"{len(lacks) - 3} more"] if len(lacks) > 3 else []
                what = f"'{name}' is removed here, and still asked for by {' and '.join(asking)}"
                self.note(removed, f"{what}; remove or replace those too")
            elif written:
                for lack in written:
                    self.note(lack.position, lack.message)
            else:
                more = f" (needed by {len(lacks) - 1} more)" if len(lacks) > 1 else ""
                self.note(lacks[0].position, f"{lacks[0].message}{more}")

    def _removed(self, name: str) -> Position | None:
        """Finds where null removed a slot, value or output of the recipe that this one extends."""
        sections = [node for key in ("slots", "values", "outputs") if (node := self.root.get((key,)))]
        return next((s.keys[name] for s in sections if name in s.keys and s.child(name) is None), None)

    def part(
        self, path: Path, kind: str, label: str, reserved: Iterable[str] = (), node: Node | None = None, name: str = ""
    ) -> Part | None:
        """A component with its options: ``NAME`` or ``{use: NAME, with: {...}, option: value}``.

        One that does not say which is that of a ``name``, else of its label; ``reserved`` are keys of the caller's own.
        """
        node = node or self.root.get(path) or Node({}, self.root.at(path))
        spec = {"use": node} if isinstance(node.value, str) else {} if node.value is None else node.value
        if not isinstance(spec, dict):
            wrong = f"'{path[-1]}' must name one: NAME or {{use: NAME, ...}}, not {shown(node.plain())}"
            others = [str(key) for key in self.mapping(path[:-1]) if key != path[-1]] if path[:-1] == ("data",) else []
            places = ", ".join(f"data.{key}.{path[-1]}" for key in others)
            self.error(path, f"{wrong}; here are sets of data, each with its own: {places}" if others else wrong)
            return None
        use = spec["use"].value if "use" in spec else name or label
        if not isinstance(use, str) or len(use) > LONGEST_NAME:
            self.error((*path, "use"), f"'use' must be the name of {a(kind)}, not {shown(spec['use'].plain())}")
            return None
        home = self.home(spec["use"].position.file if "use" in spec else self._origin(path))
        try:
            entry = self.registry.within(home).find(kind, use)
            by = entry.part.by
            chosen = spec[by].plain() if by and by in spec else None
            entry = entry.variant(chosen)
            signature = entry.signature  # which raises where the target is not what it should be
        except RequestError as error:
            place, said = (spec[key].position if key in spec else self.root.at(path) for key in ("use", "kind"))
            # a slot's kind, where that is laid over a base's use
            self.note(said if "kind" in spec and said.file != place.file else place, str(error))
            return None
        if chosen is not None and str(chosen) not in entry.part.variants:
            hint = did_you_mean(str(chosen), entry.part.variants)
            self.error((*path, by), f"{kind} '{entry.name}' has no {by} {shown(chosen)}{hint}")
            return None
        beside = ("use", "with", *reserved)
        options = {key: node for key, node in spec.items() if key not in beside}
        checked = self.options(path, options, signature, f"{kind} '{entry.name}'", beside, kind)
        wiring = self._bindings((*path, "with"), spec.get("with"), entry)
        bound = {need: self.root.at((*path, "with", need)) for need in wiring}
        return Part(label, entry, checked, self.root.at(path), wiring, bound=bound, home=home)

    def _origin(self, path: Path) -> str:
        """The file that first has what stands at a path: an override of its weight does not change whose it is."""
        above = self.root.get(path[:-1])
        return above.origin(str(path[-1])) if above and path[-1] in above.keys else self.root.at(path).file

    def home(self, file: str) -> str:
        """The package that ships a file of this recipe; empty for the user's own."""
        if file not in self._homes:
            self._homes[file] = self.registry.owner(PurePath(file))
        return self._homes[file]

    def _bindings(self, path: Path, node: Node | None, entry: Entry) -> dict[str, str]:
        """``with: {parameter: name}``: parameters bound to other slots or values than their namesakes."""
        needs, bound = entry.signature.bindable, dict[str, str]()
        entries = node.value if node else {}
        if not isinstance(entries, dict):
            what = "'with' binds parameters to slots or values, {parameter: name}"
            self.error(path, f"{what}, not {shown(node and node.plain())}")
            return bound
        for need, name in entries.items():
            if need not in needs:
                hint = did_you_mean(need, needs)
                self.error((*path, need), f"{entry.kind} '{entry.name}' asks for no '{need}'{hint}")
            elif not isinstance(name.value, str):
                self.error((*path, need), f"'{need}' must be bound to a slot or value, not {shown(name.plain())}")
            else:
                bound[need] = name.value
        return bound

    def options(
        self, path: Path, given: Nodes, signature: Signature, what: str, beside: Iterable[str], kind: str = ""
    ) -> dict[str, Any]:
        """Options complete with their defaults, of a section or a part of a ``kind``; notes what is wrong with them.

        ``what`` has them, for a sentence; keys that may stand ``beside`` them are for did-you-mean.
        """
        names = [option.name for option in signature.options]
        for key in (key for key in given if key not in names):
            cure = self._elsewhere(path, key, kind) or did_you_mean(key, [*names, *beside])
            self.error((*path, key), f"{what} has no option '{key}'{cure}")
        known = [(o.name, given[o.name], o.type) for o in signature.options if o.name in given]
        written = {name: self._written((*path, name), n, of, f"{what} option '{name}") for name, n, of in known}
        checked, problems = check_options(signature, {k: value for k, value in written.items() if value is not WRONG})
        for problem in problems:
            self.error((*path, *problem.path), f"{what} {problem.message}")
        return dict(checked)

    def _written(self, path: Path, node: Node, kind: Any, what: str) -> Any:
        """An option as plain data, what may change with the step as its schedule; ``WRONG`` where that is none."""
        if kind == Scheduled:
            schedule = self.schedule(path, node, f"{what}'")
            return schedule.plain() if schedule else WRONG
        inner = get_args(kind)
        if Scheduled in inner and isinstance(node.value, list) and len(node.value) == len(inner):
            items = [self._written((*path, n), node.value[n], of, f"{what}[{n}]") for n, of in enumerate(inner)]
            return WRONG if WRONG in items else items
        return node.plain()

    def _elsewhere(self, path: Path, key: str, kind: str) -> str:
        """For an option that is not there: the section it belongs to, or the parts of the same kind that have it."""
        if path == () and key in ("optimizer", "optimizers", *(field.name for field in fields(Training))):
            return "; write it under 'train'"
        if path == () and key in ("size", "channels"):
            return "; write it under 'data'"
        if path in ((), ("train",)) and self._having("optimizer", key):
            return "; write it under 'train', in 'optimizer'"
        if kind in ("", "optimizer") and key in WORDS:
            return f"; {WORDS[key]}"
        if kind == "term" and key in ("start", "end", "from", "to"):
            return "; a weight that changes is {from: 0, to: 1, steps: 1000}"
        having = self._having(kind, key)
        return f"; {kind} {' or '.join(map(repr, having))} has it" if having else ""

    def _having(self, kind: str, key: str) -> list[str]:
        """The parts of a kind that have an option of that name; those that cannot be read have none."""
        names = []
        for entry in self.registry.components(kind):
            with suppress(RequestError):
                names += [entry.name for option in entry.signature.options if option.name == key]
        return names

    def section(self, path: Path, given: Nodes, name: str, what: str, beside: Iterable[str] = ()) -> dict[str, Any]:
        """The keys of a section (``zoo.recipe.sections``), with their smallest values enforced."""
        signature = read_section(name)
        defaults = {option.name: option.default for option in signature.options if option.default is not REQUIRED}
        checked = defaults | self.options(path, given, signature, what, beside)
        for key, value in checked.items():
            low = MINIMA.get(key)
            if key in given and low is not None and _below(value, low):
                self.error((*path, key), f"'{key}' must be at least {low}, not {shown(value)}")
        return checked

    def mapping(self, path: Path) -> dict[str, Node]:
        """The entries at a path; none when nothing is written there."""
        if not (node := self.written(path)):
            return {}
        if not isinstance(node.value, dict):
            self.error(path, f"'{'.'.join(map(str, path))}' must be a mapping, not {shown(node.plain())}")
            return {}
        return node.value

    def schedule(self, path: Path, node: Node, what: str, switch: bool = False) -> Schedule | None:
        """A number, ``{from, to, steps, start, shape}``, or a list of such pieces; a ``switch`` is also on or off."""
        written = value = node.value
        if isinstance(written, dict):
            return self._pieces([(path, node)], what)
        if isinstance(written, list) and written:
            return self._pieces([((*path, number), piece) for number, piece in enumerate(written)], what)
        if switch and isinstance(written, bool | str):
            value = float(written) if isinstance(written, bool) else ON_OFF.get(written, written)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
            return Schedule.of(float(value))
        choices = f"a number{', on, off' if switch else ''} or {PIECE}"
        hint = " (text)" if switch and isinstance(written, str) else ""
        if hint and closest(written, ON_OFF):
            hint = did_you_mean(written, ON_OFF)
        self.error(path, f"{what} must be {choices}, not {shown(node.plain())}{hint}")
        return None

    def _pieces(self, written: list[tuple[Path, Node]], what: str) -> Schedule | None:
        """Pieces, each of which begins where the one before ended; what is wrong is told of the first such."""
        pieces: list[Piece] = []
        for number, (path, node) in enumerate(written, 1):
            piece = self._piece(path, node, what, pieces[-1] if pieces else None, last=number == len(written))
            if piece is None:
                return None
            pieces.append(piece)
        return Schedule(tuple(pieces))

    def _piece(self, path: Path, node: Node, what: str, before: Piece | None, last: bool) -> Piece | None:
        problems, written = len(self.problems), node.value
        if not isinstance(written, dict):
            self.error(path, f"a piece of {what} must be {PIECE}, not {shown(node.plain())}")
            return None
        goes_on = {"from": Node(before.last, node.position)} if before else {}
        options = self.section(path, goes_on | written, "schedule", what)
        if len(self.problems) > problems:
            return None
        first, final, earliest = options["from"], options["to"], before.end if before else 0
        if 0 < options["start"] < earliest:
            self.error((*path, "start"), f"{what}: the piece before ends at step {earliest}; begin no earlier")
        if not (last or options["steps"]):
            self.error(path, f"{what}: only the last piece may leave its 'steps' out: the rest of the training")
        if options["shape"] == "exponential" and first * final <= 0:
            self.error(path, f"{what}: an exponential change needs two numbers of one sign, neither 0")
        start, whole = options["start"] or earliest, self._whole()
        length = options["steps"] or (max(whole - start, 1) if whole else 0)
        return Piece(first, final, length, start, options["shape"]) if len(self.problems) == problems else None

    def _whole(self) -> int:
        """Steps of the training; 0 where it is so many epochs of data that nobody has seen yet."""
        steps, epochs = (self.root.get(("train", key)) for key in ("steps", "epochs"))
        if epochs and epochs.value:
            return 0
        return steps.value if steps and isinstance(steps.value, int) else Training.steps
