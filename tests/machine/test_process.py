"""How long torch's threads wait for work in the command line's own process."""

from __future__ import annotations

import os
import sys

import pytest
from conftest import python

from zoo.machine.process import SPINS, WAITING, own_process


@pytest.fixture(autouse=True)
def _nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in WAITING:
        monkeypatch.delenv(name, raising=False)


def test_they_look_for_work_a_thousand_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    with own_process():
        assert os.environ[SPINS] == "10000"
    assert SPINS not in os.environ


@pytest.mark.parametrize("name", WAITING)
def test_who_chose_has_chosen(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    monkeypatch.setenv(name, "5")
    with own_process():
        assert {key: os.environ[key] for key in WAITING if key in os.environ} == {name: "5"}
    assert os.environ[name] == "5"


def test_where_torch_is_there_already_it_is_too_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    with own_process():
        assert SPINS not in os.environ


def test_torch_has_read_it() -> None:
    """Libgomp says itself what it goes by."""
    code = "from zoo.machine.process import *\nwith own_process(): import_torch()"
    assert "GOMP_SPINCOUNT = '10000'" in python("-c", code, env={"OMP_DISPLAY_ENV": "VERBOSE"}).err
