"""Seconds of what ``make soak`` does for half an hour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from helpers.forks import Forks
from soak import soak

SECONDS = 15


@pytest.mark.promise(
    "Kills every few seconds, little memory, a full disk now and then: memory flat within 3 %, no file or process "
    "leaked, the result bit for bit."
)
def test_a_short_soak(forks: Forks, tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    seen = soak(forks, tmp_path, SECONDS / 60)
    record_property("cases", sum(seen.ends.values()))
    assert not seen.wrong, "\n".join(seen.wrong)
    assert sum(count for end, count in seen.ends.items() if end.startswith("finished")) == 1, seen.ends
    assert seen.ends.total() > 3, seen.ends
