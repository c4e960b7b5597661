"""``zoo build``: what a run holds, going on after every kind of stop, and every way a directory can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import TINY, Outcome, Run, without_torch
from helpers.forks import Forks
from PIL import Image
from safetensors.torch import load_file

from zoo.errors import RunError
from zoo.runs import run as runs

FILES = [
    "data.json",
    "interpolations.png",
    "metrics.jsonl",
    "model.safetensors",
    "neighbours.png",
    "noise.png",
    "plugins.json",
]
FILES += ["recipe.yaml", "reconstructions.png", "report.html", "samples", "samples.png", "scores.json", "state"]
FILES += ["tensorboard", "traversals.png"]
pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def run(finished: Path, here: Path) -> Path:
    """A copy of the finished run, its recipe ``tiny.yaml`` here."""
    (here / "tiny.yaml").write_text(TINY)
    return Path(shutil.copytree(finished, here / "runs" / "tiny"))


def build(run_zoo: Run, *arguments: object, text: str = TINY) -> Outcome:
    Path("tiny.yaml").write_text(text)
    return run_zoo("build", "tiny.yaml", *arguments)


def weights(run: Path) -> dict[str, bytes]:
    """Every tensor of a run's model, bit for bit."""
    return {name: tensor.numpy().tobytes() for name, tensor in load_file(run / "model.safetensors").items()}


def steps(run: Path) -> list[int]:
    return [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()]


# -- what a run holds ----------------------------------------------------------------------------------------


def test_a_run_holds_what_is_promised(finished: Path) -> None:
    assert sorted(path.name for path in finished.iterdir()) == FILES
    plugins = json.loads((finished / "plugins.json").read_text())
    assert plugins["parts"]["encoder generative-zoo/dcgan"]["target"] == "zoo_dcgan.networks:Encoder"
    scores = json.loads((finished / "scores.json").read_text())
    assert {"n", "split", "size", "data", "batch_stats", "weights"} <= scores["mse"]["protocol"].keys()
    assert steps(finished) == [1, 2, 3]
    for name in (*(name for name in FILES if name.endswith(".png")), "samples/step-00000003.png"):
        with Image.open(finished / name) as picture:
            picture.verify()
    assert (finished / "report.html").read_text().count("<img") == 1 + 3 + 1 + 4 + 1 + 4 + 2


def test_the_resolved_recipe_of_a_run_builds_the_same_run(run_zoo: Run, run: Path) -> None:
    assert "up to date" in run_zoo("build", run / "recipe.yaml", "--out", run).out
    assert run_zoo("build", run / "recipe.yaml", "--out", "other").code == 0
    assert weights(Path("other")) == weights(run)


def test_a_finished_build_is_up_to_date_at_once_and_without_torch(run: Path, here: Path) -> None:
    before = weights(run)
    begin = time.monotonic()
    outcome = without_torch(["build", "tiny.yaml"], here)
    assert time.monotonic() - begin < 3
    assert outcome.code == 0
    assert "runs/tiny: up to date" in outcome.out
    assert weights(run) == before


@pytest.mark.parametrize("name", ["report.html", "reconstructions.png", "plugins.json", "scores.json"])
def test_a_file_that_was_lost_is_made_again(run_zoo: Run, run: Path, name: str) -> None:
    before = weights(run)
    (run / name).unlink()
    outcome = build(run_zoo)
    assert outcome.out.splitlines()[-1].startswith("runs/tiny: done")
    assert "training" not in outcome.err
    assert (run / name).is_file()
    assert weights(run) == before


def test_lost_weights_come_back_from_the_last_checkpoint(run_zoo: Run, run: Path) -> None:
    before = weights(run)
    (run / "model.safetensors").unlink()
    assert build(run_zoo).code == 0
    assert weights(run) == before


def test_a_recipe_without_samples_is_up_to_date_too(run_zoo: Run) -> None:
    text = TINY + "outputs: {sample: null}\nevaluate: {edges_sample: null, cycle: null}\n"
    assert build(run_zoo, text=text).code == 0
    assert not Path("runs/tiny/samples.png").exists()
    assert "up to date" in build(run_zoo, text=text).out


# -- going on ------------------------------------------------------------------------------------------------


