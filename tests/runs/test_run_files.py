"""Files of a run: who may write there, what is read and what is refused, sentence by sentence."""

from __future__ import annotations

import errno
import os
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.engine import images
from helpers.runs import recipe, restored, trained

from zoo.engine.engine import Engine
from zoo.errors import Busy, Damaged, RequestError, RunError
from zoo.machine import disk
from zoo.machine.device import sync_device
from zoo.machine.disk import read_bytes, read_text, remove, write_atomically
from zoo.model.model import Model
from zoo.runs.checkpoint import best_checkpoint, checkpoints, step_of, steps_of
from zoo.runs.checkpointer import Checkpointer
from zoo.runs.provenance import own_recipe
from zoo.runs.run import Run, check_own
from zoo.runs.weights import load_weights, save_weights, trained_steps

QUICK = ("evaluate={mse: {use: mse}}", "train.keep_best=mse")


# -- the directory -------------------------------------------------------------------------------------------


def test_a_run_is_made_where_nothing_is_and_taken_up_where_one_is(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "mine"
    check_own(folder)
    with Run(folder) as run:
        assert (run.folder, run.path("a.txt")) == (folder, folder / "a.txt")
        assert run.read_json("a.json") is None
        run.write("a.txt", "text")
        run.write_json("recipe.yaml", {"a": [1]})
        assert (read_text(folder, "a.txt"), run.read_json("recipe.yaml")) == ("text", {"a": [1]})
    (folder / "state" / ".step.json.ab12cd34.tmp").write_text("half")
    (folder / ".a.txt.cd34ab12.tmp").write_text("half")
    with Run(folder):
        assert sorted(path.name for path in folder.rglob("*")) == ["a.txt", "lock", "recipe.yaml", "state"]


def test_two_cannot_build_at_once_and_the_second_may_once_the_first_is_done(tmp_path: Path) -> None:
    with Run(tmp_path), pytest.raises(Busy) as caught:
        Run(tmp_path)
    assert str(caught.value) == (f"{tmp_path}: another process is building here; wait for it, or choose another --out")
    Run(tmp_path).close()


def test_a_directory_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    check_own(tmp_path)
    for name in "dbca":
        (tmp_path / name).write_text("")
    with pytest.raises(RequestError) as caught:
        Run(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: is not a run (it has no recipe.yaml but holds a, b, c ...); choose another --out"
    )
    (tmp_path / "d").unlink()
    with pytest.raises(RequestError, match=r"but holds a, b, c\); choose"):
        Run(tmp_path)
    with pytest.raises(RequestError) as caught:
        Run(tmp_path / "a")
    assert str(caught.value) == f"{tmp_path}/a: is a file, not a directory; choose another --out"


def test_a_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RequestError) as caught:
        Run(tmp_path / "file" / "run")
    assert str(caught.value) == f"{tmp_path}/file/run: cannot be written: Not a directory; choose another --out"


@pytest.mark.parametrize("text", ["{", "[" * 100_000, "nan,"])
def test_json_that_is_none(tmp_path: Path, text: str) -> None:
    with Run(tmp_path) as run:
        run.write("a.json", text)
        with pytest.raises(RunError) as caught:
            run.read_json("a.json")
    said = str(caught.value)
    assert said.startswith(f"{tmp_path}/a.json: is damaged (")
    assert said.endswith("); remove it to have it made again")


def test_a_folder_without_a_recipe_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        own_recipe(tmp_path)
    assert str(caught.value) == f"{tmp_path}: is not a run (it has no recipe.yaml)"


# -- reading and writing -------------------------------------------------------------------------------------


def test_what_is_no_ordinary_file_is_not_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name in (".", "pipe"):
        with pytest.raises(RunError) as caught:
            read_bytes(tmp_path, name)
        assert str(caught.value) == f"{tmp_path / name}: cannot be read: it is no ordinary file"
    with pytest.raises(FileNotFoundError):
        read_bytes(tmp_path, "nothing")
    assert read_text(tmp_path, "nothing") is None
    (tmp_path / "bytes").write_bytes(b"a\xff")
    with pytest.raises(RunError) as caught:
        read_text(tmp_path, "bytes")
    assert str(caught.value) == (
        f"{tmp_path}/bytes: is damaged ('utf-8' codec can't decode byte 0xff in position 1: invalid start byte)"
    )
    with Run(tmp_path / "run") as run:
        run.write("bytes", b"a\xff")
        with pytest.raises(Damaged, match=r"invalid start byte\); remove it to have it made again$"):
            run.read_json("bytes")


