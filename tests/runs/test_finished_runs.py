"""A finished run is up to date as long as it is whole: what is damaged or gone is noticed, said, and made again."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, Outcome, Run
from helpers.runs import put_file

from zoo.runs.identity import damaged, plain_json, vouch_again
from zoo.runs.run import Run as Folder

pytestmark = pytest.mark.usefixtures("here")
PROMISE = "What is damaged or gone of a finished run is noticed, said, and made again, bit for bit."
AVERAGED = TINY.replace("ema: 0.0", "ema: 0.9") + "evaluate: [mse]\n"
MADE_AGAIN = ["recipe.yaml", "plugins.json", "model.safetensors", "ema.safetensors", "scores.json", "report.html"]
MADE_AGAIN += ["samples.png", "state/done.json"]


def gone(path: Path) -> None:
    path.unlink()


def empty(path: Path) -> None:
    put_file(path, b"")


def torn(path: Path) -> None:
    put_file(path, path.read_bytes()[:-1])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    put_file(path, bytes(content))


def no_text(path: Path) -> None:
    put_file(path, b"\xff" * 100)


DAMAGES = (empty, torn, flipped, no_text, gone)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with averaged weights; do not change it."""
    from zoo.recipe import load_recipe, registry_for
    from zoo.training.build import build_run

    folder = tmp_path_factory.mktemp("whole")
    (folder / "tiny.yaml").write_text(AVERAGED)
    registry = registry_for(folder / "tiny.yaml")
    build_run(load_recipe(folder / "tiny.yaml", (), registry), registry, out=folder / "run")
    return folder / "run"


@pytest.fixture
def run(whole: Path, here: Path) -> Path:
    (here / "tiny.yaml").write_text(AVERAGED)
    return Path(shutil.copytree(whole, here / "run"))


def build(run_zoo: Run) -> Outcome:
    return run_zoo("build", "tiny.yaml", "--out", "run")


def contents(run: Path) -> dict[str, bytes]:
    """Of the files that do not tell the time."""
    names = [name for name in MADE_AGAIN if name not in ("report.html", "state/done.json")]
    return {name: (run / name).read_bytes() for name in names}


# -- noticed -------------------------------------------------------------------------------------------------


def test_a_whole_run_has_no_damage(run: Path) -> None:
    assert damaged(run) == []
    vouched = set(plain_json(run, "state/done.json")["files"])
    pictures = {path.name for path in run.glob("*.png")}
    assert vouched == {*MADE_AGAIN, *pictures} - {"recipe.yaml", "state/done.json"}


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("name", MADE_AGAIN[:-1])
def test_every_damage_is_noticed(run: Path, name: str, record_property: Callable[[str, object], None]) -> None:
    path, choose = run / name, random.Random(name)
    good = path.read_bytes()
    for _ in range(40):
        content = bytearray(good)
        content[choose.randrange(len(good))] ^= 1 << choose.randrange(8)
        put_file(path, bytes(content))
        assert damaged(run) == [name]
    for damage in DAMAGES:
        put_file(path, good)
        damage(path)
        assert damaged(run) == [name]
    path.write_bytes(good)
    assert damaged(run) == []
    record_property("cases", 40 + len(DAMAGES))


# -- made again ----------------------------------------------------------------------------------------------


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("name", MADE_AGAIN)
def test_what_is_damaged_is_said_and_made_again(run_zoo: Run, run: Path, name: str) -> None:
    before = contents(run)
    flipped(run / name)
    outcome = build(run_zoo)
    assert (outcome.code, outcome.out.splitlines()[-1]) == (0, "run: done; open run/report.html"), outcome.err
    said = f"run/{name}: is gone, or is not what was written; to be made again"
    assert [line for line in outcome.errors if line.endswith("; to be made again")] == [said] * (
        name != "state/done.json"
    )
    assert contents(run) == before
    assert "up to date" in build(run_zoo).out


@pytest.mark.promise(PROMISE)
@pytest.mark.parametrize("damage", [gone, empty, no_text])
def test_everything_at_once(run_zoo: Run, run: Path, damage: Callable[[Path], None]) -> None:
    before = contents(run)
    for name in MADE_AGAIN[:-1]:
        damage(run / name)
    outcome = build(run_zoo)
    assert outcome.code == 0, outcome.err
    assert sum(line.endswith("; to be made again") for line in outcome.errors) == len(MADE_AGAIN) - 1
    assert contents(run) == before
    assert "up to date" in build(run_zoo).out


