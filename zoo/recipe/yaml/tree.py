"""Operations on recipes as trees: lay one over another, and set one value from the command line.

Nothing is changed in place; every node of a result keeps the place it came from.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import NoReturn

from zoo.errors import Position, Problem, RecipeError, did_you_mean
from zoo.recipe.sections import Timing
from zoo.recipe.yaml.node import Node, Path
from zoo.recipe.yaml.read import MAX_DEPTH, read_value
from zoo.registry.option_types import shown

_NAMED = {("slots",), ("values",), ("augment",), ("evaluate",), ("watch",), ("train", "optimizers")}
"""Paths of the mappings whose every entry is a component."""


LENGTHS = ("steps", "epochs")
"""Keys of ``train`` of which each takes the place of the other."""

BESIDE_ROWS = ("rows", *(timing.name for timing in fields(Timing)))
"""Keys of a phase that are no rows."""


def is_component(path: Path) -> bool:
    """Tells whether a component's name may stand at a path, so that ``NAME`` means ``{use: NAME}``."""
    return path in (("data",), ("train", "optimizer")) or path[:-1] in _NAMED


def merge(base: Node, over: Node, path: Path = ()) -> Node:
    """``over`` laid over ``base``, both at ``path`` of a recipe. Places follow ``over`` wherever it says something.

    Mappings merge key by key: the base's order, then new keys. Everything else is replaced, and so is a mapping that
    uses another component, as the base's options would make no sense. Null removes the base's entry and keeps its place
    (it stays null where the base has none, so that a mistyped key is still noticed).
    """
    if base.value and over.value and is_component(path):
        base, over = _spelled_out(base, over), _spelled_out(over, base)
    if not isinstance(base.value, dict) or not isinstance(over.value, dict) or _uses_another(base, over, path):
        return over
    entries, keys = dict(base.value), base.keys | over.keys
    for key, node in over.value.items():
        under = entries.get(key)
        if under is not None and node.value is None:
            del entries[key]
        else:
            entries[key] = node if under is None else merge(under, node, (*path, key))
    for said, other in (LENGTHS, LENGTHS[::-1]) if path == ("train",) else ():
        if over.child(said) and not over.child(other):
            entries.pop(other, None)
    return Node(entries, over.position, keys, over.first | {key: base.origin(key) for key in base.keys})


def _spelled_out(node: Node, beside: Node) -> Node:
    """``{use: name}`` for a name that meets a mapping."""
    if isinstance(node.value, str) and isinstance(beside.value, dict):
        return Node({"use": node}, node.position, {"use": node.position})
    return node


def _uses_another(base: Node, over: Node, path: Path) -> bool:
    chosen, present = over.child("use"), base.child("use")
    if chosen is None or chosen.value is None:  # sets of data, each for a field, in the place of one
        return path == ("data",) and present is not None and any(node.child("use") for node in over.value.values())
    return present is None or present.plain() != chosen.plain()


def assign(root: Node, path_text: str, value_text: str, *, source: str | None = None) -> Node:
    """``root`` with one value set, as if a recipe with that value alone were laid over it.

    A path is keys and list indices with dots between, such as ``phases.0.generator.entropy``; a key that has dots of
    its own is recognised if it exists, and ``a+b`` is the row ``a + b``. The value is read as in a recipe. Other data
    (``data.use``) keeps the size and the channels that are set, and no row is added to a phase. A
    RecipeError at ``source`` (``--set path=value`` when None) refuses a path through a scalar or to an index that is
    not there.
    """
    value = read_value(value_text, Position(source or f"--set {path_text}={value_text}"))
    return _Assignment(value, value.position).into(root, path_text, ())


