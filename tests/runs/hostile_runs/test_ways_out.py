"""No link, pipe or name inside a run leads out of it, for reading or writing."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Run as Command

import zoo
from zoo.compare.runs import given_runs
from zoo.compare.scores import read_scores
from zoo.errors import Damaged, ZooError
from zoo.model.model import Model
from zoo.runs.history import told
from zoo.runs.identity import damaged
from zoo.runs.provenance import build_again, noted, resolved, run_of
from zoo.runs.run import Run
from zoo.runs.weights import load_weights, trained_steps
from zoo.training.film import film, score_curve
from zoo.training.journal import Journal, read_journal

PROMISE = "No link or pipe at any name of a run leads out of it: nothing there is read, written or removed."
FOLDERS = ("state", "samples", "tensorboard", "wandb")
"""What zoo and its watchers write into."""
FILES = (
    *(
        "recipe.yaml",
        "plugins.json",
        "data.json",
        "history.json",
        "frozen.json",
        "model.safetensors",
        "ema.safetensors",
    ),
    *("metrics.jsonl", "scores.json", "other-scores.json", "report.html", "samples.png", "notes.txt", "registry.yaml"),
)
BELOW = (
    *("state/lock", "state/done.json", "state/fault.json", "state/alarms.json", "state/step-00000003.json"),
    *("state/step-00000003.safetensors", "samples/step-00000003.png", "samples/step-00000003.json"),
)


class Scene:
    """A finished run, and a folder ``outside`` with files that are nobody's business."""

    def __init__(self, finished: Path, folder: Path) -> None:
        self.run, self.outside = folder / "run", folder / "outside"
        self.kept, self.model = finished, zoo.load(finished)
        self.outside.mkdir()
        (self.outside / "secret").write_text("root:x:0")
        (self.outside / ".secret.0123abcd.tmp").write_text("of somebody's")
        self.before = self.everything()

    def again(self, name: str, put: Callable[[Path], object]) -> None:
        """The run as it was, but for what is put at a name."""
        shutil.rmtree(self.run, ignore_errors=True)
        shutil.copytree(self.kept, self.run)
        if (self.run / name).is_dir():
            shutil.rmtree(self.run / name)
        (self.run / name).unlink(missing_ok=True)
        put(self.run / name)

    def everything(self) -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in self.outside.rglob("*")}

    def said(self) -> str:
        """Whatever is told by who reads a run, or begins to write to it."""
        return "\n".join(self._said(look) for look in LOOKS.values())

    def _said(self, look: Callable[[Path, Model], Any]) -> str:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return repr(look(self.run, self.model))
        except ZooError as error:
            return str(error)


def written(folder: Path) -> None:
    with Run(folder) as run:
        for name in ("samples/step-00000001.png", "state/fault.json", "report.html", "metrics.jsonl"):
            run.write(name, b"new")
        journal = Journal(run.path("metrics.jsonl"))
        journal.start(1, 2, 3)
        journal.end()


LOOKS: dict[str, Callable[[Path, Model], Any]] = {
    "recipe": lambda folder, _: (run_of(folder), resolved(folder), resolved(folder / "recipe.yaml")),
    "weights": lambda folder, model: (trained_steps(folder), load_weights(model, folder)),
    "what it says": lambda folder, _: (told(folder), noted(folder), build_again(folder), damaged(folder)),
    "compared": lambda folder, _: (read_scores(folder, "vae"), given_runs([folder])),
    "shown": lambda folder, _: (film(folder, 3), score_curve(folder, 3), [*read_journal(folder / "metrics.jsonl")]),
    "written": lambda folder, _: written(folder),
}


@pytest.fixture(scope="module")
def scene(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return Scene(finished, tmp_path_factory.mktemp("ways"))


@pytest.mark.promise(PROMISE)
def test_a_link_at_every_name(scene: Scene, record_property: pytest.RecordProperty) -> None:
    for name in (*FOLDERS, *FILES, *BELOW):
        target = scene.outside if name in FOLDERS else scene.outside / "secret"
        scene.again(name, lambda path, target=target: path.symlink_to(target))
        assert "root:x:0" not in scene.said(), name
        assert scene.everything() == scene.before, name
        if "/" not in name:
            with pytest.raises(Damaged, match=f"run/{name}: leads out of the run, to {target}; put the file itself"):
                Run(scene.run)
    record_property("cases", len(FOLDERS + FILES + BELOW))


@pytest.mark.promise(PROMISE)
def test_a_pipe_at_every_name(scene: Scene, record_property: pytest.RecordProperty) -> None:
    """Who opened it as a file would wait for ever."""
    for name in (*FOLDERS, *FILES, *BELOW):
        scene.again(name, os.mkfifo)
        scene.said()
    record_property("cases", len(FOLDERS + FILES + BELOW))


def test_a_lock_is_no_link_though_it_leads_within(scene: Scene) -> None:
    scene.again("state/lock", lambda path: path.symlink_to("../model.safetensors"))
    with pytest.raises(ZooError, match="run: cannot be written: lock is a link"):
        Run(scene.run)
    assert (scene.run / "model.safetensors").read_bytes() == (scene.kept / "model.safetensors").read_bytes()


# -- recipes -------------------------------------------------------------------------------------------------

SECRETS = {
    "shadow": "root:$6$word:19000:0:99999:7:::\n",
    "secrets.yaml": "apiVersion: v1\nword: hunter\n",
    "x.yaml": "'word",
}


@pytest.mark.promise("A recipe that extends a file which is none tells nothing of it.")
@pytest.mark.parametrize("name", SECRETS)
@pytest.mark.parametrize("how", ["absolute", "above", "link", "beside"])
def test_what_is_extended_and_no_recipe_is_not_quoted(here: Path, run_zoo: Command, name: str, how: str) -> None:
    own = here / "own"
    own.mkdir()
    secret = (own if how == "beside" else here) / name
    secret.write_text(SECRETS[name])
    if how == "link":
        (own / "linked.yaml").symlink_to(secret)
    written = {"absolute": secret, "above": f"../{name}", "link": "linked.yaml", "beside": name}[how]
    (own / "recipe-of-theirs.yaml").write_text(f"extends: {written}\nname: theirs\n")
    outcome = run_zoo("check", own / "recipe-of-theirs.yaml")
    assert outcome.code == 2
    if how == "beside" and name.endswith(".yaml"):  # it came with the recipe
        return
    assert "is no recipe" in outcome.err
    assert "word" not in outcome.err


def test_a_table_that_names_a_file_which_is_no_recipe(here: Path, run_zoo: Command) -> None:
    for number, text in enumerate(("word: [", "- word", "word")):
        (here / f"secret{number}").write_text(text)
        (here / "table.yaml").write_text(f"models: [./secret{number}]\ndata: [digits]\n")
        outcome = run_zoo("compare", "table.yaml", "--dry-run")
        assert (outcome.code, "word" in outcome.err, "is no recipe" in outcome.err) == (2, False, True), outcome.err


def test_a_recipe_elsewhere_may_be_extended(here: Path, run_zoo: Command) -> None:
    (here / "own").mkdir()
    (here / "base").write_text("extends: vae\nlatent: 3\ndata: {size: 16, train: 8, test: 8}\n")
    (here / "own/mine.yaml").write_text("extends: ../base\n")
    assert run_zoo("check", "own/mine.yaml").code == 0
