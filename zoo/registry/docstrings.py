"""Google-style docstrings: the text, and what ``Args:`` says of each parameter."""

from __future__ import annotations

import inspect
import re

_HEADING = re.compile(r"(Args|Arguments|Options):\s*")
_ITEM = re.compile(r"\*{0,2}(\w+)(?:\s*\([^)]*\))?:\s*(.*)")


def split(docstring: str) -> tuple[str, dict[str, str]]:
    """``(text without its Args section, {parameter: what it says})``."""
    text: list[str] = []
    section: list[str] = []
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        if _HEADING.fullmatch(line):
            inside = True
            continue
        if line and not line[0].isspace():
            inside = False
        (section if inside else text).append(line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(text)).strip(), _items(section)


def _items(lines: list[str]) -> dict[str, str]:
    written = [line for line in lines if line.strip()]
    margin = min((len(line) - len(line.lstrip()) for line in written), default=0)
    items: dict[str, list[str]] = {}
    current: list[str] = []
    for line in written:
        match = _ITEM.fullmatch(line.strip()) if not line[margin].isspace() else None
        if match:
            current = items.setdefault(match[1], [])
            current.append(match[2])
        else:
            current.append(line.strip())
    return {name: " ".join(filter(None, parts)) for name, parts in items.items()}
