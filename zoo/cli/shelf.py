"""Commands on what is installed: list, show, plugins. None imports torch."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from zoo.api import KINDS
from zoo.errors import RequestError, did_you_mean
from zoo.registry import REQUIRED, Entry, Registry, load_registry
from zoo.tables import table

if TYPE_CHECKING:
    from zoo.registry import Signature

SECTIONS = ("recipe", "train", "phase", "schedule")
"""Sections of recipes that ``zoo show`` tells the keys of."""


def list_parts(arguments: argparse.Namespace) -> int:
    """``zoo list [KIND]``."""
    registry = load_registry(tuple(arguments.plugin))
    kind = arguments.kind.removesuffix("s")
    if kind and kind not in (*KINDS, "recipe"):
        raise RequestError(f"there is no kind '{arguments.kind}'{did_you_mean(kind, (*KINDS, 'recipe'))}")
    rows = [_row(entry.kind, entry) for entry in registry.components() if kind in ("", entry.kind)]
    rows += [_row("recipe", entry) for entry in registry.recipes() if kind in ("", "recipe")]
    if arguments.json:
        print(json.dumps(rows))
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
    ill = [plugin.name for plugin in registry.plugins if plugin.state != "ok"]
    if ill:
        print(f"not working: {', '.join(ill)}; 'zoo plugins' says why", file=sys.stderr)


def plugins(arguments: argparse.Namespace) -> int:
    """``zoo plugins``."""
    registry = load_registry(tuple(arguments.plugin))
    if arguments.json:
        keys = ("name", "distribution", "version", "state", "reason")
        print(json.dumps([{key: getattr(plugin, key) for key in keys} for plugin in registry.plugins]))
        return 0
    lines = [["plugin", "package", "state", "reason"]]
    lines += [[p.name, f"{p.distribution} {p.version}", p.state, p.reason] for p in registry.plugins]
    print(table(lines))
    if os.environ.get("ZOO_DEBUG"):
        print("\n".join(p.traceback for p in registry.plugins if p.traceback))
    return 0


def show(arguments: argparse.Namespace) -> int:
    """``zoo show NAME``: everything of that name, of whatever kind."""
    registry = load_registry(tuple(arguments.plugin))
    kind, _, name = arguments.name.rpartition(":")
    entries = [v for e in registry.components(kind or None) if name in (e.name, e.id) for v in e.variants()]
    recipe = registry.find_recipe(name) if kind in ("", "recipe") else None
    section = _section(name) if not kind and not entries and recipe is None else ""
    if not entries and recipe is None and not section:
        names = [e.name for e in registry.components()] + [r.name for r in registry.recipes()] + [*SECTIONS]
        raise RequestError(f"nothing is called '{arguments.name}'{did_you_mean(name, names)}")
    if arguments.json:
        found = [_described(entry) for entry in entries]
        print(json.dumps(found + ([{**_row("recipe", recipe), "file": str(recipe.file)}] if recipe else [])))
        return 0
    told = [_told(entry) for entry in entries]
    if recipe:
        told.append(f"recipe {recipe.id}: {recipe.summary}\n{recipe.file}\n\n{recipe.file.read_text().rstrip()}")
    print("\n\n".join([*told, *filter(None, [section])]))
    return 0


def _section(name: str) -> str:
    """The keys of a section of recipes: its top level, ``train``, a phase, a schedule."""
    from zoo.recipe.parts import read_section

    if name not in SECTIONS:
        return ""
    signature = read_section(name)
    return f"{name}: {signature.doc}\n\n{_options(signature)}"


def _described(entry: Entry) -> dict[str, Any]:
    signature = entry.signature
    options = {
        option.name: {
            "type": option.type_text,
            "default": None if option.default is REQUIRED else option.default,
            "required": option.default is REQUIRED,
            "doc": option.doc,
        }
        for option in signature.options
    }
    return {
        "kind": entry.kind,
        "id": entry.id,
        "version": entry.version,
        "summary": entry.summary,
        "contract": _contract(entry),
        "asks_for": list(signature.needs),
        "learns_from": None if signature.learn is None else list(signature.learn),
        "options": options,
        "source": f"{signature.file}:{signature.line}",
    }


def _contract(entry: Entry) -> str:
    from zoo.contract import DEFAULTS

    return entry.contract or DEFAULTS.get(entry.kind, "")


def _told(entry: Entry) -> str:
    signature = entry.signature
    contract = _contract(entry)
    lines = [
        f"{entry.kind} {entry.id} ({entry.version}): {entry.summary}",
        f"{signature.file}:{signature.line}",
        *([f"shapes: {contract}"] if contract else []),
        f"asks for: {', '.join(signature.needs) or 'nothing'}",
        *([] if signature.learn is None else [f"its networks learn from: {', '.join(signature.learn)}"]),
        "",
        signature.doc,
    ]
    if signature.options:
        lines += ["", _options(signature)]
    return "\n".join(lines).rstrip()


def _options(signature: Signature) -> str:
    rows = [["option", "type", "default", ""]]
    for option in signature.options:
        default = "required" if option.default is REQUIRED else repr(option.default)
        rows.append([option.name, option.type_text, default, option.doc])
    return table(rows)