def test_more_steps_continue_and_end_as_one_run_of_all_of_them(run_zoo: Run, run: Path) -> None:
    outcome = build(run_zoo, "--set", "train.steps=5")
    assert "continuing at step 3 of 5" in outcome.err
    assert steps(run) == [1, 2, 3, 4, 5]
    assert build(run_zoo, "--set", "train.steps=5", "--out", "whole").code == 0
    assert weights(run) == weights(Path("whole"))


def test_fewer_steps_than_there_are_is_refused(run_zoo: Run, run: Path) -> None:
    outcome = build(run_zoo, "--set", "train.steps=2")
    assert outcome.code == 2
    assert outcome.err == (
        "zoo: error: runs/tiny: has 3 steps in all, more than the 2 asked for; "
        "build it as it is with zoo build runs/tiny, or choose another --out\n"
    )
    assert steps(run) == [1, 2, 3]


def test_another_metric_or_output_scores_again_without_training(run_zoo: Run, run: Path) -> None:
    before = weights(run)
    outcome = build(run_zoo, "--set", "evaluate={mine: {use: mse, with: {reconstruction: decoded_prior}}}")
    assert outcome.code == 0, outcome.err
    assert "training" not in outcome.err
    assert list(json.loads((run / "scores.json").read_text())) == [
        "mse",
        "edges",
        "edges_sample",
        "mse_decoded",
        "edges_decoded",
        "pd-lite0",
        "cycle",
        "noise-use",
        "mine",
    ]
    assert weights(run) == before


def test_stages_one_by_one(run_zoo: Run, finished: Path) -> None:
    folder = Path("runs/tiny")
    assert build(run_zoo, "--stop-after", "assemble").out == "runs/tiny: assembled\n"
    assert sorted(p.name for p in folder.iterdir()) == ["data.json", "plugins.json", "recipe.yaml", "state"]
    assert build(run_zoo, "--stop-after", "train").out == "runs/tiny: trained\n"
    assert not (folder / "scores.json").exists()
    assert build(run_zoo, "--stop-after", "evaluate").out.endswith("\nruns/tiny: evaluated\n")
    assert not (folder / "report.html").exists()
    assert build(run_zoo).out.endswith("runs/tiny: done; open runs/tiny/report.html\n")
    assert weights(folder) == weights(finished)


LONG = TINY.replace("steps: 3", "steps: 40").replace("save_every: 2", "save_every: 3") + "evaluate: [mse]\n"


