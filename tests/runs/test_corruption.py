"""What is not, byte for byte, what was written is never taken up: it is said, and the checkpoint before it is."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from helpers.runs import STEPS, digest, put_file, recipe, restored, trained

import zoo
from zoo.engine.engine import Engine
from zoo.errors import RunError, ZooError
from zoo.model.model import Model
from zoo.runs.checkpoint import tensors_path
from zoo.runs.manifest import Manifest
from zoo.runs.provenance import own_recipe
from zoo.runs.weights import load_weights, trained_steps


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corruption") / "run"
    trained(recipe(), folder)
    return folder


@pytest.fixture(scope="module")
def engine() -> Engine:
    """One to restore into, again and again."""
    return Engine(Model(recipe()))


@pytest.fixture(scope="module")
def expected(run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[int, str]:
    """The digest of the state at each step."""
    found = {}
    for step in range(1, STEPS + 1):
        folder = tmp_path_factory.mktemp("alone") / "run"
        shutil.copytree(run, folder)
        for other in set(range(1, STEPS + 1)) - {step}:
            remove(folder, other)
        fresh = Engine(Model(recipe()))
        assert restored(folder, fresh) == []
        found[step] = digest(fresh)
    assert len(set(found.values())) == STEPS
    return found


def remove(folder: Path, step: int) -> None:
    for suffix in (".safetensors", ".json"):
        tensors_path(folder, step).with_suffix(suffix).unlink()


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(run, tmp_path / "run"))


def damages(content: bytes, choose: random.Random, flips: int, cuts: int) -> Iterator[bytes]:
    """Flips of one bit each (headers are hit as often as what follows), truncations, zeroed and doubled stretches."""
    for number in range(flips):
        torn = bytearray(content)
        most = len(content) if number % 2 else min(len(content), 4000)
        torn[choose.randrange(most)] ^= 1 << choose.randrange(8)
        yield bytes(torn)
    for number in range(cuts):
        begin = choose.randrange(len(content))
        end = min(len(content), begin + choose.randrange(1, 5000))
        kept, hole = content[:begin], b"\0" * (end - begin)
        torn = (kept, kept + hole + content[end:], kept + content[begin:end] + content[begin:])[number % 3]
        if torn != content:
            yield torn


@pytest.mark.promise("A damaged checkpoint is noticed, said, and the good one before it is taken up.")
def test_a_damaged_checkpoint_is_noticed_and_the_one_before_is_taken_up(copy, engine, expected, record_property):
    choose, tried = random.Random(0), 0
    for suffix, flips, cuts in ((".safetensors", 100, 30), (".json", 10, 30)):  # every bit of it is tried below
        path = tensors_path(copy, STEPS).with_suffix(suffix)
        good = path.read_bytes()
        for torn in damages(good, choose, flips, cuts):
            put_file(path, torn)
            (note,) = restored(copy, engine)
            assert note.startswith(f"{tensors_path(copy, STEPS)}: cannot be read (")
            assert note.endswith("; going back to the checkpoint before it")
            assert engine.step_index == STEPS - 1
            assert tried % 10 or digest(engine) == expected[STEPS - 1]
            tried += 1
        put_file(path, good)
    assert restored(copy, engine) == []
    assert digest(engine) == expected[STEPS]
    record_property("cases", tried)


@pytest.mark.promise("A damaged checkpoint is noticed, said, and the good one before it is taken up.")
def test_every_bit_of_a_manifest_counts(run, record_property):
    good = tensors_path(run, STEPS).with_suffix(".json").read_bytes()
    assert Manifest.read(good.decode()).step == STEPS
    for place in range(len(good)):
        for bit in range(8):
            torn = bytearray(good)
            torn[place] ^= 1 << bit
            with pytest.raises(ValueError):  # noqa: PT011 - UnicodeDecodeError is one
                Manifest.read(bytes(torn).decode())
    record_property("cases", 8 * len(good))


@pytest.mark.promise("Damaged weights are never loaded.")
def test_damaged_weights_are_never_loaded(copy, record_property):
    model, choose, tried = Model(recipe()), random.Random(1), 0
    for weights, file in (("raw", "model.safetensors"), ("ema", "ema.safetensors")):
        path = copy / file
        good = path.read_bytes()
        for torn in damages(good, choose, 120, 60):
            put_file(path, torn)
            with pytest.raises(RunError, match=f"{file}: (cannot be loaded|has .* bytes)"):
                load_weights(model, copy, weights)
            tried += 1
        assert trained_steps(copy) == 0
        put_file(path, good)
    assert (load_weights(model, copy), trained_steps(copy)) == ("ema", STEPS)
    record_property("cases", tried)


def test_a_recipe_that_was_changed_is_refused_unless_it_says_so(copy, record_property):
    path = own_recipe(copy)
    good, choose, tried = path.read_bytes(), random.Random(2), 0
    for torn in damages(good, choose, 400, 100):
        put_file(path, torn)
        tried += 1
        with pytest.raises(ZooError):
            own_recipe(copy)
    put_file(path, good.replace(b"batch_stats: running", b"batch_stats: batch") + b"# edited\n")
    assert zoo.load(copy).recipe.batch_stats == "batch"
    record_property("cases", tried)


# -- files of another ----------------------------------------------------------------------------------------


def swapped(folder: Path, other: Path, suffixes: tuple[str, ...], source: int) -> None:
    for suffix in suffixes:
        shutil.copy(tensors_path(other, source).with_suffix(suffix), tensors_path(folder, STEPS).with_suffix(suffix))


@pytest.mark.promise("A damaged checkpoint is noticed, said, and the good one before it is taken up.")
@pytest.mark.parametrize("suffixes", [(".safetensors",), (".json",), (".safetensors", ".json")])
@pytest.mark.parametrize("source", [1, 2])
def test_the_files_of_an_older_step_under_a_newer_ones_name(copy, run, engine, expected, suffixes, source):
    swapped(copy, run, suffixes, source)
    (note,) = restored(copy, engine)
    assert "cannot be read" in note
    assert digest(engine) == expected[STEPS - 1]


@pytest.mark.promise("A damaged checkpoint is noticed, said, and the good one before it is taken up.")
@pytest.mark.parametrize("suffixes", [(".safetensors",), (".json",), (".safetensors", ".json")])
def test_the_files_of_another_run(copy, engine, expected, tmp_path, suffixes):
    trained(recipe("seed=1"), tmp_path / "other")
    swapped(copy, tmp_path / "other", suffixes, STEPS)
    (note,) = restored(copy, engine)
    assert "is not what was written" in note if len(suffixes) == 1 and ".safetensors" in suffixes else "another" in note
    assert digest(engine) == expected[STEPS - 1]


@pytest.mark.promise("A damaged checkpoint is noticed, said, and the good one before it is taken up.")
@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
def test_a_file_that_is_gone(copy, engine, expected, suffix):
    tensors_path(copy, STEPS).with_suffix(suffix).unlink()
    assert digest_after(copy, engine) == expected[STEPS - 1]


def digest_after(folder: Path, engine: Engine) -> str:
    (note,) = restored(folder, engine)
    assert "cannot be read" in note
    return digest(engine)


def test_weights_of_another_run_or_under_another_name_are_refused(copy, run, tmp_path):
    model = Model(recipe())
    trained(recipe("seed=1"), tmp_path / "other", steps=1)
    shutil.copy(tmp_path / "other/model.safetensors", copy)
    with pytest.raises(RunError, match="these are the weights of another recipe"):
        load_weights(model, copy, "raw")
    shutil.copy(run / "ema.safetensors", copy / "model.safetensors")
    with pytest.raises(RunError, match="these are the ema weights, not the raw ones"):
        load_weights(model, copy, "raw")
    shutil.copy(run / "model.safetensors", copy)
    (copy / "ema.safetensors").unlink()
    with pytest.raises(RunError, match=r"ema\.safetensors, the averaged weights, was removed"):
        load_weights(model, copy)


@pytest.mark.promise("Where no checkpoint is good, the build says so and does not begin again by itself.")
def test_where_no_checkpoint_is_good_nothing_is_begun_again(copy, engine):
    for step in range(1, STEPS + 1):
        tensors_path(copy, step).write_bytes(b"rubbish")
    with pytest.raises(RunError) as refused:
        restored(copy, engine)
    said = str(refused.value)
    assert f"{copy / 'state'}: has no checkpoint that can be read, and to begin again would lose" in said
    assert f"or remove {copy / 'state'} to begin at step 0" in said
    assert all(str(tensors_path(copy, step)) in said for step in range(1, STEPS + 1))
    shutil.rmtree(copy / "state")
    assert restored(copy, Engine(Model(recipe()))) == []


def test_the_first_checkpoint_that_was_never_finished_is_no_progress(tmp_path, run, engine):
    (tmp_path / "state").mkdir()
    shutil.copy(tensors_path(run, 1), tmp_path / "state")
    (note,) = restored(tmp_path, engine)
    assert note == f"{tensors_path(tmp_path, 1)}: was never finished; beginning at step 0"


def test_a_checkpoint_computed_otherwise_goes_on_and_says_so(copy, engine, expected):
    path = tensors_path(copy, STEPS).with_suffix(".json")
    manifest = Manifest.read(path.read_text())
    older = Manifest(**{**vars(manifest), "computed": {**manifest.computed, "threads": 99, "PyTorch": "1.0"}})
    path.write_text(older.text())
    (note,) = restored(copy, engine)
    assert "goes on, but not bit for bit as it would have: " in note
    assert "PyTorch 1.0 then, " in note
    assert "threads 99 then, 1 now" in note
    assert digest(engine) == expected[STEPS]


def test_a_damaged_run_is_a_sentence_at_the_command_line(copy, run_zoo):
    content = bytearray((copy / "ema.safetensors").read_bytes())
    content[-1] ^= 1
    (copy / "ema.safetensors").write_bytes(content)
    outcome = run_zoo("sample", copy)
    assert outcome.code == 1
    assert outcome.err == (
        f"zoo: error: {copy}/ema.safetensors: cannot be loaded: its content is not what was written; to have it made "
        f"again, run: zoo build {copy}\n"
    )
    assert zoo.load(copy, weights="raw").sample(1).shape == (1, 3, 8, 8)
