"""Plain data to text: the inverse of ``zoo.recipe.yaml.read.read``, laid out for people."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.errors import RequestError
from zoo.recipe.yaml.node import LARGEST, is_plain_text

WIDTH = 80
"""A list or mapping stays on one line while its line is shorter than this."""

_LONGEST_KEY = 120  # libyaml wants ':' within 1024 bytes of a key's start, or a '?' before it
_PLAIN = re.compile(r"(?:[A-Za-z0-9_/]|\.{1,2}/)(?:[\w ./+\-*@=%()^<>~$;']*[\w./+\-*@=%()^<>~$;'])?")
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


def write(data: Mapping[str, Any]) -> str:
    """YAML such that ``read(write(data), ...).plain() == data``, keys in the order given.

    Args:
        data: mappings with text keys, lists and tuples (read back as lists), null, booleans, numbers, text.

    Raises:
        RequestError: something that a recipe cannot hold, such as an object, half a surrogate pair, or a whole
            number of more than 63 bits.
    """
    if not data:
        return "{}\n"
    return "\n".join(_block(data, WIDTH)) + "\n"


def _block(value: Any, room: int) -> list[str]:
    """Lines of a container that is not empty, without indentation, ``room`` columns wide."""
    lines: list[str] = []
    if isinstance(value, Mapping):
        for key, below in value.items():
            head = f"{_key(key)}:"
            if len(head) > _LONGEST_KEY:
                lines.append(f"? {_key(key)}")
                head = ":"
            lines += _entry(head, below, room)
        return lines
    for below in value:
        if (flow := _flow(below)) and _fits(below, f"- {flow}", room):
            lines.append(f"- {flow}")
        else:
            first, *rest = _block(below, room - 2)
            lines += [f"- {first}", *(f"  {line}" for line in rest)]
    return lines


def _entry(head: str, value: Any, room: int) -> list[str]:
    """Lines of one entry of a mapping."""
    if (flow := _flow(value)) and _fits(value, f"{head} {flow}", room):
        return [f"{head} {flow}"]
    return [head, *(f"  {line}" for line in _block(value, room - 2))]


def _fits(value: Any, line: str, room: int) -> bool:
    return len(line) < room or not _is_container(value) or not value


def _flow(value: Any) -> str | None:
    """``value`` on one line; None if it is more than a row, or a mapping of rows."""
    if isinstance(value, Mapping):
        entries = [(_key(key), _row(below)) for key, below in value.items()]
        if any(text is None for _, text in entries):
            return None
        return "{" + ", ".join(f"{key}: {text}" for key, text in entries) + "}"
    return _row(value)


def _row(value: Any) -> str | None:
    """A scalar, an empty container or a list of scalars on one line; None for anything else."""
    if not _is_container(value):
        return _scalar(value)
    if isinstance(value, Mapping):
        return None if value else "{}"
    if any(map(_is_container, value)):
        return None
    return "[" + ", ".join(map(_scalar, value)) + "]"


def _is_container(value: Any) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise RequestError(f"a key of a recipe is text, not {key!r}")
    return _text(key)


def _scalar(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else _infinite(value)
    if isinstance(value, str):
        return _text(value)
    raise RequestError(f"a recipe cannot hold {value!r}")


def _whole(value: int) -> str:
    if abs(value) > LARGEST:
        raise RequestError(f"a recipe cannot hold a whole number of {value.bit_length()} bits; the limit is 63")
    return int.__repr__(value)


def _infinite(value: float) -> str:
    return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"


def _text(text: str) -> str:
    """Text as it is where that is safe, else in double quotes with everything invisible escaped."""
    if _PLAIN.fullmatch(text) and is_plain_text(text):
        return text
    if any("\ud800" <= letter <= "\udfff" for letter in text):
        raise RequestError(f"{text!r} is not Unicode text")
    quoted = json.dumps(str(text), ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
