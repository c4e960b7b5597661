"""docs/reliability.md says what the tests hold: no promise without a test, no test that is not there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from reliability import PAGE, ROOT, page

TESTS = ROOT / "tests"


def declared() -> Iterator[tuple[str, str]]:
    """(promise, ``path::test``) of every marker in the tests."""
    for path in sorted(TESTS.rglob("test_*.py")):
        tree = ast.parse(path.read_text())
        constants = {
            target.id: node.value
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for function in (node for node in tree.body if isinstance(node, ast.FunctionDef)):
            for mark in function.decorator_list:
                if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.promise":
                    said = mark.args[0]
                    text = ast.literal_eval(constants[said.id] if isinstance(said, ast.Name) else said)
                    yield text, f"{path.relative_to(ROOT).as_posix()}::{function.name}"


def on_the_page() -> Iterator[tuple[str, str]]:
    for line in PAGE.read_text().splitlines():
        if row := re.fullmatch(r"\| (.*) \| (`tests/.*`) \| [\d,]+ \| [\d.]+ \|", line):
            yield from ((row[1], test.strip("`")) for test in row[2].split("<br>"))


def test_the_page_names_every_promise_and_only_tests_that_exist() -> None:
    there, said = set(declared()), set(on_the_page())
    assert there == said, "make reliability writes the page anew"


def test_numbers_are_added_up() -> None:
    told = [
        {"promise": "It holds.", "test": "tests/test_a.py::test_b", "cases": 2000, "seconds": 1.25},
        {"promise": "It holds.", "test": "tests/test_a.py::test_b", "cases": 1, "seconds": 1.0},
        {"promise": "It holds.", "test": "tests/test_a.py::test_c", "cases": 3, "seconds": 0.5},
    ]
    assert "| It holds. | `tests/test_a.py::test_b`<br>`tests/test_a.py::test_c` | 2,004 | 2.8 |" in page(told)
    assert "**2,004 cases in 1 promises, 3 seconds of tests.**" in page(told)
