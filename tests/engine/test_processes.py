"""Several processes that train one model: they are one process with the whole batch."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import TINY
from helpers.engine import BATCH, SLOTS, differing
from helpers.forks import Forks, Life
from safetensors.torch import load_file
from torch import nn

from zoo.draws import Draw, Shard
from zoo.errors import RequestError
from zoo.machine.processes import check_shares, joined
from zoo.model.batch_norm import synchronise

QUICK = "evaluate: [mse]\n"
"""For others each process imports torchvision: three seconds."""
CPU = {"device": torch.device("cpu"), "dtype": torch.float32}


def ended_well(lives: list[Life]) -> str:
    """What they said, once all went well."""
    said = "".join(life.log for life in lives)
    assert not any(life.code for life in lives), said
    return said


def until_there(file: Path) -> None:
    for _ in range(1200):
        if file.exists() and file.stat().st_size:
            return
        time.sleep(0.05)
    raise AssertionError(f"{file} is not there after a minute")


def torchrun(count: int, *command: str, cwd: Path) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]  # on a port that is free
    return subprocess.Popen([sys.executable, *launcher, *command], stderr=subprocess.PIPE, text=True, cwd=cwd)


@pytest.fixture(scope="module")
def ranks(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What ``tests/helpers/ranks.py`` found in four processes."""
    file = tmp_path_factory.mktemp("ranks") / "found.pt"
    ended_well(forks.ranks(4, file, module="helpers.ranks", cwd=file.parent))
    found: dict[str, Any] = torch.load(file)
    return found


@pytest.mark.parametrize("name", SLOTS)
def test_n_processes_are_one_with_the_whole_batch(ranks: dict[str, Any], name: str) -> None:
    """Weights, statistics of batch norm and losses after three steps, in single precision."""
    found = ranks["found"][name]
    assert found["alone"].keys() == found["shared"].keys()
    for key, expected in found["alone"].items():
        torch.testing.assert_close(
            found["shared"][key], expected, rtol=1e-6, atol=1e-6, msg=lambda m, k=key: f"{k}: {m}"
        )


