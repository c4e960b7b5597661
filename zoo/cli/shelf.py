"""Commands on what is installed: list, show. Neither imports torch."""

from __future__ import annotations

import argparse
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from zoo.api import KINDS
from zoo.columns import json_text, table
from zoo.errors import RequestError, did_you_mean
from zoo.registry import REQUIRED, Entry, Registry, load_registry

if TYPE_CHECKING:
    from zoo.registry import Signature
    from zoo.registry.entries import RecipeEntry

SHIPPED = ("recipe", "table")
"""Kinds of files that packages ship; a table is of recipes, for ``zoo compare``."""
SECTIONS = ("recipe", "train", "phase", "schedule")
"""Sections of recipes that ``zoo show`` tells the keys of."""


def list_parts(arguments: argparse.Namespace) -> int:
    """``zoo list [KIND]``."""
    registry = load_registry(tuple(arguments.plugin))
    kind = arguments.kind.removesuffix("s")
    if kind and kind not in (*KINDS, *SHIPPED):
        raise RequestError(f"there is no kind '{arguments.kind}'{did_you_mean(kind, (*KINDS, *SHIPPED))}")
    rows = [_row(entry.kind, entry) for entry in registry.components() if kind in ("", entry.kind)]
    rows += [_row("recipe", entry) for entry in registry.recipes() if kind in ("", "recipe")]
    rows += [_row("table", entry) for entry in registry.tables() if kind in ("", "table")]
    if arguments.json:
        print(json_text(rows))
    else:
        lines = [["kind", "name", "package", "summary"]]
        lines += [[row["kind"], row["name"], row["package"], row["summary"]] for row in rows]
        print(table(lines))
        _warn(registry)
    return 0


def _row(kind: str, entry: Any) -> dict[str, str]:
    package = f"{entry.distribution} {entry.version}"
    return {"kind": kind, "name": entry.name, "id": entry.id, "package": package, "summary": entry.summary}


def _warn(registry: Registry) -> None:
    ill = [plugin.name for plugin in registry.plugins if plugin.state not in ("ok", "disabled")]
    if ill:
        print(f"not working: {', '.join(ill)}; 'zoo plugins' says why", file=sys.stderr)


def show(arguments: argparse.Namespace) -> int:
    """``zoo show NAME``: everything of that name, of whatever kind."""
    registry = load_registry(tuple(arguments.plugin))
    kind, _, name = arguments.name.rpartition(":")
    entries = [v for e in registry.components(kind or None) if name in (e.name, e.id) for v in e.variants()]
    recipe = registry.find_recipe(name) if kind in ("", "recipe") else None
    recipe = recipe or (registry.find_table(name) if kind in ("", "table") else None)
    section = _section(name) if not kind and not entries and recipe is None else None
    if not entries and recipe is None and section is None:
        raise _nothing(arguments.name, registry)
    if arguments.json:
        found = [_described(entry) for entry in entries]
        found += [{**_row(_shipped(recipe), recipe), "file": str(recipe.file)}] if recipe else []
        found += [_described_section(name, section)] if section else []
        print(json_text(found))
        return 0
    told = [_told(entry) for entry in entries]
    if recipe:
        head = f"{_shipped(recipe)} {recipe.id}: {recipe.summary}\n{recipe.file}"
        told.append(f"{head}\n\n{recipe.file.read_text().rstrip()}")
    if section:
        told.append(f"{name}: {section.doc}\n\n{_options(section)}")
    print("\n\n".join(told))
    return 0


def _shipped(entry: RecipeEntry) -> str:
    return entry.kind


