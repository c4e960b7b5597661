"""The arrows between rooms, and how large a room may be; read from the source, nothing is run."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import pytest
from conftest import python

import zoo
from zoo import api

ROOT = Path(__file__).parents[1]
ZOO = sorted((ROOT / "zoo").rglob("*.py"))
PLUGINS = sorted((ROOT / "plugins").rglob("*.py"))
PACKAGES = {path.name for path in (ROOT / "plugins").iterdir() if (path / "__init__.py").is_file()}
LONGEST_FUNCTION, LONGEST_FILE, MOST_DOORS, MOST_LINES = 40, 400, 25, 26_496

LAYERS = (
    {"__main__", "audit"},
    {"cli"},
    {"compare", "__init__"},
    {"training", "scoring", "auditing"},
    {"report", "testing", "bench"},
    {"check", "runs"},
    {"engine", "metrics"},
    {"data"},
    {"model"},
    {"recipe"},
    {"registry"},
    {"api"},
    {"types", "machine"},
    {"errors", "draws", "columns"},
)
"""Rooms of ``zoo/`` from the roof down: each imports only rooms of layers below its own."""

GRADIENTS = "zoo/engine/phases.py"
"""The only file of ``zoo/`` that takes a row's gradient."""
STEPS = {
    "zoo/engine/players.py": "the engine's players",
    "zoo/machine/torch_private.py": "does it for these, without torch's compiler",
    "zoo/check/assembly.py": "tries an optimiser on a number of its own",
    "zoo/check/cost.py": "counts an optimiser's moments on a parameter of its own",
    "zoo/testing/training.py": "checks an optimiser on a parabola of its own",
}
"""Who may call an optimiser's step, and why."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in ZOO}


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of every module, or name of one, that a file imports, wherever in it: ``zoo.api`` for ``from zoo
    import api``."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{named(path)}:{node.lineno}: relative import"
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def arrows(path: Path) -> Iterator[tuple[int, str]]:
    """Line and name of the modules of ``zoo`` that a file of it imports."""
    for line, name in imported(path):
        module = name if name in MODULES else name.rpartition(".")[0]
        if module in MODULES and MODULES[module] != path:
            yield line, module


def none(offenders: Iterable[str]) -> None:
    """Fails with all of them."""
    found = list(offenders)
    assert not found, "\n" + "\n".join(found)


# -- arrows --------------------------------------------------------------------------------------------------


def room(path: Path) -> str:
    return path.relative_to(ROOT / "zoo").parts[0].removesuffix(".py")


def test_rooms_import_only_rooms_below_them() -> None:
    layer = {name: number for number, names in enumerate(LAYERS) for name in names}
    assert {room(path) for path in ZOO} == set(layer)
    none(
        f"{named(path)}:{line}: '{room(path)}' imports '{module}', which is not below it"
        for path in ZOO
        for line, module in arrows(path)
        if room(path) != room(MODULES[module]) and layer[room(path)] >= layer[room(MODULES[module])]
    )


def test_no_files_import_each_other_in_a_circle() -> None:
    """A package's ``__init__`` stands above its files, so that they may not import from it."""
    graph = {module_of(path): {module for _, module in arrows(path)} for path in ZOO}
    below: set[str] = set()
    while layer := {module for module, needs in graph.items() if module not in below and needs <= below}:
        below |= layer
    none(f"{module} -> {', '.join(sorted(graph[module] - below))}" for module in sorted(graph.keys() - below))


def test_plugins_import_the_api_alone_and_no_other_plugin() -> None:
    def allowed(path: Path, name: str) -> bool:
        top, own = name.split(".")[0], path.relative_to(ROOT / "plugins").parts[0]
        return f"{name}.".startswith("zoo.api.") if top == "zoo" else top not in PACKAGES - {own}

    none(f"{named(p)}:{line}: {name}" for p in PLUGINS for line, name in imported(p) if not allowed(p, name))


def test_zoo_imports_no_plugin() -> None:
    none(f"{named(p)}:{line}: {name}" for p in ZOO for line, name in imported(p) if name.split(".")[0] in PACKAGES)


def test_the_api_and_zoo_import_nothing_heavy() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import zoo, zoo.api\n"
    code += "print(*{module.split('.')[0] for module in sys.modules} - sys.stdlib_module_names)"
    mine = set(python("-I", "-c", code).out.split())
    assert {name for name in mine if not name.startswith("_")} <= {"zoo", "pluggy", "sitecustomize", "usercustomize"}


