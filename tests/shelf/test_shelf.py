"""Every system on the shelf: a short recipe that says what it is, and who learns from what as in ``tests/golden``.

``python tests/shelf/test_shelf.py`` writes the golden files anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.tiny import PUBLISHED, bundled
from gallery import KEYS, header

from zoo.recipe import load_recipe
from zoo.recipe.routes import routes
from zoo.registry import load_registry

GOLDEN = Path(__file__).parents[1] / "golden" / "explain"
PLUGINS = Path(__file__).parents[2] / "plugins"
SYSTEMS = sorted({*bundled(), *PUBLISHED})
PAPERS = {name for name in SYSTEMS if name.endswith("-paper")}
"""The comparison of AVAE's paper, whose headers say what is published otherwise."""
LINES = 40
"""Of a recipe, its header among them."""


def test_a_system_is_a_short_recipe() -> None:
    lines = {path.name: len(path.read_text().splitlines()) for path in PLUGINS.rglob("*.yaml")}
    assert lines
    assert {name: count for name, count in lines.items() if count > LINES} == {}


def test_a_recipe_is_of_a_family() -> None:
    assert [recipe.name for recipe in load_registry().recipes() if not recipe.part.family] == []


def test_a_system_says_what_it_is_what_for_and_where_from() -> None:
    own = [recipe for recipe in load_registry().recipes() if recipe.name not in PUBLISHED | PAPERS]
    lacking = {one.name: [key for key in KEYS if not header(one.file.read_text()).get(key)] for one in own}
    assert {name: keys for name, keys in lacking.items() if keys} == {}


def test_a_header_is_read_line_by_line() -> None:
    text = "# A (B 2000): what: it is.\n# More.\n# Loss: one:\n#   two.\n# Paper: C.\ndata: digits  # When: no\n"
    assert header(text) == {"": "A (B 2000): what: it is.", "About": "More.", "Loss": "one: two.", "Paper": "C."}


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
