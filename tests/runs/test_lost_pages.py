"""A run that lost its recipe, or the list of its plugins: what is advised works as it stands."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY, Run

OWN = (
    TINY.replace("extends: avae", "extends: vae")
    .replace("noise: 4\n", "")
    .replace(", generator: {width: 4}, critic: {width: 4}", "")
)


PLUGIN = """\
from zoo.api import Component, hookimpl

class Mine:
    def update(self, x): ...
    def compute(self): return 1.0

@hookimpl
def zoo_components():
    return [Component("metric", "my-lost", "my_lost:Mine", "counts")]
"""


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe and its run, stopped at step 2 of 3; and beside it one that was not."""
    from zoo.cli import main

    folder = tmp_path_factory.mktemp("stopped")
    (folder / "tiny.yaml").write_text(OWN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name, steps in (("tiny", 2), ("whole", 3)):
            arguments = ["--out", f"runs/{name}", "--stop-after", "train", "--set", f"train.steps={steps}"]
            assert main(["build", "tiny.yaml", *arguments]) == 0
    for name in ("model.safetensors", "recipe.yaml"):
        (folder / "runs/tiny" / name).unlink()
    shutil.copy(folder / "runs/whole/recipe.yaml", folder / "runs/tiny")
    return folder


@pytest.fixture
def cut(stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(stopped, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Path("runs/tiny")


def torn(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"batch: 4", b"batch: 5"))


def no_text(path: Path) -> None:
    path.write_bytes(b"name: tiny\n\xff")


LOST_PAGES = "A run that lost its recipe or its list of plugins says which command goes on with it."
LOST: dict[str, Callable[[Path], None]] = {"torn": torn, "no text": no_text, "gone": Path.unlink}


def pasted(said: str) -> list[str]:
    """The command that a sentence advises."""
    return said.partition("zoo ")[2].splitlines()[0].rstrip(".").split(". ")[0].split()


@pytest.mark.promise(LOST_PAGES)
@pytest.mark.parametrize("how", LOST)
def test_the_recipe_of_an_unfinished_run(cut: Path, run_zoo: Run, how: str) -> None:
    LOST[how](cut / "recipe.yaml")
    command = pasted(run_zoo("sample", cut).err)
    assert command == ["build", "tiny.yaml", "--out", "runs/tiny"]
    again = run_zoo(*command, "--stop-after", "train")
    assert again.code == 0, again.err
    assert "runs/tiny/recipe.yaml: is gone, or is not what was written; to be made again" in again.errors
    assert "continuing at step 2 of 3" in again.errors
    assert (cut / "model.safetensors").read_bytes() == Path("runs/whole/model.safetensors").read_bytes()
    assert (cut / "recipe.yaml").read_bytes() == Path("runs/whole/recipe.yaml").read_bytes()


def test_another_recipe_is_refused_all_the_same(cut: Path, run_zoo: Run) -> None:
    before = {path: path.read_bytes() for path in cut.rglob("*") if path.is_file()}
    torn(cut / "recipe.yaml")
    outcome = run_zoo("build", "tiny.yaml", "--out", cut, "--set", "latent=5")
    assert outcome.code == 1
    assert "is not as it was written: damaged, or edited" in outcome.err
    before[cut / "recipe.yaml"] = (cut / "recipe.yaml").read_bytes()
    assert {path: path.read_bytes() for path in cut.rglob("*") if path.is_file()} == before


@pytest.mark.promise(LOST_PAGES)
@pytest.mark.usefixtures("cut")
def test_a_list_of_plugins_that_is_lost(run_zoo: Run, tmp_path: Path) -> None:
    (tmp_path / "my_lost.py").write_text(PLUGIN)
    plugin = ["--plugin", "my_lost.py"]
    own = [*plugin, "--set", "evaluate={mine: my-lost}", "--out", "runs/own"]
    assert run_zoo("build", "tiny.yaml", *own).code == 0
    for lose in (Path.unlink, no_text):
        lose(Path("runs/own/plugins.json"))
        said = run_zoo("evaluate", "runs/own")
        assert said.code == 2
        assert "runs/own/plugins.json: which plugins this run was built with is gone or damaged; give" in said.errors[0]
        assert "runs/own/recipe.yaml:" in said.errors[1]
        assert run_zoo("evaluate", "runs/own", *plugin).code == 0
        assert run_zoo("build", "runs/own", *plugin).code == 0
        assert run_zoo("build", "runs/own").err.endswith("--plugin " + str(tmp_path / "my_lost.py") + "\n")
