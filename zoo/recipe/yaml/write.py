"""Plain data to text: the inverse of ``zoo.recipe.yaml.read.read``, laid out for people."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
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
    return "\n".join(_block(data, WIDTH) if data else ["{}"]) + "\n"


def write_value(value: Any) -> str:
    """A value on one line, such as ``read_value`` reads back; a RequestError as of ``write``."""
    if not _is_container(value):
        return _scalar(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_key(key)}: {write_value(below)}" for key, below in value.items()) + "}"
    return f"[{', '.join(map(write_value, value))}]"


def _block(value: Any, room: int) -> Iterator[str]:
    """Lines of a container that is not empty, ``room`` columns wide."""
    named = isinstance(value, Mapping)
    for key, below in value.items() if named else ((None, item) for item in value):
        head = f"{_key(key)}:" if named else "-"
        if len(head) > _LONGEST_KEY:
            yield f"? {head[:-1]}"
            head = ":"
        flow = _flow(below)
        if flow and (len(f"{head} {flow}") < room or not _is_container(below) or not below):
            yield f"{head} {flow}"
        else:
            lines = _block(below, room - 2)
            yield head if named else f"- {next(lines)}"
            yield from (f"  {line}" for line in lines)


def _flow(value: Any) -> str | None:
    """``value`` on one line; None if it is more than a row, or a mapping of rows."""
    whole = all(map(_is_row, value.values())) if isinstance(value, Mapping) else _is_row(value)
    return write_value(value) if whole else None


def _is_row(value: Any) -> bool:
    """Whether it is a scalar, an empty container or a list of scalars."""
    if isinstance(value, Mapping):
        return not value
    return not _is_container(value) or not any(map(_is_container, value))


def _is_container(value: Any) -> bool:
    return isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes)


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise RequestError(f"a key of a recipe is text, not {key!r}")
    return _scalar(key)


def _scalar(value: Any) -> str:
    """Text as it is where that is safe, else in double quotes with everything invisible escaped."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int):
        if abs(value) > LARGEST:
            raise RequestError(f"a recipe cannot hold a whole number of {value.bit_length()} bits; the limit is 63")
        return int.__repr__(value)
    if isinstance(value, float):
        infinite = ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
        return float.__repr__(value) if math.isfinite(value) else infinite
    if not isinstance(value, str):
        raise RequestError(f"a recipe cannot hold {value!r}")
    if _PLAIN.fullmatch(value) and is_plain_text(value):
        return value
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise RequestError(f"{value!r} is not Unicode text")
    quoted = json.dumps(str(value), ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", quoted)
