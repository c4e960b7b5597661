"""Checkpoints are written beside the training, none is torn, the newest and the best stay."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time

import pytest
import torch
from helpers.engine import images
from helpers.runs import digest, recipe, restored, trained
from safetensors.torch import load_file, save_file

import zoo
from zoo.engine.engine import Engine
from zoo.errors import Interrupted, RecipeError, RunError, TrainingError
from zoo.model.model import Model
from zoo.model.tensorfile import NAMES, checked, pieces, tensors_in
from zoo.runs.checkpoint import checkpoints
from zoo.runs.checkpointer import Checkpointer, save_checkpoint
from zoo.runs.manifest import Score
from zoo.runs.run import Run
from zoo.runs.weights import load_weights, save_weights

QUICK = ("evaluate={mse: {use: mse}, psnr: {use: psnr}}",)


def step(engine: Engine) -> None:
    engine.step(lambda turn: images(turn, torch.float32)[..., :8, :8].contiguous())


def steps_kept(run: Run) -> list[int]:
    return [int(path.stem.removeprefix("step-")) for path in checkpoints(run)]


# -- the file ------------------------------------------------------------------------------------------------


def every_type() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    noise = {name: torch.randn(3, 5, generator=generator).abs().mul(9).to(dtype) for dtype, name in NAMES.items()}
    return {**noise, "scalar": torch.tensor(2.5), "none": torch.zeros(0, 4), "Ünicode/名": torch.arange(7)}


def test_the_library_reads_what_we_write_and_we_read_what_the_library_writes(tmp_path):
    tensors = every_type()
    (tmp_path / "ours").write_bytes(b"".join(pieces(tensors, {"who": "we"})))
    save_file(tensors, tmp_path / "theirs", metadata={"who": "they"})
    digest = hashlib.sha256((tmp_path / "theirs").read_bytes()).hexdigest()
    with checked(tmp_path, "theirs", 10**6, digest) as file:
        assert file.metadata() == {"who": "they"}
        theirs = tensors_in(file)
    for found in (load_file(tmp_path / "ours"), theirs):
        assert found.keys() == tensors.keys()
        for name, tensor in tensors.items():
            assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
            assert found[name].reshape(-1).view(torch.uint8).equal(tensor.reshape(-1).view(torch.uint8))


def test_tensors_in_any_order_are_written_in_that_of_their_indices(tmp_path):
    turned = {name: tensor.T for name, tensor in every_type().items() if tensor.ndim == 2}
    tensors = {
        **turned,
        "last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "scalar": torch.ones(()),
    }
    (tmp_path / "file").write_bytes(b"".join(pieces(tensors, {})))
    found = load_file(tmp_path / "file")
    for name, tensor in tensors.items():
        assert (found[name].dtype, found[name].shape) == (tensor.dtype, tensor.shape)
        assert found[name].reshape(-1).view(torch.uint8).equal(tensor.reshape(-1).view(torch.uint8))


def test_strange_types_are_not_written():
    with pytest.raises(ValueError, match=r"tensor 'a' is torch\.complex64"):
        pieces({"a": torch.zeros(2, dtype=torch.complex64)}, {})


def test_a_manifest_says_what_was_written_and_how(tmp_path):
    engine = trained(recipe(), tmp_path, steps=1)
    manifest = json.loads((tmp_path / "state/step-00000001.json").read_text())
    (name,) = manifest["files"]
    assert (name, manifest["step"], manifest["plain"]) == (
        "step-00000001.safetensors",
        1,
        {"step": 1, "images": 4, "alarms": {}},
    )
    assert manifest["files"][name]["bytes"] == (tmp_path / "state" / name).stat().st_size
    assert manifest["computed"].keys() == {"PyTorch", "zoo", "device", "threads", "precision"}
    assert load_file(tmp_path / "state" / name).keys() == engine.state()[0].keys()


# -- beside the training -------------------------------------------------------------------------------------


THREADS = """
import os, sys, torch, zoo
from pathlib import Path
from zoo.runs.checkpointer import Checkpointer
from zoo.engine.engine import Engine
from zoo.runs.run import Run

