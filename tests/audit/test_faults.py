"""Every kind of problem is found in loops that have it, in none of their repaired twins; no loss is changed by it."""

from __future__ import annotations

from collections import Counter

import faulty_gradients  # noqa: F401 - they register their loops
import faulty_modes  # noqa: F401
import faulty_steps  # noqa: F401
import pytest
import torch
from nets import FAULTY, Loop

import zoo
from zoo.auditing import Found


def run(loop: Loop, faulty: bool) -> list[float]:
    torch.manual_seed(0)
    return loop(faulty)


def audited(loop: Loop, faulty: bool) -> tuple[list[float], Found]:
    with zoo.audit() as found:
        losses = run(loop, faulty)
    return losses, found


CASES = [pytest.param(kind, loop, id=f"{kind}: {loop.__name__}") for kind, loop in FAULTY]


@pytest.mark.parametrize(("kind", "loop"), CASES)
def test_a_planted_fault_is_found_and_its_losses_stay(kind: str, loop: Loop) -> None:
    losses, found = audited(loop, True)
    assert kind in {problem.kind for problem in found.problems}, found.text()
    assert losses == run(loop, True)
    others = {problem.kind for problem in found.problems} - {kind} - ALSO.get(loop.__name__, set())
    assert not others, found.text()


@pytest.mark.parametrize("loop", [pytest.param(loop, id=loop.__name__) for _, loop in FAULTY])
def test_its_repaired_twin_gives_no_alarm(loop: Loop) -> None:
    losses, found = audited(loop, False)
    assert not found.problems, found.text()
    assert losses == run(loop, False)


def test_every_kind_has_three_loops_and_more() -> None:
    assert min(Counter(kind for kind, _ in FAULTY).values()) >= 3


ALSO: dict[str, set[str]] = {"head_replaced_after_the_optimiser": {"never receives"}}
"""What else a planted fault rightly brings with it."""