@pytest.mark.parametrize("name", SLOTS)
def test_parts_in_processes_are_as_many_parts_in_one(ranks: dict[str, Any], name: str) -> None:
    """Each part has its own batch norm statistics, wherever it is computed; the running ones see fewer parts each."""
    found = ranks["found"][name]
    for key, expected in found["alone in parts"].items():
        if "running" not in key and "tracked" not in key:
            torch.testing.assert_close(found["shared in parts"][key], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", SLOTS)
def test_every_process_holds_the_same_to_the_last_bit(ranks: dict[str, Any], name: str) -> None:
    first, *others = (each[name] for each in ranks["everybody"])
    assert len(others) == 3
    for other in others:
        for key, value in first.items():
            assert torch.equal(other[key], value), key


@pytest.mark.parametrize("name", SLOTS)
def test_a_step_takes_one_collective_for_each_optimiser_at_most(ranks: dict[str, Any], name: str) -> None:
    collectives, optimizers = ranks["found"][name]["collectives"]
    assert 1 <= collectives <= optimizers


@pytest.mark.promise("Two processes that train together go on bit for bit.")
def test_zoo_build_in_two_processes(forks: Forks, tmp_path: Path) -> None:
    """One run, written by the first; stopped half way it goes on, to the last bit; what one
    process makes, but for rounding."""
    options = "train: {sync_batch_norm: true, optimizer: {use: sgd, lr: 1.0e-5}}"  # samples on the way are the first's
    recipe = tmp_path / "tiny.yaml"
    plain = TINY.replace(", optimizer: {rate: 1.0}}", "}").replace("train: {", options[:-1] + ", ")
    recipe.write_text(f"batch_stats: batch\n{plain}{QUICK}")
    build = ("build", "tiny.yaml", "--device", "cpu")
    ended_well(forks.ranks(2, *build, "--set", "train.steps=2", cwd=tmp_path))
    assert ended_well(forks.ranks(2, *build, cwd=tmp_path)).count("continuing at step 2 of 3") == 1
    assert "up to date" in ended_well(forks.ranks(2, *build, cwd=tmp_path))
    ended_well(forks.ranks(2, *build, "--out", "runs/straight", cwd=tmp_path))
    weights = [load_file(tmp_path / "runs" / name / "model.safetensors") for name in ("tiny", "straight")]
    assert not differing(*weights)
    ended_well(forks.ranks(1, *build, "--out", "runs/alone", cwd=tmp_path))
    alone, shared = (load_file(tmp_path / "runs" / name / "model.safetensors") for name in ("alone", "tiny"))
    for key, expected in alone.items():
        torch.testing.assert_close(shared[key], expected, rtol=1e-5, atol=1e-6)
    scores = [(tmp_path / "runs" / name / "scores.json").read_text() for name in ("alone", "tiny")]
    assert scores[0].count('"value"') == scores[1].count('"value"') > 0


def test_torchrun_is_told_to_stop(forks: Forks, tmp_path: Path) -> None:
    """``torchrun -m zoo build``: all finish the same step, the first saves and says so; the same command goes on."""
    (tmp_path / "tiny.yaml").write_text(TINY + QUICK)
    build = ("build", "tiny.yaml", "--device", "cpu", "--set", "train.log_every=1")
    with torchrun(2, "-m", "zoo", *build, "--set", "train.steps=100000", cwd=tmp_path) as long:
        assert long.stderr
        until_there(tmp_path / "runs" / "tiny" / "metrics.jsonl")
        long.terminate()
        said = long.stderr.read()
        long.wait(60)
    (stopped,) = re.findall(r"stopped and saved: step (\d+) of 100000; go on with the same command", said)
    assert "another process" not in said
    on = forks.ranks(2, *build, "--set", f"train.steps={int(stopped) + 2}", cwd=tmp_path)
    assert f"continuing at step {stopped} of" in ended_well(on)


@pytest.mark.parametrize(
    ("device", "cure"),
    [("cdua", "--device cdua: cannot be used here"), ("meta", "several processes train on cpu or cuda, not on meta")],
)
def test_a_device_that_cannot_be_had_is_refused_by_all(device: str, cure: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RequestError, match=cure), joined(device):
        pass


def test_an_environment_that_torchrun_did_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(RequestError, match="WORLD_SIZE=two: is no number of processes"), joined():
        pass


# -- what needs no second process --------------------------------------------------------------------------


def test_shares_of_a_draw_are_the_draw() -> None:
    """What is drawn in rows is shared out; what is not is everybody's."""
    whole = Draw(0, "z", **CPU)  # type: ignore[arg-type]
    shares = [Draw(0, "z", rows=2, shard=Shard(i, 3), **CPU) for i in range(3)]
    expected = whole.normal(6, 5)
    assert torch.equal(torch.cat([share.normal(2, 5) for share in shares]), expected)
    expected = whole.uniform(4)
    assert all(torch.equal(share.uniform(4), expected) for share in shares)


def test_a_batch_that_cannot_be_shared_out_is_refused() -> None:
    with pytest.raises(RequestError, match=r"train.batch 6 .* among 2 processes of 2 parts"):
        check_shares(6, 2, 2)


def test_a_batch_norm_of_its_own_kind_is_not_lost() -> None:
    class Own(nn.BatchNorm2d):
        pass

    with pytest.raises(RequestError, match=r"train.sync_batch_norm: Own is not torch's batch norm"):
        synchronise(nn.Sequential(nn.Conv2d(1, 1, 1), Own(1)))


def test_one_part_of_one_process_changes_nothing() -> None:
    assert Shard().part(0, 1) == Shard()
    assert torch.equal(Shard(1, 2).of(torch.arange(BATCH)), torch.arange(BATCH)[BATCH // 2 :])