torch.set_num_threads(2)
engine = Engine(zoo.build("vae"))  # weights channels last, large enough for torch to reorder in parallel
engine.step(lambda _: torch.zeros(32, 3, 32, 32))
before = len(os.listdir("/proc/self/task"))
with Run(Path(sys.argv[1])) as run, Checkpointer(run, engine) as checkpoints:
    checkpoints.save()
    checkpoints._wait()
    print(len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_the_thread_that_writes_starts_no_others(tmp_path):
    """More of torch's threads than processors, and those that train sleep after every operation: at half the speed."""
    command = [sys.executable, "-c", THREADS, str(tmp_path)]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "1\n"


class Gate:
    """Holds the writing thread until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, error: OSError | None = None) -> None:
        self.open, self.entered, self.writers = threading.Event(), threading.Event(), set[str]()
        real = os.fsync

        def fsync(file: int) -> None:
            self.writers.add(threading.current_thread().name)
            self.entered.set()
            assert self.open.wait(30)
            if error:
                raise error
            real(file)

        monkeypatch.setattr(os, "fsync", fsync)


def test_steps_go_on_while_a_checkpoint_is_written_and_it_is_of_its_step(tmp_path, monkeypatch):
    engine = Engine(Model(recipe()))
    step(engine)
    expected = digest(engine)
    with Run(tmp_path) as run:
        gate = Gate(monkeypatch)
        with Checkpointer(run, engine) as checkpointer:
            checkpointer.save()
            assert gate.entered.wait(30)
            step(engine)
            step(engine)
            assert steps_kept(run) == []
            gate.open.set()
        assert steps_kept(run) == [1]
    assert gate.writers == {"checkpoint_0"}
    fresh = Engine(Model(recipe()))
    assert restored(tmp_path, fresh) == []
    assert digest(fresh) == expected


def test_one_at_a_time(tmp_path, monkeypatch):
    engine = Engine(Model(recipe()))
    with Run(tmp_path) as run, Checkpointer(run, engine) as checkpointer:
        gate = Gate(monkeypatch)
        step(engine)
        checkpointer.save()
        step(engine)
        second = threading.Thread(target=checkpointer.save)
        second.start()
        second.join(0.1)
        assert second.is_alive()
        gate.open.set()
        second.join(30)
        assert steps_kept(run)[-1] == 1
    with Run(tmp_path) as run:
        assert steps_kept(run) == [2, 1]


FULL = OSError(28, "No space left on device")


@pytest.mark.promise("A checkpoint that is written beside the training and fails is an error of the training.")
def test_what_goes_wrong_is_raised_at_the_next_save_or_at_the_end(tmp_path, monkeypatch):
    engine = Engine(Model(recipe()))
    gate = Gate(monkeypatch, FULL)
    gate.open.set()
    said = r"step-00000000\.safetensors: cannot be written: No space left on device; free some space and run again"
    with Run(tmp_path) as run:
        with Checkpointer(run, engine) as checkpointer:
            checkpointer.save()
            with pytest.raises(RunError, match=said):
                checkpointer.save()
        for error in (None, Interrupted("saved")):
            with pytest.raises(RunError, match=said), Checkpointer(run, engine) as checkpointer:  # noqa: PT012
                checkpointer.save()
                if error:
                    raise error
        both = r"^it diverged\. Besides, .*" + said
        with pytest.raises(TrainingError, match=both), Checkpointer(run, engine) as checkpointer:  # noqa: PT012
            checkpointer.save()
            raise TrainingError("it diverged")
        assert steps_kept(run) == []


def test_a_forked_child_neither_waits_nor_writes(tmp_path, monkeypatch):
    engine = Engine(Model(recipe()))
    gate = Gate(monkeypatch)
    with Run(tmp_path) as run, Checkpointer(run, engine) as checkpointer:
        checkpointer.save()
        assert gate.entered.wait(30)
        child = os.fork()
        if not child:
            checkpointer.close()
            os._exit(7)
        deadline = time.monotonic() + 30
        while (done := os.waitpid(child, os.WNOHANG)) == (0, 0):
            assert time.monotonic() < deadline, "the child waits for a thread that it does not have"
            time.sleep(0.005)
        assert os.waitstatus_to_exitcode(done[1]) == 7
        gate.open.set()
    with Run(tmp_path) as run:
        assert steps_kept(run) == [0]


# -- which are kept ------------------------------------------------------------------------------------------


@pytest.mark.promise("The newest `train.keep_last` checkpoints are kept, and the best by `train.keep_best`.")
@pytest.mark.parametrize("keep_last", [1, 2, 4])
def test_the_newest_are_kept(tmp_path, keep_last):
    engine = Engine(Model(recipe(f"train.keep_last={keep_last}")))
    with Run(tmp_path) as run:
        for done in range(1, 7):
            step(engine)
            save_checkpoint(run, engine)
            assert steps_kept(run) == list(range(done, 0, -1))[:keep_last]
        assert len(list((tmp_path / "state").iterdir())) == 1 + 2 * keep_last  # the lock


def test_a_damaged_newer_one_is_not_kept_in_the_place_of_a_good_one(tmp_path):
    trained(recipe("train.keep_last=1"), tmp_path, steps=3)
    engine = Engine(Model(recipe("train.keep_last=1")))
    with Run(tmp_path) as run:
        checkpoints(run)[0].write_bytes(b"")
        step(engine)
        save_checkpoint(run, engine)
        assert steps_kept(run) == [1]


@pytest.mark.promise("The newest `train.keep_last` checkpoints are kept, and the best by `train.keep_best`.")
@pytest.mark.parametrize(("label", "best"), [("mse", 2), ("psnr", 4)])
def test_the_best_is_kept_whichever_way_is_better(tmp_path, label, best):
    made = recipe(*QUICK, f"train.keep_best={label}", "train.keep_last=1")
    engine = Engine(Model(made))
    scores = [0.5, 0.2, 0.4, 0.9, float("nan"), 0.2]
    with Run(tmp_path) as run:
        for value in scores:
            step(engine)
            with Checkpointer(run, engine) as checkpointer:  # as if interrupted at each step
                checkpointer.save(checkpointer.best({"mse": value, "psnr": value}))
            if engine.step_index == best:
                expected = {k: v.clone() for k, v in engine.average.state_dict().items()}
        assert steps_kept(run) == [len(scores), best]
        run.write("recipe.yaml", sealed_recipe(made))
        save_weights(run, engine)
    model = zoo.load(tmp_path, weights="best")
    assert {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, expected[name])} == set()
    assert load_weights(model, tmp_path) == "ema"


def sealed_recipe(made: zoo.recipe.Recipe) -> str:
    from zoo.recipe import write_recipe
    from zoo.runs.manifest import sealed

    return sealed(write_recipe(made))


def test_no_best_where_none_is_asked_for_or_scored(tmp_path):
    engine = trained(recipe(*QUICK), tmp_path, steps=1)
    with Run(tmp_path) as run, Checkpointer(run, engine) as checkpointer:
        assert checkpointer.best({"mse": 1.0}) is None
    with pytest.raises(RunError, match=r"keeps no best checkpoint; set train\.keep_best to a quick metric"):
        load_weights(engine.model, tmp_path, "best")
    with pytest.raises(RunError, match="has no checkpoint that was scored by mse"):
        load_weights(Model(recipe(*QUICK, "train.keep_best=mse")), tmp_path, "best")


def test_which_score_is_better():
    assert Score("a", 1.0, "lower").beats(Score("a", 2.0, "lower"))
    assert Score("a", 2.0, "higher").beats(Score("a", 1.0, "higher"))
    assert Score("a", 0.9, "one").beats(Score("a", 1.2, "one"))
    assert not Score("a", 1.0, "lower").beats(Score("a", 1.0, "lower"))
    assert Score("a", 1.0, "lower").beats(None)
    for other in (Score("a", 1.0, "lower"), None):
        for value in ("nan", "inf", "-inf"):
            assert not Score("a", float(value), "lower").beats(other)


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("mes", "'evaluate' has no metric 'mes'; did you mean 'mse'?"),
        ("zzz", "'evaluate' has no metric 'zzz'; choices: mse, psnr"),
        ("slow", "'slow' is not measured on the way: it is not quick; choices: mse, psnr"),
    ],
)
def test_what_best_means_is_known_before_training(label, said):
    with pytest.raises(RecipeError) as refused:
        recipe("evaluate={mse: {use: mse}, psnr: {use: psnr}, slow: {use: fid}}", f"train.keep_best={label}")
    assert str(refused.value).endswith(f"error: train.keep_best: {said}")


# -- in the way of nobody ------------------------------------------------------------------------------------


def test_what_an_interrupted_process_was_writing_is_removed(tmp_path):
    trained(recipe(), tmp_path, steps=1)
    for place in (".model.safetensors.1f00ab12.tmp", "state/.step-00000009.json.2e00ab12.tmp"):
        (tmp_path / place).write_bytes(b"half")
    Run(tmp_path).close()
    assert [path.name for path in tmp_path.rglob("*.tmp")] == []