@dataclass(frozen=True)
class _Assignment:
    value: Node
    place: Position

    def into(self, node: Node | None, rest: str, path: Path) -> Node:
        """``node``, at ``path``, with the value at ``rest`` below it."""
        if len(path) >= MAX_DEPTH:
            self.refuse(f"a path has at most {MAX_DEPTH} parts")
        if node is None or node.value is None:
            node = Node({}, self.place)
        if is_component(path):
            node = _spelled_out(node, Node({}, self.place))
        if isinstance(node.value, list):
            return self._into_list(node, node.value, rest, path)
        if not isinstance(node.value, dict):
            whole = f"set the whole of it: {_dotted(path)}={{...}}"
            self.refuse(f"'{_dotted(path)}' is {node.kind}, {shown(node.value)}, and has no '{rest}'; {whole}")
        key, below = _split(rest, list(node.value))
        if not key:
            self.refuse("a part of the path is empty; write it as a.b.c")
        if path[:1] == ("phases",) and key not in node.value and key not in BESIDE_ROWS:
            self._refuse_row(key, below, node, path)
        if below is None:
            laid = {key: self.value}
            if (path, key) == (("data",), "use"):  # what the networks are made for
                laid = {name: node.value[name] for name in ("size", "channels") if name in node.value} | laid
            places = {name: node.keys.get(name, self.place) for name in laid}
            return merge(node, Node(laid, node.position, places | {key: self.place}), path)
        inner = self.into(node.child(key), below, (*path, key))
        return Node({**node.value, key: inner}, node.position, {key: self.place, **node.keys}, node.first)

    def _refuse_row(self, key: str, below: str | None, phase: Node, path: Path) -> None:
        """Refuses a row that a phase does not have: by an override its players would be trained twice."""
        named = phase.child("rows")
        rows, inside = (named, ("rows",)) if named else (phase, ())
        if len(path) != 2 + (path[-1] == "rows") or not isinstance(rows.value, dict):
            return
        spelt = {label.replace(" + ", "+"): set(label.split(" + ")) for label in rows.value}
        meant = next((row for row, players in spelt.items() if players & set(key.split("+"))), "")
        rest = f".{below}" if below else ""
        hint = f"; did you mean '{_dotted((*path, *inside, meant))}{rest}'?" if meant else did_you_mean(key, spelt)
        self.refuse(f"'{_dotted(path)}' has no row '{key}', and an override adds none{hint}")

    def _into_list(self, node: Node, items: list[Node], rest: str, path: Path) -> Node:
        """The whole list with one element replaced: lists do not merge. One of parts is named, too: a mapping then."""
        parts: dict[str, Node] = {}
        if is_component((*path, "")):  # by label, if they have one each
            labelled = [(item, label_of(item)) for item in items]
            parts = {found[0]: item.get(found[1]) or item for item, found in labelled if found}
            parts = parts if len(parts) == len(items) else {}
        text, below = _split(rest, list(parts))
        if text in parts:
            parts[text] = self.value if below is None else self.into(parts[text], below, (*path, text))
            kept = {label: part for label, part in parts.items() if part.value is not None}
            return Node(kept, node.position, {label: part.position for label, part in kept.items()})
        index = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else len(items)
        if index >= len(items):
            self.refuse(_no_such_index(text, items, path, list(parts)))
        element = self.value if below is None else self.into(items[index], below, (*path, index))
        return Node([*items[:index], element, *items[index + 1 :]], node.position)

    def refuse(self, message: str) -> NoReturn:
        raise RecipeError([Problem(self.place, message)])


def label_of(item: Node) -> tuple[str, Path] | None:
    """The label of a part in a list, and where below it the part is; None for what is no part.

    A part is ``NAME``, ``{use: NAME, ...}`` or ``{LABEL: ...}``.
    """
    use = item.child("use")
    if isinstance(item.value, dict) and len(item.value) == 1 and not use:
        [label] = item.value
        return label, (label,)
    name = use.value if use else item.value
    return (name.rsplit("/", 1)[-1], ()) if isinstance(name, str) else None


def _split(rest: str, keys: list[str]) -> tuple[str, str | None]:
    """The first part of a dotted path and what follows: the longest key it can be, else up to a dot."""
    spellings = {key.replace(" + ", "+"): key for key in keys} | {key: key for key in keys}
    known = [text for text in spellings if text and (rest == text or rest.startswith(f"{text}."))]
    first = max(known, key=len) if known else rest.partition(".")[0]
    return spellings.get(first, first), None if rest == first else rest[len(first) + 1 :]


def _no_such_index(text: str, items: list[Node], path: Path, labels: list[str]) -> str:
    if labels:
        return f"'{_dotted(path)}' has no '{text}'{did_you_mean(text, labels)}"
    choices = [str(index) for index in range(len(items))]
    if not items:
        return f"'{_dotted(path)}' is an empty list; it has no '{text}'"
    guess = did_you_mean(text, choices if len(choices) <= 10 else [f"0 to {len(choices) - 1}"])
    return f"'{_dotted(path)}' is a list of {len(items)}, and '{text}' is not one of its indices{guess}"


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
