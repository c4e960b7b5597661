"""The catalogue says of our own packages exactly what is installed, and keeps to its schema."""

from __future__ import annotations

from pathlib import Path

from zoo import api
from zoo.registry import FIRST_PARTY, load_registry
from zoo.registry.catalogue import read

ROOT = Path(__file__).parents[2]


def test_what_the_catalogue_says_of_first_party_packages_is_true() -> None:
    registry = load_registry()
    package = registry.catalogue.packages[FIRST_PARTY]
    said = {kind: sorted(names) for kind, names in package.provides.items()}
    ours = [entry for entry in registry.components() if entry.distribution == FIRST_PARTY]
    there = {kind: sorted(e.name for e in ours if e.kind == kind) for kind in api.KINDS}
    assert said == {kind: names for kind, names in there.items() if names}
    assert sorted(package.recipes) == sorted(r.name for r in registry.recipes() if r.distribution == FIRST_PARTY)


def test_the_catalogue_of_the_repository_is_the_one_that_ships() -> None:
    assert (ROOT / "zoo" / "registry.yaml").read_bytes() == (ROOT / "registry.yaml").read_bytes()
    assert read(ROOT / "registry.yaml").packages.keys() >= {FIRST_PARTY}


def test_every_first_party_plugin_is_well() -> None:
    ours = [plugin for plugin in load_registry().plugins if plugin.distribution == FIRST_PARTY]
    folders = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").is_file()}
    assert {f"zoo_{plugin.name}" for plugin in ours} == folders
    assert {(plugin.name, plugin.state) for plugin in ours} == {(plugin.name, "ok") for plugin in ours}