def _nothing(text: str, registry: Registry) -> RequestError:
    """Nobody here has it; perhaps the catalogue knows who does."""
    asked, _, name = text.rpartition(":")
    kinds = (*KINDS, "recipe")
    known = [kind for kind in kinds if kind == asked or registry.catalogue.providers(kind, name.rpartition("/")[2])]
    if known and asked in ("", known[0]):
        return registry.unknown(known[0], name)
    shipped = [entry.name for entry in (*registry.recipes(), *registry.tables())]
    names = [*(entry.name for entry in registry.components()), *shipped, *SECTIONS]
    return RequestError(f"nothing is called '{text}'{did_you_mean(name, names)}")


def _section(name: str) -> Signature | None:
    """The keys of a section of recipes: its top level, ``train``, a phase, a schedule."""
    from zoo.recipe.parts import read_section

    return read_section(name) if name in SECTIONS else None


def _described_section(name: str, signature: Signature) -> dict[str, Any]:
    from inspect import getsourcefile, getsourcelines

    from zoo.recipe.sections import SIGNED

    source = f"{getsourcefile(SIGNED[name])}:{getsourcelines(SIGNED[name])[1]}"
    options = _described_options(signature)
    return {"kind": "section", "name": name, "summary": signature.doc, "options": options, "source": source}


def _described(entry: Entry) -> dict[str, Any]:
    signature = entry.signature
    return {
        "kind": entry.kind,
        "id": entry.id,
        "version": entry.version,
        "summary": entry.summary,
        "where": _where(entry),
        "contract": _contract(entry),
        "asks_for": list(signature.needs),
        "learns_from": None if signature.learn is None else list(signature.learn),
        "computes": {name: list(given) for name, given in (signature.computes or {}).items()},
        "doc": signature.doc,
        "options": _described_options(signature),
        "source": f"{signature.file}:{signature.line}",
    }


def _described_options(signature: Signature) -> dict[str, Any]:
    return {
        option.name: {
            "type": option.type_text,
            "default": None if option.default is REQUIRED else option.default,
            "required": option.default is REQUIRED,
            "doc": option.doc,
        }
        for option in signature.options
    }


def _where(entry: Entry) -> dict[str, str]:
    """What the option that chooses among a component's variants says where it means this one."""
    component = entry.component
    values = [value for value, target in component.variants.items() if target == component.target]
    return {component.by: " or ".join(values)} if values else {}


def _contract(entry: Entry) -> str:
    from zoo.recipe.contract import DEFAULTS

    return entry.contract or DEFAULTS.get(entry.kind, "")


def _told(entry: Entry) -> str:
    signature = entry.signature
    contract = _contract(entry)
    lines = [
        f"{entry.kind} {entry.id} ({entry.version}): {entry.summary}",
        f"{signature.file}:{signature.line}",
        *(f"where {option} is {value}" for option, value in _where(entry).items()),
        *([f"shapes: {contract}"] if contract else []),
        f"asks for: {', '.join(signature.needs) or 'nothing'}",
        *([] if signature.learn is None else [f"its networks learn from: {', '.join(signature.learn)}"]),
        *(f"computes: {name} for other {' and '.join(given)}" for name, given in (signature.computes or {}).items()),
        "",
        signature.doc,
    ]
    if signature.options:
        lines += ["", _options(signature)]
    return "\n".join(lines).rstrip()


def _options(signature: Signature) -> str:
    """A table of options; what they are is wrapped to the width of the terminal."""
    from zoo.registry.option_types import shown
    from zoo.registry.options import plain_data

    rows = [["option", "type", "default", ""]]
    for option in signature.options:
        required = option.default is REQUIRED
        default = "required" if required else shown(plain_data(option.default, option.type))
        rows.append([option.name, option.type_text, default, option.doc])
    used = sum(max(map(len, column)) + 2 for column in zip(*(row[:3] for row in rows), strict=True))
    room = max(shutil.get_terminal_size((120, 24)).columns - used, 40)
    lines = []
    for *cells, doc in rows:
        first, *more = textwrap.wrap(doc, room) or [""]
        lines += [[*cells, first], *(["", "", "", line] for line in more)]
    return table(lines)
