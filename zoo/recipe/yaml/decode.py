"""Bytes or text to text that is safe to parse: UTF-8, of bounded size, nothing invisible in it."""

from __future__ import annotations

import re
from collections.abc import Callable

from zoo.errors import Position, Problem, RecipeError

MAX_BYTES = 2**20
"""Size of the largest recipe."""

_CONTROL = re.compile("[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_MAX_PROBLEMS = 20
_TAG_LINE = re.compile(r"(?:\A|(?<=[\r\n]))%TAG")  # libyaml takes quadratic time over many of them


def decode(text: str | bytes, place: Callable[[int, int], Position]) -> str:
    """``text`` without its byte order mark.

    Args:
        text: a recipe as text or UTF-8.
        place: makes a position of a line and a column.

    Raises:
        RecipeError: too large, not UTF-8, or with characters that no editor shows.
    """
    size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise RecipeError([Problem(place(1, 1), too_large(size))])
    decoded = _decode_utf8(text, place) if isinstance(text, bytes) else text
    decoded = decoded.removeprefix("\ufeff")
    problems: list[Problem] = []
    for match in _CONTROL.finditer(decoded):
        message = f"control character U+{ord(match[0]):04X}; remove it, or write it as an escape in double quotes"
        problems.append(Problem(place(*_line_column(decoded[: match.start()])), message))
        if len(problems) == _MAX_PROBLEMS:
            break
    if tag := _TAG_LINE.search(decoded):
        where = place(*_line_column(decoded[: tag.start()]))
        problems.append(Problem(where, "tags are not part of a recipe; remove the %TAG line"))
    if problems:
        raise RecipeError(problems)
    return decoded


def too_large(size: int) -> str:
    """What to say of a recipe of so many bytes."""
    return f"{size:,} bytes of recipe; the limit is {MAX_BYTES:,}"


def _decode_utf8(data: bytes, place: Callable[[int, int], Position]) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8").removeprefix("\ufeff")
        message = f"byte 0x{data[error.start]:02x} is not UTF-8; save the file as UTF-8"
        raise RecipeError([Problem(place(*_line_column(before)), message)]) from None


def _line_column(before: str) -> tuple[int, int]:
    """Line and column, from 1, of what comes after ``before``."""
    lines = re.split("\r\n|\r|\n", before)
    return len(lines), len(lines[-1]) + 1