@pytest.fixture(scope="module")
def uninterrupted(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same recipe as the stopped ones, built without a stop, in a process of its own."""
    folder = tmp_path_factory.mktemp("uninterrupted")
    (folder / "tiny.yaml").write_text(LONG)
    assert forks.zoo("build", "tiny.yaml", cwd=folder).code == 0
    return folder / "runs" / "tiny"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_build_goes_on_and_ends_bit_for_bit_the_same(
    here: Path, run_zoo: Run, forks: Forks, uninterrupted: Path, number: signal.Signals
) -> None:
    (here / "tiny.yaml").write_text(LONG)
    once_saved = {"signal": number, "made": "runs/tiny/state/step-*.json"}  # a checkpoint's manifest comes last
    stopped = forks.zoo("build", "tiny.yaml", cwd=here, signals=[once_saved])
    if number == signal.SIGKILL:
        assert stopped.code == -signal.SIGKILL
    else:
        assert stopped.code == 130
        assert "stopped and saved: step " in stopped.log
        assert "Traceback" not in stopped.log
    assert not (here / "runs" / "tiny" / "model.safetensors").exists()
    again = run_zoo("build", "tiny.yaml")
    assert again.code == 0
    assert "continuing at step " in again.err
    assert weights(here / "runs" / "tiny") == weights(uninterrupted)
    assert steps(here / "runs" / "tiny") == steps(uninterrupted)
    for name in ("samples.png", "scores.json"):
        assert (here / "runs" / "tiny" / name).read_bytes() == (uninterrupted / name).read_bytes()


# -- directories that cannot be used ---------------------------------------------------------------------------


@pytest.mark.usefixtures("run")
def test_another_recipe_in_the_same_directory_is_refused_with_what_differs(run_zoo: Run) -> None:
    outcome = build(run_zoo, "--set", "latent=6", "--set", "slots.encoder.width=8")
    assert outcome.code == 2
    assert outcome.err == (
        "zoo: error: runs/tiny: holds a run of another recipe: latent is 4 there and 6 here; "
        "slots.encoder.width is 4 there and 8 here. Choose another --out, or remove the directory\n"
    )
    assert "up to date" in build(run_zoo).out


def test_a_foreign_directory_is_left_alone(run_zoo: Run) -> None:
    Path("mine").mkdir()
    for name in ("d", "c", "b", "a"):
        Path("mine", name).write_text("precious")
    outcome = build(run_zoo, "--out", "mine")
    assert outcome.code == 2
    assert outcome.err == (
        "zoo: error: mine: is not a run (it has no recipe.yaml but holds a, b, c ...); choose another --out\n"
    )
    assert sorted(os.listdir("mine")) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("file", "file: is a file, not a directory; choose another --out"),
        ("file/below", "file/below: cannot be written: Not a directory; choose another --out"),
        ("/proc/zoo", "/proc/zoo: cannot be written: No such file or directory; choose another --out"),
    ],
)
def test_an_output_that_cannot_be_written(run_zoo: Run, out: str, said: str) -> None:
    Path("file").write_text("precious")
    outcome = build(run_zoo, "--out", out)
    assert (outcome.code, outcome.err) == (2, f"zoo: error: {said}\n")
    assert Path("file").read_text() == "precious"


def test_two_builds_of_one_run_at_once(run_zoo: Run, run: Path) -> None:
    (run / "report.html").unlink()
    with runs.Run(run):
        outcome = build(run_zoo)
    assert outcome.code == 1
    assert outcome.err == (
        "zoo: error: runs/tiny: another process is building here; wait for it, or choose another --out\n"
    )
    assert build(run_zoo).code == 0


@pytest.mark.parametrize("call", ["fsync", "write"])
def test_a_full_disk_is_a_sentence_and_nothing_is_lost(
    run_zoo: Run, run: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        if call == "fsync":
            patch.setattr(os, "fsync", full)
        else:
            patch.setattr(os, "replace", full)
        outcome = build(run_zoo, "--set", "train.steps=5")
    assert outcome.code == 1
    assert outcome.err.splitlines()[-1] == (
        "zoo: error: runs/tiny/history.json: cannot be written: No space left on device; free some space and run again"
    )
    assert {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()} == before
    assert build(run_zoo, "--set", "train.steps=5").code == 0


def test_a_disk_that_fills_up_while_training(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.fsync

    def full_later(file: int) -> None:
        if list(Path("runs/tiny/state").glob("step-*.json")):  # the first checkpoint still had room
            raise OSError(28, "No space left on device")
        real(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full_later)
        outcome = build(run_zoo)
    assert (outcome.code, "No space left on device" in outcome.err) == (1, True)
    again = build(run_zoo)
    assert (again.code, "continuing at step 2 of 3" in again.err) == (0, True)


def test_a_write_is_whole_or_not_at_all(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs.write_atomically(here / "file", b"one")

    def broken(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(RunError, match=r"file: cannot be written: Input/output error; the disk failed"):
        runs.write_atomically(here / "file", b"two")
    assert (here / "file").read_bytes() == b"one"
    assert os.listdir(here) == ["file"]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(run_zoo: Run, run: Path) -> None:
    (run / "model.safetensors").unlink()
    newest = sorted((run / "state").glob("step-*"))[-1]
    newest.write_bytes(newest.read_bytes()[:100])
    outcome = build(run_zoo)
    assert outcome.code == 0
    assert f"runs/tiny/state/{newest.name}: cannot be read" in outcome.err
    assert "continuing at step 2 of 3" in outcome.err


# -- data ----------------------------------------------------------------------------------------------------

FOLDER = TINY.replace("{size: 8, train: 64, test: 8}", "{use: folder, path: images, size: 8, test: 0.25}")


def pictures(count: int) -> None:
    Path("images").mkdir()
    random = np.random.default_rng(0)
    for i in range(count):
        Image.fromarray(random.integers(0, 256, (12, 10, 3), np.uint8)).save(f"images/{i}.png")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: None, "does not exist; give a directory of images."),
        (lambda: Path("images").write_text(""), "is no directory; give one that holds images."),
        (lambda: Path("images").mkdir(), "holds no image (.png .jpg"),
        (lambda: pictures(1), "holds one good image; add another, for train and test need one each."),
    ],
)
def test_a_folder_without_images(run_zoo: Run, make: Any, said: str) -> None:
    make()
    outcome = build(run_zoo, text=FOLDER)
    assert outcome.code == 2
    last = outcome.err.splitlines()[-1]
    assert last.startswith("tiny.yaml:2:1: error: data 'folder': folder: ")
    assert said in last


def test_unreadable_files_among_good_ones_are_named_counted_and_skipped(run_zoo: Run) -> None:
    pictures(12)
    Path("images/torn.png").write_bytes(Path("images/0.png").read_bytes()[:60])
    Path("images/empty.jpg").write_bytes(b"")
    Path("images/notes.txt").write_text("no image, and passed over")
    outcome = build(run_zoo, text=FOLDER)
    assert outcome.code == 0
    [note] = [line for line in outcome.err.splitlines() if "skipped" in line]
    assert "skipped 2 of 14 files" in note
    assert "empty.jpg" in note
    assert "torn.png" in note
    report = Path("runs/tiny/report.html").read_text()
    assert "skipped 2 of 14 files" in report
    strict = build(run_zoo, "--out", "strict", "--set", "data.on_error=error", text=FOLDER)
    assert (strict.code, "2 of 14 files" in strict.err) == (2, True)


# -- requests ------------------------------------------------------------------------------------------------


def test_a_device_that_is_not_there(run_zoo: Run) -> None:
    outcome = build(run_zoo, "--device", "abacus")
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1].startswith("zoo: error: --device abacus: cannot be used here (")
    assert outcome.err.endswith("); choices: auto, cpu, cuda\n")


def test_a_recipe_that_is_not_there(run_zoo: Run) -> None:
    outcome = run_zoo("build", "avea")
    assert (outcome.code, outcome.err) == (2, "zoo: error: there is no recipe 'avea'; did you mean 'avae'?\n")
    assert run_zoo("build", ".").err == "zoo: error: . is a directory, not a recipe\n"


def test_training_that_diverges_is_a_sentence_and_names_the_term(run_zoo: Run) -> None:
    outcome = build(run_zoo, "--set", "train.optimizer={use: sgd, lr: 1e30}", "--set", "train.steps=20")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    last = outcome.err.splitlines()[-1]
    assert last.startswith("zoo: error: step ")
    assert "of row '" in last


def test_a_fault_of_a_plugin_is_a_sentence_too(run_zoo: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("one over nothing")

    monkeypatch.setattr("zoo.metrics.evaluate.evaluate", broken)
    outcome = build(run_zoo)
    assert outcome.code == 1
    last = outcome.err.splitlines()[-1]
    assert last.startswith(f"zoo: error: ZeroDivisionError at {__file__}:")
    assert last.endswith(": one over nothing (ZOO_DEBUG=1 shows the whole traceback)")
    monkeypatch.setenv("ZOO_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        build(run_zoo)


@pytest.mark.usefixtures("run")
def test_json_of_a_build_and_of_a_failure(run_zoo: Run) -> None:
    document = json.loads(build(run_zoo, "--json").out)
    assert (document["state"], document["folder"]) == ("up to date", "runs/tiny")
    assert json.loads(build(run_zoo, "--json", "--out", "new").out)["state"] == "done"
    failed = build(run_zoo, "--json", "--set", "latent=0")
    assert failed.code == 2
    assert json.loads(failed.out)["error"] == failed.err.strip()


def test_who_reads_the_files_does_not_make_another_run(run_zoo: Run) -> None:
    pictures(12)
    assert build(run_zoo, text=FOLDER).code == 0
    assert "up to date" in build(run_zoo, "--set", "data.workers=1", text=FOLDER).out
    assert build(run_zoo, "--set", "data.workers=1", "--set", "train.steps=4", text=FOLDER).code == 0
