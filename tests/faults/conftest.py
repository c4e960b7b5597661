"""One server of forks for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.forks import Forks
from faults.runs import AVAE


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """A server of forks."""
    with Forks(AVAE) as started:
        yield started
