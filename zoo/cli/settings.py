"""Edits the list ``disabled`` of the user's settings in place: the rest of the file stays as it is, comments too."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from zoo.errors import RecipeError, RequestError
from zoo.registry.catalogue import Catalogue, parse, read

HEADER = "# Settings of zoo for every recipe; a registry.yaml beside a recipe is layered over them.\n"


def disabled_names(file: Path) -> tuple[str, ...]:
    """The names that a settings file disables, if it is there; raises RecipeError if it is wrong."""
    return tuple(read(file).disabled) if file.is_file() else ()


def set_disabled(file: Path, names: Sequence[str]) -> None:
    """Makes ``names`` the list ``disabled`` of a settings file, which is made if it is missing.

    If the file is wrong already, that is a RecipeError; if the list cannot be edited as it is written, a RequestError.
    """
    import yaml

    from zoo.machine.disk import write_atomically

    before = replace(read(file) if file.is_file() else Catalogue(), allowed_by=str(file))
    text = file.read_bytes().decode("utf-8") if file.is_file() else HEADER  # not read_text(): line ends stay
    wanted = replace(before, disabled=dict.fromkeys(names, str(file)))
    try:
        text = _edited(text, tuple(before.disabled), names)
        done = parse(text, str(file)) == wanted
    except (yaml.YAMLError, RecipeError):
        done = False
    if not done:  # an edit that would say anything else is not written
        raise RequestError(f"{file}: its 'disabled' is written in a way that zoo cannot edit; edit it by hand")
    write_atomically(file.resolve(), text.encode())


def _edited(text: str, before: Sequence[str], names: Sequence[str]) -> str:
    for name in (name for name in before if name not in names):
        while name in (items := [item.value for item in _parsed(text)[1].value]):
            text = _without(text, items.index(name))
    for name in (name for name in names if name not in before):
        text = _with(text, name)
    return text


def _parsed(text: str) -> tuple[Any, Any]:
    """The nodes of the whole and of the list ``disabled``; None for what is not there."""
    import yaml

    root = yaml.compose(text, Loader=yaml.SafeLoader)  # the loader in Python: its marks count characters
    return root, next((value for key, value in root.value if key.value == "disabled"), None) if root else None


def _with(text: str, name: str) -> str:
    """``text`` with a name more in the list."""
    root, node = _parsed(text)
    end = "\r\n" if "\r\n" in text else "\n"
    name = name if re.fullmatch(r"[A-Za-z][\w./-]*", name) else json.dumps(name)
    if node is None and root is not None and root.flow_style:
        at = root.start_mark.index + 1
        return f"{text[:at]}disabled: [{name}]{', ' if root.value else ''}{text[at:]}"
    if node is None:
        gap = end if text and not text.endswith("\n") else ""
        return f"{text}{gap}disabled: [{name}]{end}"
    if not node.value or node.id == "scalar":  # [] or null
        return f"{text[: node.start_mark.index].rstrip(' ')} [{name}]{text[node.end_mark.index :]}"
    at = node.value[-1].end_mark.index
    if node.flow_style:
        return f"{text[:at]}, {name}{text[at:]}"
    at = _next_line(text, at)
    gap = "" if text[:at].endswith("\n") else end
    return f"{text[:at]}{gap}{' ' * node.start_mark.column}- {name}{end}{text[at:]}"


def _without(text: str, index: int) -> str:
    """``text`` without an item of the list; of a list in lines, without its line."""
    _, node = _parsed(text)
    start, stop = node.value[index].start_mark.index, node.value[index].end_mark.index
    if not node.flow_style:
        return text[: text.rfind("\n", 0, start) + 1] + text[_next_line(text, stop) :]
    if index and "#" in text[node.value[index - 1].end_mark.index : start]:  # the comma there stays with its comment
        stop += text[stop:].startswith(",")
    elif index:
        start = node.value[index - 1].end_mark.index
    elif len(node.value) > 1:
        stop = node.value[1].start_mark.index
    return text[:start] + text[stop:]


def _next_line(text: str, index: int) -> int:
    """Index at which the line after the one at ``index`` begins."""
    return (text.find("\n", index) + 1) or len(text)
