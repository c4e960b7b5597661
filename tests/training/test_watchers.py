"""Watchers of plugins see every record, and can neither stop a training nor change it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, Outcome, Run

PLUGIN = """
import random
import torch
from zoo import api

@api.hookimpl
def zoo_components():
    return [api.Component("watcher", name, f"my_watchers:{name.title()}", "one")
            for name in ("notes", "falls", "refuses", "greedy")]

class Notes:
    def __init__(self, folder, *, file: str = "notes.txt"):
        self.path = folder / file
    def write(self, *what):
        with self.path.open("a") as file: print(*what, file=file)
    def start(self, step, steps, batch): self.write("start", step, steps, batch)
    def log(self, record): self.write("log", record.step, *sorted(record.losses)); torch.rand(3); random.random()
    def end(self): self.write("end")
    def scores(self, step, values): self.write("scores", step, *values)

class Falls(Notes):
    def __init__(self, folder):
        self.path = folder / "falls.txt"
    def log(self, record):
        super().log(record)
        raise OSError("no space on the dashboard")

class Refuses:
    def __init__(self): raise ValueError("log in first: dashboard login")

class Greedy:
    def __init__(self, model): ...
"""


Build = Callable[..., Outcome]


@pytest.fixture(scope="session")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Imported once in a process, so one file for all."""
    file = tmp_path_factory.mktemp("watchers") / "my_watchers.py"
    file.write_text(PLUGIN)
    return file


@pytest.fixture
def build(here: Path, run_zoo: Run, plugin: Path) -> Build:
    """``zoo build`` of a tiny recipe that is watched."""

    def run(watch: str, *arguments: object) -> Outcome:
        (here / "tiny.yaml").write_text(TINY + f"watch: {watch}\n")
        return run_zoo("build", "tiny.yaml", "--plugin", plugin, *arguments)

    return run


def test_a_watcher_sees_the_start_every_record_and_the_end(build: Build) -> None:
    assert build("{notes: {file: seen.txt}}").code == 0
    start, *logs, end, scores = Path("runs/tiny/seen.txt").read_text().splitlines()
    assert (start, end) == ("start 0 3 4", "end")
    assert scores == "scores 3 mse edges edges_sample mse_decoded edges_decoded pd-lite0 cycle noise-use"
    journal = [json.loads(line) for line in Path("runs/tiny/metrics.jsonl").read_text().splitlines()]
    assert logs == [" ".join(["log", str(r["step"]), *sorted(r["losses"])]) for r in journal]


def test_one_that_fails_is_said_once_left_out_and_changes_nothing(build: Build) -> None:
    outcome = build("[falls, notes]", "--out", "watched")
    assert outcome.code == 0
    said = [line for line in outcome.errors if "watcher" in line]
    assert said == ["watcher 'falls' failed in log() and is left out from here on: OSError: no space on the dashboard"]
    assert len(Path("watched/falls.txt").read_text().splitlines()) == 2  # its start and one record
    assert len(Path("watched/notes.txt").read_text().splitlines()) == 6
    assert build("[]", "--out", "alone").code == 0
    assert Path("watched/model.safetensors").read_bytes() == Path("alone/model.safetensors").read_bytes()


def test_who_looks_on_does_not_make_another_run(build: Build) -> None:
    assert build("[]").code == 0
    assert "up to date" in build("[notes]").out


def test_one_that_cannot_be_made_stops_before_the_training(build: Build) -> None:
    outcome = build("[refuses]")
    assert outcome.code == 2
    assert outcome.errors[-1] == "tiny.yaml:7:9: error: watcher 'refuses': log in first: dashboard login"
    outcome = build("[greedy]")
    assert outcome.code == 2
    assert "watcher 'greedy' asks for 'model'; a watcher is given 'folder' and 'recipe' only" in outcome.err


def test_a_score_without_a_number_is_not_told(build: Build) -> None:
    absent = "evaluate.own={use: fid, pretrained: nowhere.pth, optional: true}"
    alone = ("--set", "evaluate=null", "--set", "evaluate.mse=mse", "--set", absent)
    assert build("{notes: {file: seen.txt}}", *alone).code == 0
    assert Path("runs/tiny/seen.txt").read_text().splitlines()[-1] == "scores 3 mse"


# -- TensorBoard -------------------------------------------------------------------------------------------------


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard itself reads from its files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    read = EventAccumulator(str(folder), purge_orphaned_data=True).Reload()
    return {tag: [(event.step, event.value) for event in read.Scalars(tag)] for tag in read.Tags()["scalars"]}


