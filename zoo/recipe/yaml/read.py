"""Text to a tree that remembers where everything stands.

One pass over the events of libyaml: depth, size and aliases are budgeted as they arrive, so that no
document can exhaust the machine. Scalars are those of YAML 1.2's core schema (``1e-4`` is a number,
``off`` is text); quoted text is always text. ``zoo.recipe.yaml.node`` has the tree, ``write`` the way back.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NoReturn

import yaml

from zoo.errors import Position, Problem, RecipeError, RequestError
from zoo.recipe.yaml.node import Node, Scalar, one_line, plain_scalar
from zoo.recipe.yaml.write import write

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "MAX_PROBLEMS", "Node", "read", "read_option"]
__all__ += ["read_value", "too_large", "write"]

MAX_BYTES = 2**20
MAX_DEPTH = 32
MAX_NODES = 10_000
MAX_PROBLEMS = 100
"""Budgets of one document; nodes are counted with every alias expanded, and reading ends at the last problem."""

MAX_TEXT = 1_000
MAX_KEY = 200
"""Characters of the longest text and of the longest key."""

_CONTROL = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_TAG_LINE = re.compile(r"(?:\A|(?<=[\r\n]))%TAG")  # libyaml takes quadratic time over many of them
_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_SENTENCES = {  # what libyaml says -> what a person can act on
    "mapping values are not allowed in this context": "a ':' is out of place here; check the indentation, "
    "or quote text that contains ': '",
    "found character that cannot start any token": "a value cannot begin with this character; indent with "
    "spaces, and quote text that begins with @, % or `",
    "could not find expected ':'": "expected 'key: value' here; the ':' is missing",
    "did not find expected key": "expected a key here; check the indentation",
    "did not find expected ',' or ']'": "expected ',' or ']' in the list",
    "did not find expected ',' or '}'": "expected ',' or '}' in the mapping",
    "did not find expected '-' indicator": "expected '- ' here, as for the other entries of this list; "
    "check the indentation",
    "did not find expected node content": "expected a value here",
    "did not find expected <document start>": "this does not belong to what stands before it; check brackets "
    "and indentation",
    "found unexpected end of stream": "this quote is never closed",
    "found unknown escape character": "unknown escape after '\\'; write '\\\\' or use single quotes",
    "found undefined tag handle": "tags are not part of a recipe; remove what begins with '!'",
    "found incompatible YAML document": "this version of YAML is unknown; remove the %YAML line",
}


def read(text: str | bytes, file: str) -> Node:
    """The tree of a recipe's YAML, text or UTF-8 with or without a byte order mark; its top level is a mapping.

    A RecipeError has every problem that could be found, each at ``file:line:column``.
    """
    reader = _Reader(text, lambda line, column: Position(file, line, column))
    root = reader.document()
    if root is None or root.value is None:
        reader.stop(Position(file, 1, 1), "the recipe is empty")
    if not isinstance(root.value, dict):
        reader.refuse(root.position, f"a recipe is a mapping of 'key: value' lines, not {root.kind}")
    reader.finish()
    return root


def read_option(text: str) -> tuple[str, Any]:
    """The name and the value of ``--set OPTION=VALUE``; a RequestError where it is none."""
    name, equals, value = text.partition("=")
    if not equals:
        raise RequestError(f"--set {text}: has no '='; write it as OPTION=VALUE, such as pretrained=inception.pth")
    return name.strip(), read_value(value, Position(f"--set {text}")).plain()


def read_value(text: str, place: Position) -> Node:
    """The tree of one value given outside a file: ``32``, ``[0.5, 0.999]``, ``{use: timm}``; of empty text, null.

    ``place`` is the position of every node, and of every problem in a RecipeError.
    """
    reader = _Reader(text, lambda _line, _column: place, flow_only=True)
    root = reader.document() or Node(None, place)
    reader.finish()
    return root


def too_large(size: int) -> str:
    """Says that so many bytes are no recipe."""
    return f"{size:,} bytes of recipe; the limit is {MAX_BYTES:,}"


class _Reader:
    """Builds nodes from events; collects problems and stops at the first that hides the rest."""

    def __init__(self, text: str | bytes, at: Callable[[int, int], Position], flow_only: bool = False) -> None:
        self.at = at
        self.flow_only = flow_only
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node] = {}
        self.nodes = 0
        self.text = self.decoded(text)
        self.parser = _Parser(self.text)

    def place(self, mark: Any) -> Position:
        return self.at(mark.line + 1, mark.column + 1)

    def after(self, before: str) -> Position:
        """The place of what comes after ``before``."""
        lines = re.split("\r\n|\r|\n", before)
        return self.at(len(lines), len(lines[-1]) + 1)

    def refuse(self, position: Position, message: str) -> None:
        self.problems.append(Problem(position, message))
        if len(self.problems) == MAX_PROBLEMS:
            self.finish()

    def stop(self, position: Position, message: str) -> NoReturn:
        raise RecipeError([*self.problems, Problem(position, message)])

    def finish(self) -> None:
        if self.problems:
            raise RecipeError(self.problems)

    def decoded(self, text: str | bytes) -> str:
        """Text that is safe to parse: of bounded size, nothing invisible in it, no byte order mark."""
        data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
        if len(data) > MAX_BYTES:
            self.stop(self.at(1, 1), too_large(len(data)))
        try:
            decoded = (data.decode() if isinstance(text, bytes) else text).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            before = data[: error.start].decode().removeprefix("\ufeff")
            self.stop(self.after(before), f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8")
        for match, _ in zip(_CONTROL.finditer(decoded), range(20), strict=False):
            message = f"control character U+{ord(match[0]):04X}; remove it, or write it as an escape in double quotes"
            self.refuse(self.after(decoded[: match.start()]), message)
        if tag := _TAG_LINE.search(decoded):
            self.refuse(self.after(decoded[: tag.start()]), "tags are not part of a recipe; remove the %TAG line")
        self.finish()
        return decoded

    def next(self) -> Any:
        try:
            return self.parser.get_event()
        except yaml.MarkedYAMLError as error:  # the other kind is of characters, which decoded() refuses
            self.stop(*self._sentence(error))

    def _sentence(self, error: yaml.MarkedYAMLError) -> tuple[Position, str]:
        """Turns libyaml's syntax error into a sentence and the place to show it at."""
        said = str(error.problem)
        message = _SENTENCES.get(said) or f"this is not YAML: {said} {error.context or ''}".rstrip()
        mark: Any = error.problem_mark
        here = self.place(mark)
        if self.text[mark.index : mark.index + 1] == "\t":
            return here, "a tab is no indentation; indent with spaces"
        if not error.context_mark:
            return here, message
        opened = self.place(error.context_mark)
        if said in ("could not find expected ':'", "found unexpected end of stream"):
            return opened, message
        if opened.line != here.line:
            message += f" that begins at line {opened.line}" if "',' or" in said else ""
        return here, message

    def document(self) -> Node | None:
        self.next()  # the stream's start
        first = self.next()
        if isinstance(first, yaml.StreamEndEvent):
            return None
        if self.flow_only and first.explicit:
            self.stop(self.place(first.start_mark), "'---' is not a value; quote it")
        root = self.node(self.next(), 1)
        self.next()  # the document's end
        after = self.next()
        if not isinstance(after, yaml.StreamEndEvent):
            self.stop(self.place(after.start_mark), "a second document begins here; a recipe is one document")
        return root

    def node(self, event: Any, depth: int) -> Node:
        """The node that begins with ``event``, at ``depth`` containers including itself."""
        place = self.place(event.start_mark)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor, place, depth)
        self._spend(1, depth if isinstance(event, yaml.CollectionStartEvent) else 0, place)
        if event.tag is not None:
            self.refuse(place, f"tag '{one_line(event.tag)}' is not part of a recipe; remove it")
        if isinstance(event, yaml.ScalarEvent):
            node = Node(self._scalar(event, place), place)
        elif self.flow_only and not event.flow_style:
            self.stop(place, "write a list as [a, b], a mapping as {key: value}, or quote the text")
        elif isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(place, depth)
        else:
            node = Node([], place)
            while not isinstance(item := self.next(), yaml.SequenceEndEvent):
                node.value.append(self.node(item, depth + 1))
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node

    def _spend(self, nodes: int, depth: int, place: Position) -> None:
        self.nodes += nodes
        if self.nodes > MAX_NODES:
            self.stop(place, f"more than {MAX_NODES:,} values, aliases expanded; a recipe is never that large")
        if depth > MAX_DEPTH:
            self.stop(place, f"nested more than {MAX_DEPTH} deep; a recipe is never that deep")

    def _alias(self, name: Any, place: Position, depth: int) -> Node:
        self._spend(1, 0, place)
        node = self.anchors.get(name)
        if node is None:
            self.refuse(place, f"alias '*{one_line(name)}' has no finished anchor '&{one_line(name)}' before it")
            return Node(None, place)
        size, height = node.measure()
        self._spend(size - 1, depth + height - 1, place)
        return node

    def _scalar(self, event: Any, place: Position) -> Scalar:
        text = str(event.value)
        try:
            scalar = plain_scalar(text) if event.implicit[0] else text  # not implicit: quoted, or a block of text
        except ValueError as error:
            self.refuse(place, str(error))
            return text
        if isinstance(scalar, str) and len(scalar) > MAX_TEXT:
            self.refuse(place, f"a text of {len(scalar):,} characters; the limit is {MAX_TEXT:,}")
        return scalar

    def _mapping(self, place: Position, depth: int) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, Position] = {}
        while not isinstance(event := self.next(), yaml.MappingEndEvent):
            here = self.place(event.start_mark)
            last = next(reversed(entries.values()), None)
            if last and type(last.value) is int and re.match(r",\d", self.text[event.start_mark.index - 1 :]):
                number = f"{last.value},{event.value}"  # {lr: 0,001}
                self.stop(last.position, f"'{number}' is no number: write {number.replace(',', '.')}")
            key = self._key(event, here, depth)
            value = self.node(self.next(), depth + 1)
            if key in keys:
                self.refuse(here, f"key '{one_line(key)}' is already given at {keys[key]}; keep one of the two")
            elif key is not None:
                entries[key], keys[key] = value, here
        return Node(entries, place, keys)

    def _key(self, event: Any, place: Position, depth: int) -> str | None:
        node = self.node(event, depth + 1)
        if not isinstance(event, yaml.ScalarEvent):
            self.refuse(place, "a key is text, not an alias, a list or a mapping; write it out")
        elif not isinstance(node.value, str):
            cure = f"quote it: '{one_line(event.value)}'" if event.value else "write one before the ':'"
            self.refuse(place, f"a key is text, and '{one_line(event.value)}' is {node.kind}; {cure}")
        elif node.value == "<<" and event.implicit[0]:
            self.refuse(place, "merge keys '<<' are not part of a recipe; use 'extends', or repeat the entries")
        elif MAX_KEY < len(node.value) <= MAX_TEXT:
            self.refuse(place, f"a key of {len(node.value):,} characters; the limit is {MAX_KEY:,}")
        else:
            return node.value
        return None
