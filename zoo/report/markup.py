"""Text and numbers as a page shows them: escaped, grouped, short."""

from __future__ import annotations

import html
import math
import re

from zoo.columns import NOT_FINITE

ABSENT = "–"  # noqa: RUF001 - an en dash, where there is no number

_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def escaped(text: object) -> str:
    """Anything as text that is safe between tags and inside quotes.

    Characters that no page can hold, or that reorder the text around them, become U+FFFD.
    """
    return html.escape(_UNPRINTABLE.sub("\ufffd", str(text)))


def as_number(value: object) -> float:
    """A number from JSON as a float; infinite if it is too large for one, NaN if it is no number."""
    if not isinstance(value, int | float):
        return math.nan
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def number(value: object, digits: int = 4) -> str:
    """A number with so many digits that count: ``1,234``, ``12.35``, ``0.0123``, ``1.5e9``, ``nan``, ``-inf``.

    One that is not finite may be text; anything else is shown as absent. Whole digits are never dropped below a
    million.
    """
    value = NOT_FINITE.get(value) if isinstance(value, str) else value
    if not isinstance(value, int | float):
        return ABSENT
    real = as_number(value)
    if real == 0 or not math.isfinite(real):
        return minus(f"{real:g}") if real else "0"
    exponent = math.floor(math.log10(abs(real)))
    if not -4 <= exponent < 6:
        return minus(re.sub(r"e([+-])0*", lambda m: "e" + m[1].strip("+"), f"{real:.{digits}g}"))
    text = f"{real:,.{max(digits - 1 - exponent, 0)}f}"
    return minus(text.rstrip("0").rstrip(".") if "." in text else text)


def minus(text: str) -> str:
    """A number's text with a true minus sign in front."""
    return "\N{MINUS SIGN}" + text[1:] if text.startswith("-") else text
