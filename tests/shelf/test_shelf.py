"""Every system on the shelf: a short recipe that says what it is, and who learns from what as in ``tests/golden``.

``python tests/shelf/test_shelf.py`` writes the golden files anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.tiny import PUBLISHED, bundled

from zoo.recipe import load_recipe
from zoo.recipe.routes import routes
from zoo.registry import load_registry

GOLDEN = Path(__file__).parents[1] / "golden" / "explain"
PLUGINS = Path(__file__).parents[2] / "plugins"
SYSTEMS = sorted({*bundled(), *PUBLISHED})
LINES = 40
"""Of a recipe, its header among them."""
KEYS = ("Loss", "When", "Paper")
"""What a system's header says, each on a line of its own, beside the first, which is its title."""


def header(text: str) -> dict[str, str]:
    """The lines above a recipe: its title under ``""``; a key's text, the lines that are set in below it too."""
    said, key = {}, ""
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        found = line[2:].partition(": ")
        key = found[0] if found[0] in KEYS else key
        said[key] = f"{said.get(key, '')} {found[2] if found[0] == key else line[1:].strip()}".strip()
    return said


def test_a_system_is_a_short_recipe() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in PLUGINS.rglob("*.yaml")}
    assert lines
    assert {name: count for name, count in lines.items() if count > LINES} == {}


def test_a_recipe_is_of_a_family() -> None:
    assert [recipe.name for recipe in load_registry().recipes() if not recipe.part.family] == []


@pytest.mark.parametrize("name", SYSTEMS)
def test_who_learns_from_what(name: str) -> None:
    assert routes(load_recipe(name)) + "\n" == (GOLDEN / f"{name}.txt").read_text()


def test_no_golden_file_is_of_a_system_that_is_gone() -> None:
    assert sorted(path.stem for path in GOLDEN.iterdir()) == SYSTEMS


if __name__ == "__main__":
    for path in GOLDEN.iterdir():
        path.unlink()
    for system in SYSTEMS:
        (GOLDEN / f"{system}.txt").write_text(routes(load_recipe(system)) + "\n")
