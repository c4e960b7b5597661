"""``zoo doctor``: a page of facts, and a sentence for each fault that is planted."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
from conftest import Run

import zoo

CACHE = "ZOO_CACHE"


def faults(run_zoo: Run) -> list[str]:
    outcome = run_zoo("doctor", "--json")
    found: list[str] = json.loads(outcome.out)["faults"]
    assert outcome.code == int(bool(found))
    return found


def test_a_sound_installation_has_facts_and_no_faults(
    run_zoo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path / "not" / "yet"))
    monkeypatch.setenv("OMP_PROC_BIND", "close")
    outcome = run_zoo("doctor")
    assert outcome.code == 0
    for told in (
        zoo.__version__,
        torch.__version__,
        sys.prefix,
        "OMP_PROC_BIND=close",
        f"{tmp_path}/not/yet",
        "GiB free",
    ):
        assert told in outcome.out
    assert outcome.out.endswith("nothing is wrong that can be seen here\n")


def test_a_torchvision_of_another_torch_is_told_with_its_cure(
    run_zoo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torchvision.py").write_text('raise RuntimeError("operator torchvision::nms does not exist")')
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    (found,) = faults(run_zoo)
    assert "importing torchvision" in found
    assert "operator torchvision::nms does not exist" in found
    assert f"beside torch {torch.__version__.split('+')[0]}" in found
    assert "pip install --force-reinstall torch torchvision" in found


def test_a_cache_that_others_may_write_to(run_zoo: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CACHE, str(tmp_path))
    tmp_path.chmod(0o755)
    assert faults(run_zoo) == []
    tmp_path.chmod(0o777)
    (found,) = faults(run_zoo)
    assert f"others may write to the cache {tmp_path}" in found
    assert f"chmod go-w {tmp_path}" in found


def test_a_cache_that_cannot_be(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("/dev/null/zoo", "/proc/nope"):
        monkeypatch.setenv(CACHE, place)
        (found,) = faults(run_zoo)
        assert found == f"the cache {place} cannot be written to; set ZOO_CACHE to a folder that can"
    monkeypatch.setenv(CACHE, "~nobody-of-this-name/zoo")
    (found,) = faults(run_zoo)
    assert found.startswith("there is no place for a cache: ")


def test_threads_that_are_no_number(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "zz")
    (found,) = faults(run_zoo)
    assert found.startswith("OMP_NUM_THREADS=zz is no number, so it is passed over: OMP_NUM_THREADS=")


def test_more_threads_than_cores(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4096)
    (found,) = faults(run_zoo)
    assert "torch takes 4096 threads" in found
    assert "OMP_NUM_THREADS=" in found


def test_a_plugin_that_does_not_load(run_zoo: Run, tmp_path: Path) -> None:
    file = tmp_path / "luckless.py"
    file.write_text("raise ValueError('no such luck')")
    outcome = run_zoo("doctor", "--plugin", file, "--json")
    assert outcome.code == 1
    assert "no such luck" in json.loads(outcome.out)["faults"][0]
