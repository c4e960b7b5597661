"""A build is killed at random moments of its whole life, again and again, until it finishes."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.forks import Forks

from faults.kills import CHAINS_AT_ONCE, killed_often, undisturbed
from faults.runs import RECIPES

KILLS = int(os.environ.get("ZOO_KILLS", "100"))


@pytest.mark.promise("Killed anywhere, `zoo build` goes on and ends bit for bit as if it had not been.")
def test_random_kills(forks: Forks, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    wholes = [undisturbed(forks, tmp_path, name, recipe) for name, recipe in RECIPES.items()]
    shares = [KILLS * share // 100 for share in (30, 30, 40)]
    tally = killed_often(forks, wholes, shares)
    record_property("cases", tally.kills)
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.kills == CHAINS_AT_ONCE * sum(share // CHAINS_AT_ONCE for share in shares)
    assert set(tally.stages) == {"starting", "assembling", "training", "evaluating"}, tally