# -- what cannot be made again -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["model.safetensors", "ema.safetensors"])
def test_damaged_weights_without_a_checkpoint_are_not_trained_again_by_itself(
    run_zoo: Run, run: Path, name: str
) -> None:
    before = contents(run)
    for path in run.glob("state/step-*"):
        path.unlink()
    flipped(run / name)
    outcome = build(run_zoo)
    assert outcome.code == 1
    assert outcome.errors[-1] == (
        f"zoo: error: run/{name}: cannot be read (its content is not what was written), and run/state has no "
        "checkpoint to write it again from. Bring one of them back from a copy, or remove the file to train from step 0"
    )
    (run / name).unlink()
    assert "training 3 steps" in build(run_zoo).err
    assert contents(run) == before


def test_damaged_weights_and_a_damaged_newest_checkpoint_come_back_from_the_one_before(run_zoo: Run, run: Path) -> None:
    before = contents(run)
    flipped(run / "model.safetensors")
    flipped(run / "state/step-00000003.safetensors")
    outcome = build(run_zoo)
    assert outcome.code == 0
    assert "going back to the checkpoint before it" in outcome.err
    assert contents(run) == before


def test_another_recipe_is_refused_where_that_of_the_run_is_gone(run_zoo: Run, run: Path) -> None:
    gone(run / "recipe.yaml")
    Path("tiny.yaml").write_text(AVERAGED.replace("width: 4", "width: 5"))
    outcome = build(run_zoo)
    cure = "Bring it back from a copy, or go on from the recipe that it was built from: zoo build RECIPE --out run"
    assert (outcome.code, outcome.err) == (1, f"zoo: error: run/recipe.yaml: is gone. {cure}\n")


@pytest.mark.usefixtures("run")
def test_another_recipe_is_refused_and_so_are_fewer_steps(run_zoo: Run) -> None:
    Path("tiny.yaml").write_text(AVERAGED.replace("width: 4", "width: 5"))
    outcome = build(run_zoo)
    assert (outcome.code, outcome.err) == (
        2,
        "zoo: error: run: holds a run of another recipe: slots.critic.width is 4 there and 5 here; "
        "slots.decoder.width is 4 there and 5 here; slots.encoder.width is 4 there and 5 here (and 1 more). "
        "Choose another --out, or remove the directory\n",
    )
    Path("tiny.yaml").write_text(AVERAGED.replace("steps: 3", "steps: 2"))
    outcome = build(run_zoo)
    cure = "build it as it is with zoo build run, or choose another --out"
    said = f"zoo: error: run: has 3 steps in all, more than the 2 asked for; {cure}\n"
    assert (outcome.code, outcome.err) == (2, said)


def test_what_is_not_finished_vouches_for_nothing(tmp_path: Path) -> None:
    with Folder(tmp_path) as folder:
        vouch_again(folder, ("scores.json",))
    assert plain_json(tmp_path, "state/done.json") == {}


def test_an_edited_recipe_that_says_so_stays(run_zoo: Run, run: Path) -> None:
    text = (run / "recipe.yaml").read_text() + "# edited\n"
    (run / "recipe.yaml").write_text(text)
    assert "up to date" in build(run_zoo).out
    assert (run / "recipe.yaml").read_text() == text


@pytest.mark.parametrize("damage", [gone, no_text])
def test_records_are_not_made_again_and_stand_in_nobodys_way(
    run_zoo: Run, run: Path, damage: Callable[[Path], None]
) -> None:
    damage(run / "metrics.jsonl")
    assert "up to date" in build(run_zoo).out
    gone(run / "report.html")
    assert build(run_zoo).code == 0
    assert "up to date" in build(run_zoo).out


def test_scores_that_were_measured_since_are_vouched_for(run_zoo: Run, run: Path) -> None:
    assert run_zoo("evaluate", "run", "--metrics", "psnr").code == 0
    assert "up to date" in build(run_zoo).out
    assert set(plain_json(run, "scores.json")) == {"mse", "psnr"}


@pytest.mark.parametrize(
    "content", ['{"files": ["x"]}', '{"files": {"/dev/zero": "", "../tiny.yaml": 5}}', "[" * 10**5]
)
def test_whatever_stands_in_for_what_it_vouches_is_no_error(run_zoo: Run, run: Path, content: str) -> None:
    recipe = plain_json(run, "state/done.json")["recipe"]
    (run / "state/done.json").write_text(content.replace("{", f'{{"recipe": "{recipe}", ', 1).replace(", }", "}"))
    assert build(run_zoo).code == 0
    assert damaged(run) == []
