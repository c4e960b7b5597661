"""What a manifest, a tensor file and a run's recipe must say to be believed: every refusal, word for word."""

from __future__ import annotations

import hashlib
import json
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers.runs import recipe, restored, trained

from zoo.engine.engine import Engine
from zoo.errors import Damaged, RecipeError, RunError
from zoo.machine.disk import cure
from zoo.model.model import Model
from zoo.model.tensorfile import BLANK, check_fit, checked, pieces, tensors_in
from zoo.model.tensorfile import sealed as sealed_file
from zoo.runs.checkpoint import best_checkpoint, computed, tensors_path
from zoo.runs.checkpointer import save_checkpoint
from zoo.runs.manifest import EDITED, File, Manifest, Score, identity, seal_holds, sealed
from zoo.runs.provenance import own_recipe
from zoo.runs.run import Run
from zoo.runs.weights import load_weights

NAME = "step-00000003.safetensors"
GOOD = Manifest(3, "r", {NAME: File(5, "a" * 64)}, {"step": 3}, {"threads": 1}, Score("mse", 0.5, "lower"))


def said(change: dict[str, Any], manifest: Manifest = GOOD) -> str:
    """What is said of a manifest some of whose content is another."""
    content = {**json.loads(manifest.text()), **change}
    with pytest.raises(ValueError, match=r".") as caught:
        Manifest.read(json.dumps(content, indent=2, sort_keys=True) + "\n")
    return str(caught.value)


@pytest.mark.parametrize("score", [None, Score("mse", 1.5, "one"), Score("mse", 1.5, "higher")])
def test_a_manifest_is_read_back(score: Score | None) -> None:
    manifest = replace(
        GOOD, score=score, step=0, plain={"step": 0, "b": [1], "a": None}, files={NAME: File(0, "0" * 64)}
    )
    assert Manifest.read(manifest.text()) == manifest


def test_equal_content_has_one_text() -> None:
    assert replace(GOOD, plain={"step": 3, "a": 1}).text() == replace(GOOD, plain={"a": 1, "step": 3}).text()
    assert identity({"slots": {"a": 1, "b": 2}, "seed": 0}) == identity({"seed": 0, "slots": {"b": 2, "a": 1}})
    assert identity({"seed": 0, "train": {"steps": 1}}) == identity({"seed": 0})
    assert len({identity({name: 1}) for name in ("seed", "latent", "noise", "augment", "slots", "phases", "else")}) == 7


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format": 2}, "it has format 2; this version reads format 1"),
        ({"step": -1, "plain": {"step": -1}}, "its step is none"),
        ({"step": True, "plain": {"step": True}}, "its step is none"),
        ({"step": 4}, "its step is none"),
        ({"files": {NAME: {"bytes": 1}}}, "it is no manifest (TypeError: File.__init__() missing 1 required "
                                          "positional argument: 'sha256')"),
        ({"score": {"label": "a", "value": "1", "better": "lower"}},
         "it is no manifest (TypeError: bad operand type for unary -: 'str')"),
        ({"score": {"label": "a", "value": 1.0, "better": "best"}}, "it is no manifest (KeyError: 'best')"),
        ({"recipe": "s"}, "its content is not what was written"),
        ({"sha256": "0" * 64}, "its content is not what was written"),
        ({"more": 1}, "its content is not what was written"),
    ],
)  # fmt: skip
def test_a_manifest_that_is_refused(change: dict[str, Any], sentence: str) -> None:
    assert said(change) == sentence


def test_text_that_is_no_manifest() -> None:
    for text in ("{}", "[]", "3", "{"):
        with pytest.raises(ValueError, match=r"."):
            Manifest.read(text)
    with pytest.raises(ValueError, match=r"^it is no manifest \(KeyError: 'format'\)$"):
        Manifest.read("{}")


def test_seals() -> None:
    text = sealed("a: 1\n")
    assert seal_holds(text)
    assert not seal_holds(text.replace("1", "2"))
    assert not seal_holds("a: 1\n")
    assert seal_holds(text.replace("1", "2") + EDITED)
    assert seal_holds(sealed("a: '# SHA-256 of the lines above: 0'\n"))


# -- tensors -------------------------------------------------------------------------------------------------


def written(folder: Path, content: bytes, digest: str = "") -> str:
    """A file of these bytes; what is said of them, if anything."""
    (folder / "file").write_bytes(content)
    try:
        with checked(folder, "file", 10**6, digest):
            return ""
    except Damaged as error:
        return str(error)


def reading(folder: Path, content: bytes) -> AbstractContextManager[Any]:
    """A file of these bytes, opened."""
    (folder / "file").write_bytes(content)
    return checked(folder, "file", 10**6, hashlib.sha256(content).hexdigest())


def test_every_byte_of_a_file_is_the_one_that_was_written(tmp_path: Path) -> None:
    parts = pieces({"a": torch.zeros(2)}, {"sha256": BLANK})
    plain, content = b"".join(parts), b"".join(sealed_file(parts))
    assert written(tmp_path, content) == written(tmp_path, plain, hashlib.sha256(plain).hexdigest()) == ""
    assert written(tmp_path, plain) == written(tmp_path, content, "0" * 64) == "its content is not what was written"
    unsealed = "it has no SHA-256 of itself where one is expected"
    assert written(tmp_path, b"") == written(tmp_path, plain[:20]) == unsealed
    assert written(tmp_path, b"\xff" * 99) == "it is torn, or no safetensors file"
    assert written(tmp_path, (16 * 2**20 + 1).to_bytes(8, "little")) == "it is torn, or no safetensors file"
    assert written(tmp_path, (16 * 2**20).to_bytes(8, "little")) == unsealed


