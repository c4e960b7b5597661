"""The tree of a recipe: plain data whose every value and key knows its place, and YAML 1.2's scalars."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from zoo.errors import Position

Scalar = bool | int | float | str | None
Path = tuple[str | int, ...]
"""Keys and list indices from the root down, such as ``("phases", 0, "critic")``."""

MAX_DIGITS = 1_000
"""Characters of the longest number; Python itself refuses integers of more than 4,300 digits."""

LARGEST = 2**63 - 1
"""The largest whole number, and minus the smallest: what 64 bits hold."""

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_KINDS = {dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "an integer", float: "a number"}
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_INFINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def plain_scalar(text: str) -> Scalar:
    """Converts unquoted ``text`` to the scalar that it means (YAML 1.2.2, section 10.3.2, core schema).

    Of a number too long or too large to hold, a ValueError says so in a sentence.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", "").lower())
    if not _FLOAT.fullmatch(text) and not _INT.fullmatch(text):
        return text
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number of {len(text):,} characters; the limit is {MAX_DIGITS:,}, or quote it as text")
    if _INT.fullmatch(text):
        whole = int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
        if abs(whole) <= LARGEST:
            return whole
        raise ValueError(
            f"{one_line(text)} is too large for a whole number; the limit is 2^63 - 1, or quote it as text"
        )
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text[:60]} is too large for a number; write .inf if that is meant, or quote it as text")
    return number


def one_line(text: str) -> str:
    """``text`` on one line, cut to what fits in a sentence."""
    line = text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
    return line if len(line) <= 60 else f"{line[:57]}..."


def is_plain_text(text: str) -> bool:
    """Tells whether unquoted ``text`` means itself."""
    return text not in _WORDS and not any(form.fullmatch(text) for form in (_INT, _FLOAT, _INFINITE))


@dataclass(frozen=True, slots=True)
class Node:
    """A ``Scalar``, a ``list[Node]`` or a ``dict[str, Node]``, and the place where it begins.

    ``keys`` says where each key of a mapping stands; also those that null removed. ``first`` has the files of keys that
    others have laid something over.
    """

    value: Any
    position: Position
    keys: dict[str, Position] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """Names the value's type, for a sentence: ``"a mapping"``, ``"text"``, ``"an integer"`` ..."""
        return _KINDS.get(type(self.value), "null")

    def plain(self) -> Any:
        """Converts to Python data, without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def child(self, part: str | int) -> Node | None:
        """The entry of a key or the element at an index; None if there is none."""
        if isinstance(self.value, dict):
            return self.value.get(part)
        inside = isinstance(self.value, list) and isinstance(part, int) and 0 <= part < len(self.value)
        return self.value[part] if inside else None

    def get(self, path: Path) -> Node | None:
        """The node at ``path`` below this one; None if there is none."""
        node: Node | None = self
        for part in path:
            node = node.child(part) if node else None
        return node

    def at(self, path: Path) -> Position:
        """The best place to point at for ``path``: its key, its list element, else its nearest ancestor."""
        node, place = self, self.position
        for part in path:
            below = node.child(part)
            if below is None:
                place = node.keys.get(str(part), place)
                break
            place = node.keys.get(part, below.position) if isinstance(part, str) else below.position
            node = below
        return place

    def without(self, *names: str) -> Node:
        """This mapping less some of its entries."""
        entries = {key: node for key, node in self.value.items() if key not in names}
        keys = {key: at for key, at in self.keys.items() if key not in names}
        return Node(entries, self.position, keys, self.first)

    def origin(self, key: str) -> str:
        """The file in which a key of this mapping stood first."""
        return self.first.get(key) or self.keys[key].file

    def measure(self) -> tuple[int, int]:
        """Values in the tree, aliases expanded, and how many containers deep it is (a scalar: 0)."""
        if not isinstance(self.value, dict | list):
            return 1, 0
        below = self.value.values() if isinstance(self.value, dict) else self.value
        sizes = [node.measure() for node in below]
        return 1 + sum(size for size, _ in sizes), 1 + max((height for _, height in sizes), default=0)
