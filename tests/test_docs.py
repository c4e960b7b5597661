"""What the README and the docs show works: recipes resolve, Python runs, the routing table is the real one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from zoo.recipe import load_recipe
from zoo.recipe.routes import routes
from zoo.recipe.yaml.read import read
from zoo.registry import load_registry

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
OWN = ("audit.md", "compare.md", "export.md", "plugins.md")
"""Pages whose blocks have a test file of their own."""
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(language: str) -> list[pytest.param]:
    return [
        pytest.param(text, id=f"{page.name}-{number}")
        for page in PAGES
        if page.name not in OWN
        for number, (kind, text) in enumerate(BLOCK.findall(page.read_text()))
        if kind == language
    ]


@pytest.mark.parametrize("text", [each for each in blocks("yaml") if "use: codes" not in each.values[0]])
def test_recipes_resolve(text, tmp_path):
    written = read(text, "block").plain()
    for name in ("cat", "dog"):
        (tmp_path / "pets" / name).mkdir(parents=True)  # whose sub-folders are classes
    file = tmp_path / "recipe.yaml"
    file.write_text(text if "extends" in written else f"extends: {_base(written)}\n{text}")
    load_recipe(file)


def _base(written: dict) -> str:
    """The bundled recipe that a fragment is said of."""
    rows = str(written.get("phases", ""))
    values = written.get("values", {})
    if "decoded_prior" in values.values():
        return "vaegan"
    return "gan" if "rows" in rows and "encoder" not in rows else "avae"


@pytest.mark.usefixtures("few_photos")
@pytest.mark.parametrize("text", blocks("python"))
def test_python_runs(text, tmp_path, monkeypatch):
    """As it is, but for the number of steps."""
    monkeypatch.chdir(tmp_path)
    exec(compile(re.sub(r"train\.steps=\d+", "train.steps=2", text), "block", "exec"), {"__name__": "block"})


def test_the_readme_plugin_is_a_plugin(tmp_path):
    text = next(p.values[0] for p in blocks("python") if "hookimpl" in p.values[0])
    file = tmp_path / "readme_parts.py"
    file.write_text(text)
    recipe = load_recipe("vae", ["phases.0.encoder + decoder.huber={delta: 0.2, weight: 5}"], load_registry((file,)))
    assert [t.label for t in recipe.phases[0].rows[0].terms] == ["reconstruction", "kl", "huber"]


def test_the_readme_shows_the_real_routing_table():
    (shown,) = re.findall(r"<!-- routes: avae -->\n```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert shown == routes(load_recipe("avae")) + "\n"


def test_every_link_leads_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
            if not target.startswith("https://"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
