"""``zoo plugins disable NAME...`` and ``enable NAME...``: the list ``disabled`` of the user's settings.

No plugin is imported, so it works while one is broken or hangs.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from zoo.cli.settings import disabled_names, set_disabled
from zoo.columns import json_text
from zoo.errors import RequestError, did_you_mean
from zoo.registry import FIRST_PARTY, Plugin, clear_cache
from zoo.registry.catalogue import chosen, policy, settings_file
from zoo.registry.discovery import canonical, installed


def switch(arguments: argparse.Namespace) -> int:
    """Disable or enable plugins; 1 where another file keeps one disabled that should be enabled."""
    if not arguments.names:
        raise RequestError(f"name what to {arguments.action}: a plugin, a package or PACKAGE/PLUGIN")
    found = installed()
    file = settings_file()
    change = _disable if arguments.action == "disable" else _enable
    before = disabled_names(file)
    after, said = before, []
    for name in arguments.names:
        after, sentence = change(name, after, found, file)
        said.append(sentence)
    if after != before:
        set_disabled(file, after)
        clear_cache()
    still = _still(arguments.names, found, file) if arguments.action == "enable" else []
    if arguments.json:
        print(json_text({"file": str(file), "disabled": list(after), "said": [*said, *still]}))
    else:
        print("\n".join([*said, *still]))
    return 1 if still else 0


def _disable(name: str, names: tuple[str, ...], found: Sequence[Plugin], file: Path) -> tuple[tuple[str, ...], str]:
    """The list with what ``name`` means, and what to say."""
    target = _target(name, found)
    meant = [plugin for plugin in found if plugin.answers_to(target)]
    covering = [n for n in names if all(plugin.answers_to(n) for plugin in meant)]
    if covering:
        by = "" if target in covering else f" with '{covering[0]}'"
        return names, f"{target} is disabled already{by} in {file}"
    return (*names, target), f"disabled {target} in {file}"


def _target(name: str, found: Sequence[Plugin]) -> str:
    """``PACKAGE`` or ``PACKAGE/PLUGIN``: what is written for a name, so that it never means another plugin later."""
    meant = [plugin for plugin in found if plugin.answers_to(name)]
    if not meant:
        raise _nobody(name, found)
    package = canonical(name)
    if package == FIRST_PARTY:
        raise RequestError(f"{FIRST_PARTY} is zoo itself; name one of its plugins, such as {meant[0].id}")
    if any(plugin.distribution == package for plugin in meant):
        return package
    if len(meant) > 1:
        raise RequestError(f"{len(meant)} packages have a plugin '{name}'; write {' or '.join(p.id for p in meant)}")
    if meant[0].distribution == FIRST_PARTY and "/" not in name:
        raise RequestError(f"'{name}' is a plugin of zoo itself; write {meant[0].id} to disable it all the same")
    return meant[0].id


def _enable(name: str, names: tuple[str, ...], found: Sequence[Plugin], file: Path) -> tuple[tuple[str, ...], str]:
    """The list without the entries that mean nothing but what ``name`` means, and what to say."""
    wanted = {plugin.id for plugin in found if plugin.answers_to(name)}
    covered = {entry: {plugin.id for plugin in found if plugin.answers_to(entry)} for entry in names}
    dropped = [n for n in names if _same(n, name) or (covered[n] and covered[n] <= wanted)]
    if not wanted and not dropped:
        raise _nobody(name, found, names)
    if not dropped:
        return names, f"{name} is not disabled in {file}"
    return tuple(n for n in names if n not in dropped), f"enabled {' and '.join(dropped)} in {file}"


def _same(one: str, other: str) -> bool:
    return one == other or canonical(one) == canonical(other)


def _still(names: Sequence[str], found: Sequence[Plugin], file: Path) -> list[str]:
    """What else keeps the plugins from being imported: the catalogue, a registry.yaml here, ``ZOO_PLUGINS``."""
    layers = [path for path in (file, Path("registry.yaml").resolve()) if path.is_file()]
    whole = policy({plugin.distribution for plugin in found}, layers, chosen())
    wanted = [plugin for plugin in found if any(map(plugin.answers_to, names))]
    verdicts = [(plugin.id, verdict) for plugin in wanted if (verdict := whole.verdict(plugin))]
    return [f"{who} stays {state}: {reason}" for who, (state, reason) in verdicts]


def _nobody(name: str, found: Sequence[Plugin], names: Sequence[str] = ()) -> RequestError:
    known = {text for p in found for text in (p.name, p.distribution)} | set(names)
    return RequestError(f"no plugin or package '{name}' is installed{did_you_mean(name, known)}")
