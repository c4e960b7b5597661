"""Commands on what is installed: list, show, schema. None imports torch."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.api import KINDS
from zoo.columns import json_text, printable, table
from zoo.errors import RequestError, did_you_mean
from zoo.registry import Entry, Registry, load_registry

if TYPE_CHECKING:
    from zoo.registry import Signature

SHIPPED = ("recipe", "table")
"""Kinds of files that packages ship; a table is of recipes, for ``zoo compare``."""
SECTIONS = ("recipe", "train", "phase", "schedule")
"""Sections of recipes whose keys ``zoo show`` tells."""


COMPLETION = """\
[ -n "$ZSH_VERSION" ] && autoload -U +X bashcompinit && bashcompinit
_zoo() {{
  local words='{commands}'
  [ "$COMP_CWORD" -gt 1 ] && case "${{COMP_WORDS[1]}}" in
{cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "${{COMP_WORDS[COMP_CWORD]}}"))
}}
complete -o default -F _zoo zoo"""


def list_parts(arguments: argparse.Namespace) -> int:
    """``zoo list [KIND]``, and ``zoo list recipe FAMILY``."""
    registry = load_registry(tuple(arguments.plugin))
    rows = registry.listed(arguments.kind)
    if arguments.family:
        families = sorted({row["family"] for row in rows if row.get("family")})
        if arguments.family not in families:
            raise RequestError(f"there is no family '{arguments.family}'{did_you_mean(arguments.family, families)}")
        rows = [row for row in rows if row.get("family") == arguments.family]
    if arguments.json:
        print(json_text(rows))
        return 0
    columns = ["kind", "name", "package", "summary"]
    if any(row.get("family") for row in rows) and len({row["kind"] for row in rows}) == 1:
        columns[0] = "family"
        rows.sort(key=lambda row: (not row["family"], row["family"], row["name"]))
    print(table([columns, *([row[column] for column in columns] for row in rows)]))
    ill = [plugin.name for plugin in registry.plugins if plugin.state not in ("ok", "disabled")]
    if ill:
        print(f"not working: {', '.join(ill)}; 'zoo plugins' says why", file=sys.stderr)
    return 0


def show(arguments: argparse.Namespace) -> int:
    """``zoo show NAME``: everything of that name, of whatever kind."""
    registry = load_registry(tuple(arguments.plugin))
    kind, name = _asked(arguments.name)
    entries = [v for e in registry.components(kind or None) if name in (e.name, e.id) for v in e.variants()]
    recipe = registry.find_recipe(name) if kind in ("", "recipe") else None
    recipe = recipe or (registry.find_recipe(name, "table") if kind in ("", "table") else None)
    documents = [_component(entry) for entry in entries]
    if recipe:
        documents.append({**recipe.row(), "file": str(recipe.file)})
    if not documents and not kind and name in SECTIONS:
        documents.append(_section(name))
    if not documents:
        raise _nothing(arguments.name, registry)
    print(json_text(documents) if arguments.json else printable("\n\n".join(map(_text, documents))))
    return 0


def _asked(text: str) -> tuple[str, str]:
    """The kind, if one is said, and the name: of ``critic:dcgan``, of ``critic/dcgan``."""
    head, _, tail = text.partition("/")
    kind, _, name = text.rpartition(":")
    return (head, tail) if tail and head in (*KINDS, *SHIPPED) else (kind, name)


def _nothing(text: str, registry: Registry) -> RequestError:
    """Says who has it, if the catalogue knows; else what there is."""
    asked, name = _asked(text)
    kinds = (*KINDS, "recipe")
    known = [kind for kind in kinds if kind == asked or registry.catalogue.providers(kind, name.rpartition("/")[2])]
    if known and asked in ("", known[0]):
        return registry.unknown(known[0], name)
    names = [*(row["name"] for row in registry.listed()), *SECTIONS]
    meant = did_you_mean(name, names, listed=False) or "; 'zoo list' shows what there is"
    return RequestError(f"nothing is called '{text}'{meant}")


def _component(entry: Entry) -> dict[str, Any]:
    from zoo.recipe.contract import stated
    from zoo.registry import check_options

    signature, component = entry.signature, entry.part
    chosen_by = [value for value, target in component.variants.items() if target == component.target]
    return {
        "kind": entry.kind,
        "id": entry.id,
        "version": entry.version,
        "summary": entry.summary,
        "where": {component.by: " or ".join(chosen_by)} if chosen_by else {},
        "contract": stated(entry, check_options(signature, {})[0]),
        "asks_for": list(signature.needs),
        "learns_from": None if signature.learn is None else list(signature.learn),
        "computes": {name: list(given) for name, given in (signature.computes or {}).items()},
        "doc": signature.doc,
        **_defined(signature),
    }


def _section(name: str) -> dict[str, Any]:
    """The keys of a section of recipes: its top level, ``train``, a phase, a schedule."""
    from inspect import getsourcefile, getsourcelines

    from zoo.recipe.parts import read_section
    from zoo.recipe.sections import SIGNED

    file, line = getsourcefile(SIGNED[name]) or "", getsourcelines(SIGNED[name])[1]
    keys = replace(read_section(name), file=file, line=line)
    return {"kind": "section", "name": name, "summary": keys.doc, **_defined(keys)}


def _defined(signature: Signature) -> dict[str, Any]:
    from zoo.registry import REQUIRED
    from zoo.registry.options import plain_data

    options = {
        option.name: {
            "type": option.type_text,
            "default": None if option.default is REQUIRED else plain_data(option.default, option.type),
            "required": option.default is REQUIRED,
            "doc": option.doc,
        }
        for option in signature.options
    }
    return {"options": options, "source": f"{signature.file}:{signature.line}"}


def _text(part: dict[str, Any]) -> str:
    if part["kind"] in SHIPPED:
        text = Path(part["file"]).read_text().rstrip()
        return f"{part['kind']} {part['id']}: {part['summary']}\n{part['file']}\n\n{text}"
    if part["kind"] == "section":
        return f"{part['name']}: {part['summary']}\n\n{_table(part['options'])}"
    lines = [
        f"{part['kind']} {part['id']} ({part['version']}): {part['summary']}",
        part["source"],
        *(f"where {option} is {value}" for option, value in part["where"].items()),
        *([f"shapes: {part['contract']}"] if part["contract"] else []),
        f"asks for: {', '.join(part['asks_for']) or 'nothing'}",
        *([f"its networks learn from: {', '.join(part['learns_from'])}"] if part["learns_from"] else []),
        *(f"computes: {name} for other {' and '.join(given)}" for name, given in part["computes"].items()),
        "",
        part["doc"],
        *(["", _table(part["options"])] if part["options"] else []),
    ]
    return "\n".join(lines).rstrip()


def _table(options: dict[str, Any]) -> str:
    """A table of options; what they are is wrapped to the width of the terminal."""
    from zoo.registry.option_types import shown

    rows = [["option", "type", "default", ""]]
    for name, option in options.items():
        rows.append(
            [name, option["type"], "required" if option["required"] else shown(option["default"]), option["doc"]]
        )
    return table(rows, otherwise=120)


def completion(arguments: argparse.Namespace) -> int:
    """``zoo completion``: commands, their options, and the names of recipes; files are completed too."""
    recipes = " ".join(row["name"] for row in load_registry(tuple(arguments.plugin)).listed("recipe"))
    options = {name: " ".join(verb._option_string_actions) for name, verb in arguments.commands.items()}
    cases = "\n".join(f"    {name}) words='{own} {recipes}' ;;" for name, own in options.items())
    script = COMPLETION.format(commands=" ".join(options), cases=cases)
    print(json_text({"script": script}) if arguments.json else script)
    return 0


def schema(arguments: argparse.Namespace) -> int:
    """``zoo schema``: to the standard output, or into a file that recipes can name."""
    from zoo.machine.disk import write_atomically
    from zoo.recipe import registry_for
    from zoo.recipe.json_schema import recipe_schema

    written = json_text(recipe_schema(registry_for({}, arguments.plugin)))
    if not arguments.out:
        print(written)
        return 0
    write_atomically(arguments.out, f"{written}\n".encode())
    say = f"{arguments.out}: begin a recipe with '# yaml-language-server: $schema={arguments.out.name}'"
    print(json_text({"file": str(arguments.out)}) if arguments.json else say)
    return 0