def test_a_file_has_a_limit_and_its_last_byte(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path, "a", 5) == b"12345"
    with pytest.raises(RunError) as caught:
        read_bytes(tmp_path, "a", 4)
    assert str(caught.value) == f"{tmp_path}/a: has 5 bytes; expected at most 4"


def refusing(code: int) -> Any:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


def test_a_disk_that_fails_is_told_with_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    cure = "the disk failed; look at it (dmesg), or copy the run to another and go on there"
    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "fstat", refusing(errno.EIO))
        with pytest.raises(RunError) as caught:
            read_bytes(tmp_path, "a")
    assert str(caught.value) == f"{tmp_path}/a: cannot be read: Input/output error; {cure}"
    with pytest.raises(RunError) as caught:
        read_bytes(Path("/proc/self"), "mem")  # an ordinary file, of which nothing can be read
    assert str(caught.value) == f"/proc/self/mem: cannot be read: Input/output error; {cure}"
    with monkeypatch.context() as patch:
        patch.setattr(disk.os, "unlink", refusing(errno.EPERM))
        with pytest.raises(RunError) as caught:
            remove(tmp_path / "a")
    who = "look at who may read and write there, or choose another --out"
    assert str(caught.value) == f"{tmp_path}/a: cannot be removed: Operation not permitted; {who}"
    remove(tmp_path / "a")
    remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(("code", "told"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_directory_that_cannot_be_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, told: bool
) -> None:
    fsync = os.fsync
    folders: list[int] = []

    def sync(file: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{file}"):
            folders.append(file)
            raise OSError(code, os.strerror(code))
        fsync(file)

    monkeypatch.setattr(disk.os, "fsync", sync)
    if told:
        with pytest.raises(RunError, match="a: cannot be written: Input/output error; the disk failed"):
            write_atomically(tmp_path / "a", b"new")
    else:
        write_atomically(tmp_path / "a", b"new")
    assert (len(folders), (tmp_path / "a").read_bytes()) == (1, b"new")


@pytest.mark.parametrize("sizes", [[], [0], [3, 2**20 - 3], [3, 2**20 - 2], [2**20 + 1], [5, 2**20 + 1, 7, 2**20, 1]])
def test_pieces_are_written_one_after_the_other(tmp_path: Path, sizes: list[int]) -> None:
    parts = [os.urandom(size) for size in sizes]
    write_atomically(tmp_path / "a", iter(parts))
    assert (tmp_path / "a").read_bytes() == b"".join(parts)
    assert os.listdir(tmp_path) == ["a"]


# -- weights and checkpoints ---------------------------------------------------------------------------------


def test_weights_without_averages(tmp_path: Path) -> None:
    made = recipe("train.ema=0", *QUICK)
    engine = trained(made, tmp_path, steps=1)
    assert not (tmp_path / "ema.safetensors").exists()
    assert trained_steps(tmp_path) == 1
    model = Model(made)
    assert load_weights(model, tmp_path) == "raw"
    assert all(torch.equal(tensor, engine.model.state_dict()[name]) for name, tensor in model.state_dict().items())
    with pytest.raises(RunError) as caught:
        load_weights(model, tmp_path, "ema")
    said = f"{tmp_path}: its recipe averages no weights (train.ema: 0); ask for raw"
    assert str(caught.value) == said
    assert trained_steps(tmp_path / "nowhere") == 0


def test_weights_of_a_run_that_went_on_are_those_of_its_newest_checkpoint(tmp_path: Path) -> None:
    made = recipe("train.ema=0", *QUICK)
    engine, size = trained(made, tmp_path, steps=1), made.sizes.size
    engine.step(lambda turn: images(turn, torch.float32)[..., :size, :size].contiguous())
    with Run(tmp_path) as run, Checkpointer(run, engine) as checkpointer:
        checkpointer.save()
    model = Model(made)
    with pytest.warns(UserWarning, match="is not finished; these are the raw weights of step 2"):
        assert load_weights(model, tmp_path) == "raw"
    assert all(torch.equal(tensor, engine.model.state_dict()[name]) for name, tensor in model.state_dict().items())
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(RunError, match="its recipe averages no weights"):
        load_weights(model, tmp_path, "ema")


def test_the_best_checkpoint_without_averages(tmp_path: Path) -> None:
    made = recipe("train.ema=0", *QUICK)
    engine = trained(made, tmp_path, steps=1)
    with Run(tmp_path) as run, Checkpointer(run, engine) as checkpointer:
        checkpointer.save(checkpointer.best({"mse": 0.5}))
    model = Model(made)
    assert load_weights(model, tmp_path, "best") == "best"
    assert all(torch.equal(tensor, engine.model.state_dict()[name]) for name, tensor in model.state_dict().items())
    other = Model(recipe("train.ema=0", "latent=3", *QUICK))
    with pytest.raises(RunError, match=r"step-00000001\.safetensors: cannot be loaded: tensor '.*' "):
        load_weights(other, tmp_path, "best")
    text = (tmp_path / "recipe.yaml").read_text()
    (tmp_path / "recipe.yaml").write_text(text.replace("seed: 0", "seed: 1"))
    with pytest.raises(RunError, match=r"\.safetensors: cannot be loaded: it belongs to a run of another recipe"):
        load_weights(model, tmp_path, "best")


def test_a_manifest_that_cannot_be_read_is_not_the_best(tmp_path: Path) -> None:
    made = recipe(*QUICK)
    engine = trained(made, tmp_path, steps=1)
    with Run(tmp_path) as run, Checkpointer(run, engine) as checkpointer:
        checkpointer.save(checkpointer.best({"mse": 0.5}))
    found = best_checkpoint(tmp_path, "mse")
    assert found is not None
    assert found.step == 1
    (tmp_path / "state" / "step-00000001.json").write_text("{")
    assert best_checkpoint(tmp_path, "mse") is best_checkpoint(tmp_path, "") is None


def test_names_of_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    for name in ("step-00000003.json", "step-00000003.safetensors", "step-00000012.safetensors", "step-3.json",
                 "step-00000x03.json", "step-٠٠٠٠٠٠٠٤.json", "other.json"):  # fmt: skip
        (tmp_path / "state" / name).write_text("")
    assert (steps_of(tmp_path, "json"), steps_of(tmp_path, "safetensors")) == ({3}, {3, 12})
    with Run(tmp_path) as run:
        assert [step_of(path) for path in checkpoints(run)] == [12, 3]


def test_a_wait_that_is_interrupted_is_taken_up_again(tmp_path: Path) -> None:
    class Late(Future[None]):
        asked = 0

        def result(self, timeout: float | None = None) -> None:
            self.asked += 1
            if self.asked == 1:
                raise KeyboardInterrupt
            self.set_result(None)
            return super().result(timeout)

    engine = Engine(Model(recipe()))
    late = Late()
    with Run(tmp_path) as run, Checkpointer(run, engine) as checkpointer:
        checkpointer._writing = late
        with pytest.raises(KeyboardInterrupt):
            checkpointer._wait()
        assert checkpointer._writing is late
        checkpointer._wait()
        assert checkpointer._writing is None
        assert late.asked == 2


def test_a_tensor_that_is_gone_is_not_in_the_next_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(Model(recipe()))
    tensors, plain = engine.state()
    extra = {**tensors, "term/more": torch.ones(2)}
    with Run(tmp_path) as run, Checkpointer(run, engine) as checkpointer:
        monkeypatch.setattr(engine, "state", lambda: (extra, plain))
        checkpointer.save()
        checkpointer._wait()
        assert "term/more" in checkpointer._copies
        monkeypatch.setattr(engine, "state", lambda: (tensors, plain))
        checkpointer.save()
    monkeypatch.undo()
    assert restored(tmp_path, engine) == []
    assert checkpointer._copies.keys() == tensors.keys()


def test_a_clock_waits_for_the_device_it_times(monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    for name in ("cpu", "cuda:1"):
        sync_device(torch.device(name))
    assert waited == [torch.device("cuda:1")]


def test_a_run_of_which_only_half_of_the_weights_is_there_is_not_trained(tmp_path: Path) -> None:
    engine = trained(recipe(), tmp_path, steps=2)
    assert trained_steps(tmp_path) == 2
    engine.step_index = 3
    with Run(tmp_path) as run:
        run.write("ema.safetensors", (tmp_path / "ema.safetensors").read_bytes())
        raw = tmp_path / "model.safetensors"
        before = (tmp_path / "ema.safetensors").read_bytes()
        save_weights(run, engine)
        assert trained_steps(tmp_path) == 3
        run.write("ema.safetensors", before)
    assert trained_steps(tmp_path) == 0
    raw.unlink()
    assert trained_steps(tmp_path) == 0


def test_a_run_killed_while_its_first_file_was_written_is_a_run(tmp_path: Path) -> None:
    """What it was writing is removed by the next build."""
    left = tmp_path / ".recipe.yaml.396b3843.tmp"
    (tmp_path / "state").mkdir()
    left.write_text("name: half")
    with Run(tmp_path):
        assert not left.exists()
    (tmp_path / "notes.txt").write_text("somebody's own")
    with pytest.raises(RequestError, match=r"is not a run \(it has no recipe\.yaml but holds notes\.txt\)"):
        check_own(tmp_path)