def test_tensorboard_reads_the_losses_and_scores_of_a_run(finished: Path) -> None:
    found = scalars(finished / "tensorboard")
    journal = [json.loads(line) for line in (finished / "metrics.jsonl").read_text().splitlines()]
    for name in journal[0]["losses"]:
        expected = [(record["step"], pytest.approx(record["losses"][name], rel=1e-6)) for record in journal]
        assert found.pop(f"loss/{name}".replace(" + ", "_and_")) == expected
    for name, score in json.loads((finished / "scores.json").read_text()).items():
        assert found.pop(f"score/{name}") == [(3, pytest.approx(score["value"], rel=1e-6))]
    assert [step for step, _ in found.pop("images_per_s")] == [1, 2, 3]
    assert not found


def test_a_training_taken_up_again_has_every_step_once(here: Path, run_zoo: Run) -> None:
    (here / "tiny.yaml").write_text(TINY)
    assert run_zoo("build", "tiny.yaml", "--set", "train.steps=2").code == 0
    assert run_zoo("build", "tiny.yaml", "--set", "train.steps=5").code == 0
    found = scalars(here / "runs/tiny/tensorboard")
    assert [step for step, _ in found["images_per_s"]] == [1, 2, 3, 4, 5]


def test_no_tensorboard(here: Path, run_zoo: Run) -> None:
    (here / "tiny.yaml").write_text(TINY)
    assert run_zoo("build", "tiny.yaml", "--no-tensorboard").code == 0
    assert not (here / "runs/tiny/tensorboard").exists()
    assert "up to date" in run_zoo("build", "tiny.yaml").out


# -- trackers that are extras ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "package"), [("wandb", "wandb"), ("mlflow", "mlflow")])
def test_a_tracker_that_is_not_installed_names_its_extra(
    name: str, package: str, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    outcome = build(f"[{name}]")
    assert outcome.code == 2
    sentence = f"watcher '{name}': it needs {package}: pip install 'generative-zoo[{name}]'"
    assert outcome.errors[-1] == f"tiny.yaml:7:9: error: {sentence}"


def test_wandb_has_the_run(build: Build) -> None:
    pytest.importorskip("wandb", reason="the extra 'wandb' is not installed")
    assert build("[{wandb: {mode: offline}}]", "--set", "train.steps=2").code == 0
    assert build("[{wandb: {mode: offline}}]", "--set", "train.steps=4").code == 0
    kept = b"".join(file.read_bytes() for file in Path("runs/tiny/wandb").rglob("*.wandb"))
    for name in (b"loss/critic/discriminate", b"images_per_s", b"score/mse"):
        assert name in kept


def test_mlflow_has_the_run(build: Build, tmp_path: Path) -> None:
    mlflow = pytest.importorskip("mlflow", reason="the extra 'mlflow' is not installed")
    store = f"sqlite:///{tmp_path / 'store.db'}"  # what MLflow itself keeps runs in where nothing is said
    for steps in (2, 4):
        assert build(f"[{{mlflow: {{uri: '{store}'}}}}]", "--set", f"train.steps={steps}").code == 0
    client = mlflow.MlflowClient(store)
    [run] = client.search_runs([client.get_experiment_by_name("zoo").experiment_id])
    assert run.data.params["train.batch"] == "4"
    assert run.info.status == "FINISHED"
    assert run.data.metrics.keys() >= {"loss/critic/discriminate", "score/mse", "images_per_s"}
    history = client.get_metric_history(run.info.run_id, "loss/critic/discriminate")
    assert [metric.step for metric in history] == [1, 2, 3, 4]


def test_progress_is_of_steps_whatever_the_batch_was(capfd: pytest.CaptureFixture[str]) -> None:
    """A training that goes on under another batch has seen other numbers of images than steps of this one would."""
    from zoo.api import Record
    from zoo.training.watchers import ProgressWatcher

    shown = ProgressWatcher()
    shown.start(step=20, steps=40, batch=64)
    for step in (30, 40):
        shown.log(Record(step, 20 * 8 + (step - 20) * 64, 1.0, 100.0, {"vae/kl": 1.0}))
    shown.end()
    said = capfd.readouterr().err
    assert "step 40/40" in said
    assert "-" not in said.partition("images/s")[0].replace("step 40/40", "")