def test_tensors_that_do_not_fit(tmp_path: Path) -> None:
    a, b = torch.zeros(2), torch.zeros(3)
    with reading(tmp_path, b"".join(pieces({"a": a, "b": b}, {}))) as file:
        check_fit(file, {"a", "b"}, {"a": a, "b": b})
        check_fit(file, {"b"}, {"b": b})
        for wanted, sentence in (
            ({"a": a}, "it has a tensor 'b', which the model has not"),
            ({"a": a, "b": b, "c": b}, "tensor 'c' is not in it"),
            ({"a": a, "b": a}, "tensor 'b' is F32 [3] there and F32 [2] in the model"),
            ({"a": a.double(), "b": b}, "tensor 'a' is F32 [2] there and F64 [2] in the model"),
        ):
            with pytest.raises(ValueError, match=r".") as caught:
                check_fit(file, {"a", "b"}, wanted)
            assert str(caught.value) == sentence


def test_truth_values_are_true_or_false(tmp_path: Path) -> None:
    content = bytearray(b"".join(pieces({"flag": torch.tensor([True, False]), "none": torch.zeros(0) > 0}, {})))
    with reading(tmp_path, content) as file:
        assert tensors_in(file)["flag"].tolist() == [True, False]
    content[-1] = 2
    with (
        reading(tmp_path, content) as file,
        pytest.raises(ValueError, match=r"^tensor 'flag' has truth values that are neither true nor false$"),
    ):
        tensors_in(file)


# -- runs ----------------------------------------------------------------------------------------------------


def test_a_recipe_that_was_changed_or_is_none(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(sealed("a: 1\n"))
    assert own_recipe(tmp_path) == file
    file.write_text(sealed("a: 1\n").replace("1", "2", 1))
    with pytest.raises(RunError) as caught:
        own_recipe(tmp_path)
    assert str(caught.value) == (
        f"{file}: is not as it was written: damaged, or edited. Bring it back from a copy, or go on from the recipe "
        f"that it was built from: zoo build RECIPE --out {tmp_path}. "
        "If it was edited and is meant so, let its last line be '# edited'"
    )
    file.write_text(f"a: [\n{EDITED}")
    with pytest.raises(RecipeError, match=rf"^{file}:"):
        own_recipe(tmp_path)
    file.write_text(f"extends: avae\n{EDITED}")
    with pytest.raises(RunError, match=r"extends another recipe; that of a run is whole, as zoo build writes it$"):
        own_recipe(tmp_path)


def test_the_best_of_several_checkpoints(tmp_path: Path) -> None:
    engine = trained(recipe("train.keep_last=9"), tmp_path, steps=1)
    with Run(tmp_path) as run:
        for step, value in enumerate((0.4, 0.2, 0.5, 0.2), 2):
            engine.step_index = step
            save_checkpoint(run, engine, Score("mse", value, "lower"))
        engine.step_index = 6
        save_checkpoint(run, engine, Score("else", 0.1, "lower"))
    best = best_checkpoint(tmp_path, "mse")
    assert best is not None
    assert (best.step, best.score) == (3, Score("mse", 0.2, "lower"))


def test_manifests_of_other_checkpoints_and_none(tmp_path: Path) -> None:
    engine = trained(recipe(), tmp_path, steps=2)
    paths = [tensors_path(tmp_path, step) for step in (1, 2)]
    one, two = (path.with_suffix(".json") for path in paths)
    manifest = Manifest.read(two.read_text())
    one.write_text(replace(manifest, files={paths[0].name: File(1, "a" * 64)}).text())
    two.write_text(replace(manifest, files={paths[0].name: File(1, "a" * 64)}).text())
    with pytest.raises(RunError) as caught:
        restored(tmp_path, engine)
    state = tmp_path / "state"
    start = f"{state}: has no checkpoint that can be read, and to begin again would lose what was trained. "
    start += f"Bring one back from a copy, or remove {state} to begin at step 0.\n"
    assert str(caught.value) == start + "\n".join(
        f"{path}: cannot be read (its manifest {path.stem}.json is that of step 2)" for path in reversed(paths)
    )
    two.write_text("{}")
    one.unlink()
    with pytest.raises(RunError) as caught:
        restored(tmp_path, engine)
    assert str(caught.value) == start + (
        f"{paths[1]}: cannot be read (its manifest {paths[1].stem}.json: it is no manifest (KeyError: 'format'))\n"
        f"{paths[0]}: cannot be read (it has no manifest {paths[0].stem}.json: "
        "it was never finished, or that was removed)"
    )


def test_weights_beside_a_recipe_that_is_none(tmp_path: Path) -> None:
    made = recipe()
    trained(made, tmp_path, steps=1)
    (tmp_path / "recipe.yaml").write_text("a: [\n")
    with pytest.raises((RunError, RecipeError), match=rf"{tmp_path}/recipe\.yaml:"):
        load_weights(Model(made), tmp_path)


def test_what_the_next_bits_depend_on() -> None:
    for precision in ("float32", "bfloat16"):
        found = computed(Engine(Model(recipe(f"train.precision={precision}"))))
        assert (found["device"], found["threads"], found["precision"]) == ("cpu", torch.get_num_threads(), precision)
        assert "Python" not in found
        assert found["PyTorch"] == torch.__version__.partition("+")[0]


def test_what_nothing_is_known_to_help_against() -> None:
    assert cure(OSError(20, "Not a directory")) == cure(OSError("no number")) == ""