def test_records_and_watchers_need_the_api_alone() -> None:
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from zoo import api; api.Record, api.Watcher\n"
    code += "print(*sorted(module for module in sys.modules if module.split('.')[0] == 'zoo'))"
    assert python("-I", "-c", code).out.split() == ["zoo", "zoo.api", "zoo.api.kinds"]


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """Calls of functions and methods: their dotted names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name):
            yield node.lineno, ast.unparse(node.func)


def test_only_the_engine_calls_backward_and_step() -> None:
    """A term may take a gradient for a penalty (``torch.autograd.grad``); nobody else in zoo takes one."""

    def allowed(path: Path, name: str) -> bool:
        if name.endswith(".backward"):
            return False
        if name == "take_step" or (name.endswith(".step") and "optim" in name):
            return named(path) in STEPS
        # zoo.testing checks gradients of other people's parts; it moves nothing
        return not name.endswith("autograd.grad") or path in PLUGINS or room(path) == "testing"

    assert any(name.endswith("autograd.grad") for _, name in calls(ROOT / GRADIENTS))
    files = [path for path in (*ZOO, *PLUGINS) if named(path) != GRADIENTS]
    none(f"{named(p)}:{line}: {name}()" for p in files for line, name in calls(p) if not allowed(p, name))


UNIX = {"fcntl", "grp", "posix", "pty", "pwd", "readline", "resource", "syslog", "termios", "tty"}
SIGNALS = {"SIGABRT", "SIGFPE", "SIGILL", "SIGINT", "SIGSEGV", "SIGTERM"}
"""Modules that Windows has not; and the signals that it has."""


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """What of a file runs when it is imported: all but the insides of functions."""
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield child
            yield from at_import(child)


def test_every_module_can_be_imported_on_windows() -> None:
    def missing(node: ast.AST) -> Iterator[str]:
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name in UNIX)
            case ast.ImportFrom(module=module) if module in UNIX:
                yield module
            case ast.Attribute(value=ast.Name(id="signal"), attr=name) if name[:3] == "SIG" and name not in SIGNALS:
                yield f"signal.{name}"
            case ast.Attribute(value=ast.Name(id="os"), attr=name) if name.startswith(("O_", "fork", "register_at")):
                yield f"os.{name}"

    files = (*ZOO, *PLUGINS)
    none(f"{named(p)}: {name}" for p in files for node in at_import(tree(p)) for name in missing(node))


# -- sizes ---------------------------------------------------------------------------------------------------


def test_files_and_functions_can_be_read_at_a_sitting() -> None:
    def too_long(path: Path) -> Iterator[str]:
        if (lines := len(path.read_text().splitlines())) > LONGEST_FILE:
            yield f"{named(path)} has {lines} lines"
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1 - docstring_lines(node)
                if length > LONGEST_FUNCTION:
                    yield f"{named(path)}:{node.lineno}: {node.name}() has {length} lines"

    none(said for path in (*ZOO, *PLUGINS) for said in too_long(path))


def docstring_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    if ast.get_docstring(node) is None:
        return 0
    return (first.end_lineno or 0) - first.lineno + 1


def test_the_house_has_few_doors_and_is_no_larger_than_it_needs_to_be() -> None:
    assert len({room(path) for path in ZOO}) <= MOST_DOORS
    others = ("audit", "scoring")  # which serve any script and any images, with a recipe or without
    zoo_alone = (path for path in ZOO if not room(path).startswith(others))
    assert sum(len(path.read_text().splitlines()) for path in zoo_alone) <= MOST_LINES


# -- what is public ------------------------------------------------------------------------------------------


def test_the_members_of_zoo() -> None:
    assert sorted(zoo.__all__) == ["audit", "build", "evaluate", "load", "save", "score", "train"]
    assert all(callable(getattr(zoo, name)) for name in (*zoo.__all__, "list"))
    with pytest.raises(AttributeError, match="has no attribute 'trian'"):
        zoo.trian  # noqa: B018


def test_every_hook_is_documented() -> None:
    hooks = [name for name in vars(api.Hooks) if name.startswith("zoo_")]
    assert hooks == ["zoo_components", "zoo_recipes"]
    pages = "".join(page.read_text() for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
    for hook in hooks:
        assert (getattr(api.Hooks, hook).__doc__ or "").strip()
    assert "zoo_components" in pages


def test_every_module_says_what_it_is() -> None:
    none(named(path) for path in (*ZOO, *PLUGINS) if not ast.get_docstring(tree(path)))
