"""The arrows between rooms, and how large a room may be; read from the source, nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import python

import zoo
from zoo import api

ROOT = Path(__file__).parents[1]
ZOO = sorted((ROOT / "zoo").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
PACKAGES = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").is_file()}
LONGEST_FUNCTION, LONGEST_FILE = 40, 400
STEPS = {
    "zoo/players.py": "the engine's players",
    "zoo/cost.py": "counts an optimiser's moments on a parameter of its own",
    "zoo/testing/optimizers.py": "checks an optimiser on a parabola of its own",
}
"""Who may call an optimiser's step, and why."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def imported(path: Path) -> Iterator[str]:
    """Every module, or name of one, that a file imports: ``zoo.api`` for ``from zoo import api``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{named(path)}:{node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", PLUGINS, ids=named)
def test_a_plugin_imports_the_api_alone_and_no_other_plugin(path: Path) -> None:
    own = path.relative_to(ROOT / "plugins").parts[0]
    for name in imported(path):
        top = name.split(".")[0]
        assert top != "zoo" or name == "zoo.api" or name.startswith("zoo.api."), name
        assert top not in PACKAGES - {own}, name


@pytest.mark.parametrize("path", ZOO, ids=named)
def test_zoo_imports_no_plugin(path: Path) -> None:
    assert not {name.split(".")[0] for name in imported(path)} & PACKAGES


def test_the_api_and_zoo_import_nothing_heavy() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import zoo, zoo.api\n"
    code += "print(*{module.split('.')[0] for module in sys.modules} - sys.stdlib_module_names)"
    mine = set(python("-I", "-c", code).out.split())
    assert {name for name in mine if not name.startswith("_")} <= {"zoo", "pluggy", "sitecustomize", "usercustomize"}


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Calls of methods: their dotted names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield ast.unparse(node.func), node.lineno


@pytest.mark.parametrize("path", [*ZOO, *PLUGINS], ids=named)
def test_only_the_engine_calls_backward_and_step(path: Path) -> None:
    """A term may take a gradient for a penalty (``torch.autograd.grad``); nobody else in zoo takes one."""
    if path == ROOT / "zoo" / "phases.py":
        assert any(name.endswith("autograd.grad") for name, _ in calls(path))
        assert not any(name.endswith(".backward") for name, _ in calls(path))
        return
    for name, line in calls(path):
        assert not name.endswith(".backward"), f"{named(path)}:{line}"
        assert named(path) in STEPS or not (name.endswith(".step") and "optim" in name), f"{named(path)}:{line}"
        # zoo.testing checks gradients of other people's parts; it moves nothing
        if path in ZOO and "testing" not in path.parts and path.name != "testing.py":
            assert not name.endswith("autograd.grad"), f"{named(path)}:{line}"


@pytest.mark.parametrize("path", [*ZOO, *PLUGINS], ids=named)
def test_files_and_functions_can_be_read_at_a_sitting(path: Path) -> None:
    lines = len(path.read_text().splitlines())
    assert lines <= LONGEST_FILE, f"{named(path)} has {lines} lines"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node)
            assert length <= LONGEST_FUNCTION, f"{named(path)}:{node.lineno}: {node.name}() has {length} lines"


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return 0
    return (first.end_lineno or 0) - first.lineno + 1


# -- what is public ------------------------------------------------------------------------------------------


def test_the_members_of_zoo() -> None:
    assert sorted(zoo.__all__) == ["build", "load", "train"]
    assert all(callable(getattr(zoo, name)) for name in zoo.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        zoo.trian  # noqa: B018


def test_every_hook_is_documented() -> None:
    hooks = [name for name in vars(api.Hooks) if name.startswith("zoo_")]
    assert hooks == ["zoo_components", "zoo_recipes"]
    pages = "".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for hook in hooks:
        assert (getattr(api.Hooks, hook).__doc__ or "").strip()
    assert "zoo_components" in pages


@pytest.mark.parametrize("path", [*ZOO, *PLUGINS], ids=named)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(tree(path)), named(path)
