"""What ``docs/audit.md`` shows of each kind has that problem, and its twin has none."""

from __future__ import annotations

import museum
import pytest

import zoo
from zoo.auditing import Found

SHOWN = [pytest.param(kind, lines, id=kind) for kind, lines in museum.shown()]


def found_in(lines: str) -> Found:
    with zoo.audit() as found:
        museum.run(lines, steps=8, looks=())
    return found


@pytest.mark.parametrize(("kind", "lines"), SHOWN)
def test_each_kind_is_found_in_its_lines_and_nothing_in_the_twin(kind: str, lines: str) -> None:
    found = found_in(lines)
    assert {problem.kind for problem in found.problems} == {kind}, found.text()
    twin = found_in(museum.repaired(lines))
    assert not twin.problems, twin.text()
