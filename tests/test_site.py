"""The site: every page is found, every link leads somewhere, docstrings are read; tutorials run by ``make docs``."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.recipe import load_recipe
from zoo.registry import load_registry

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))
FILE = re.compile(r"%%writefile (\S+)\n(.*)", re.DOTALL)


def cells(notebook: Path) -> list[str]:
    return [
        "".join(cell["source"]) for cell in json.loads(notebook.read_text())["cells"] if cell["cell_type"] == "code"
    ]


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = ["-m", "sphinx", "--fail-on-warning", "--keep-going", "-q", "-D", "nb_execution_mode=off"]
    done = subprocess.run([sys.executable, *command, str(ROOT / "docs"), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "zoo.api.Component" in (tmp_path / "reference.html").read_text()
    assert "pip install generative-zoo" in (tmp_path / "known.html").read_text()


@pytest.mark.parametrize("notebook", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_is_sound_and_has_no_output(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its recipes resolve, its Python compiles, its commands are commands; what they come to is ``make docs``'s."""
    monkeypatch.chdir(tmp_path)
    document = json.loads(notebook.read_text())
    assert not any(cell.get("outputs") for cell in document["cells"])
    for text in cells(notebook):
        if found := FILE.match(text):
            Path(found[1]).write_text(found[2])
        elif not text.startswith("!"):
            compile(text, notebook.name, "exec")
    registry = load_registry(tuple(Path().glob("*.py")))
    for file in Path().glob("*.yaml"):
        if not re.search("runs/|use: folder", file.read_text()):  # what the tutorial makes when it runs
            load_recipe(file, registry=registry)
