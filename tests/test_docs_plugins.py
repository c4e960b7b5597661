"""``docs/plugins.md`` works as it stands: files are plugins, recipes check, commands print what the page shows.

A block whose first line is ``# NAME.py`` or ``# NAME.yaml`` is that file; all of them lie in one directory, where the
commands are run. In what a command prints, ``...`` stands for anything.
"""

from __future__ import annotations

import ast
import contextlib
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import Outcome, Run

from zoo import api
from zoo.cli.new_plugin import LAYOUT, TEMPLATES, parts_of, words_for
from zoo.registry import clear_cache, load_registry
from zoo.registry.catalogue import read
from zoo.registry.discovery import State
from zoo.testing import checks

PAGE = (Path(__file__).parent.parent / "docs" / "plugins.md").read_text()
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAMED = re.compile(r"# (\w+\.(?:py|yaml))\n")
BLOCKS = BLOCK.findall(PAGE)
FILES = {found[1]: text for _, text in BLOCKS if (found := NAMED.match(text))}


SHOWN_IN = dict.fromkeys(("value/reconstruction_of_class", "value/sample_of_class"), "classes.yaml")
SHOWN_IN |= {"value/painted": "pairs.yaml"}
"""Parts that no recipe of an installed package can use -> the recipe of the page that does."""


def unnamed(language: str) -> list[str]:
    return [text for kind, text in BLOCKS if kind == language and text not in FILES.values()]


[MAKES] = [text for text in unnamed("python") if text.startswith("# town/")]
"""Makes the folders that recipes of the page are of."""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory with every file of the page."""
    folder = tmp_path_factory.mktemp("page")
    for name, text in FILES.items():
        (folder / name).write_text(text)
    with contextlib.chdir(folder):
        exec(compile(MAKES, "block", "exec"), {})
    yield folder
    clear_cache()
    for name in FILES:
        sys.modules.pop(Path(name).stem, None)


@pytest.fixture
def page(written: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That directory, as the working directory; the user's settings are in it too."""
    monkeypatch.chdir(written)
    monkeypatch.setenv("ZOO_CONFIG", str(written / "settings"))
    return written


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {kind for kind, _ in BLOCKS} == {"python", "yaml", "console", "toml"}


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".py")])
def test_a_file_is_a_plugin_whose_parts_keep_their_contracts(page: Path, name: str) -> None:
    [plugin] = [p for p in load_registry((page / name,)).plugins if p.name == Path(name).stem]
    assert (plugin.state, plugin.reason) == ("ok", "")
    assert plugin.components
    shown = {part: file for part, file in SHOWN_IN.items() if part in {f"{c.kind}/{c.name}" for c in plugin.components}}
    for check in checks(page / name, recipes=shown):
        if check.kind != "plugin":  # a file may import torch, which a package's entry point may not
            check.run()


@pytest.mark.usefixtures("page", "few_photos")
@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
def test_a_recipe_checks(run_zoo: Run, name: str) -> None:
    plugins = [word for file in FILES if file.endswith(".py") for word in ("--plugin", file)]
    assert run_zoo("check", name, *plugins) == Outcome(0, f"{name}: ok\n", "")


@pytest.mark.usefixtures("page")
@pytest.mark.parametrize("text", unnamed("python"))
def test_python_runs(text: str) -> None:
    block: dict[str, Any] = {"__name__": "block"}
    exec(compile(text, "block", "exec"), block)
    if "test_contract" in block:
        [mark] = block["test_contract"].pytestmark
        assert not {"options", "recipes", "sizes", "expected failures"} & {case.values[0].name for case in mark.args[1]}


@pytest.mark.usefixtures("few_photos")
@pytest.mark.parametrize("text", unnamed("console"))
def test_commands_print_what_the_page_shows(page: Path, run_zoo: Run, text: str) -> None:
    for command, shown in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", text, re.MULTILINE):
        program, *words = shlex.split(command)
        assert program == "zoo", command
        outcome = run_zoo(*words)
        printed = outcome.err + outcome.out
        pattern = re.escape(shown).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, printed, re.DOTALL), f"{command}\n{printed}"
        assert outcome.code == (2 if ": error: " in shown else 0), command
    for made in page.iterdir():
        if made.is_dir() and made.name not in ("town", "things"):
            shutil.rmtree(made)


@pytest.mark.parametrize("text", unnamed("toml"))
def test_toml_is_that_of_a_new_plugin(text: str) -> None:
    entry_points = tomllib.loads(text)["project"]["entry-points"]["zoo"]
    words = words_for(next(iter(entry_points)))
    assert entry_points == {words["part"]: words["module"]}
    template = (TEMPLATES / LAYOUT["pyproject.toml"]).read_text()
    assert text in template.replace("$part", words["part"]).replace("$module", words["module"])


@pytest.mark.parametrize("text", unnamed("yaml"))
def test_yaml_that_is_no_recipe_is_a_registry(tmp_path: Path, text: str) -> None:
    """What it says of packages is what a new plugin provides."""
    (tmp_path / "registry.yaml").write_text(text)
    for distribution, package in read(tmp_path / "registry.yaml").packages.items():
        parts = [(kind, name) for kind, names in package.provides.items() for name in names]
        assert [*parts, *(("recipe", name) for name in package.recipes)] == parts_of(words_for(distribution))


# -- nothing of the API is left out --------------------------------------------------------------------------

HOOKS = [name for name in vars(api.Hooks) if name.startswith("zoo_")]
FIELDS = [field.name for cls in (api.Component, api.Recipe) for field in fields(cls)]


@pytest.mark.parametrize("name", [*HOOKS, *api.__all__, *FIELDS, *api.SIZES, *get_args(State)])
def test_the_page_names_it(name: str) -> None:
    prose = BLOCK.sub("", PAGE)
    forms = (rf"`{name}`", rf"`{name}\(", rf"`@?api\.{name}\b")
    assert any(re.search(form, prose) for form in forms), name


def test_the_table_of_kinds_has_them_all_in_their_order() -> None:
    table = PAGE.split("## What each kind promises")[1].split("\n\n")[1]
    kinds = [line.split("|")[1].strip() for line in table.splitlines()[2:]]
    assert kinds == [*api.KINDS, "recipe"]


def test_the_table_of_checks_is_that_of_zoo_testing() -> None:
    """What a class of one kind is checked for beyond its kind stands in a row below: ``... that owns networks``."""
    found: dict[str, set[str]] = {}
    for check in checks("generative-zoo"):
        found.setdefault(check.kind, set()).add(check.name)
    told: dict[str, set[str]] = {}
    for line in PAGE.split("| of | checks |\n|---|---|\n")[1].split("\n\n")[0].splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not cells[0].startswith("..."):
            kinds = set(api.KINDS) if cells[0] == "every part" else cells[0].split(", ")
        for kind in kinds:
            told.setdefault(kind, set()).update(cells[1].split(", "))
    for kind in ("encoder", "decoder", "generator", "module"):
        found[kind].add("double backward")  # which they may declare; the critics here do
    assert {kind: names - {"example"} for kind, names in found.items()} == {kind: told[kind] for kind in found}


def test_links_within_the_page_lead_to_a_heading() -> None:
    headings = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.*)", PAGE, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]*)\)", PAGE)) <= headings


def test_files_of_the_page_import_the_api_alone() -> None:
    for name, text in FILES.items():
        for node in ast.walk(ast.parse(text) if name.endswith(".py") else ast.Module([])):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("zoo"):
                assert [alias.name for alias in node.names] == ["api"], name
