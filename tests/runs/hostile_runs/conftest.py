"""A run, copies of it to be tampered with, and what must not happen whatever is done to them."""

from __future__ import annotations

import os
import pickle
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from helpers.runs import recipe, trained

from hostile_runs.crafted import CANARY
from zoo.engine.engine import Engine
from zoo.model.model import Model


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "run"
    trained(recipe("train.keep_last=1"), folder)
    return folder


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine(Model(recipe("train.keep_last=1")))


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


@pytest.fixture(autouse=True)
def _nothing_runs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No pickle is opened, and 300 MB are more than is taken."""

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("a pickle is read")

    for module, name in ((pickle, "load"), (pickle, "loads"), (pickle, "Unpickler"), (torch, "load")):
        monkeypatch.setattr(module, name, opened)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert CANARY not in os.environ
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000
