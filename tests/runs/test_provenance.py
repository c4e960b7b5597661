"""A run knows who made its parts; another version on loading is said, and never in the way."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import pytest
from conftest import Run

import zoo

SENTENCE = (
    "was built with generative-zoo 0.0.9 (decoder 'dcgan', term 'kl'); 0.1.0 is installed here and may compute "
    "something else. To have it as it was: pip install generative-zoo==0.0.9"
)


@pytest.fixture
def older(finished: Path, here: Path) -> Path:
    """A finished run, two parts of which another version is said to have made."""
    folder = here / "runs" / "tiny"
    shutil.copytree(finished, folder)
    shutil.copy(finished.parent.parent / "tiny.yaml", here)
    found = json.loads((folder / "plugins.json").read_text())
    for part in ("decoder generative-zoo/dcgan", "term generative-zoo/kl"):
        found["parts"][part]["version"] = "0.0.9"
    (folder / "plugins.json").write_text(json.dumps(found))
    return folder


def test_ids_are_canonical_and_versions_kept(finished: Path) -> None:
    parts = json.loads((finished / "plugins.json").read_text())["parts"]
    assert parts["generator generative-zoo/dcgan"] == {
        "distribution": "generative-zoo",
        "version": zoo.__version__,
        "plugin": "dcgan",
        "target": "zoo_dcgan.networks:Generator",
    }


def test_loading_the_same_version_says_nothing(finished: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        zoo.load(finished)


def test_loading_another_version_warns_once(older: Path) -> None:
    with pytest.warns(UserWarning, match="was built with") as caught:
        zoo.load(older)
    assert [str(warning.message) for warning in caught] == [f"{older}: {SENTENCE}"]
    assert caught[0].filename == __file__


def test_the_command_line_says_it_and_works(older: Path, run_zoo: Run) -> None:
    outcome = run_zoo("sample", older, "-n", 4, "--json")
    assert outcome.code == 0
    assert outcome.errors == [f"{older}: {SENTENCE}"]
    assert Path(json.loads(outcome.out)["file"]).is_file()


def test_going_on_with_a_run_says_it_and_keeps_the_new_version(older: Path, run_zoo: Run) -> None:
    outcome = run_zoo("build", "tiny.yaml", "--out", older, "--set", "train.steps=4")
    assert outcome.code == 0, outcome.err
    assert f"{older}: {SENTENCE}" in outcome.errors
    assert "0.0.9" not in (older / "plugins.json").read_text()


def test_a_damaged_list_is_said(older: Path) -> None:
    (older / "plugins.json").write_text('{"parts": 3}')
    with pytest.warns(UserWarning, match="cannot be read, so it is unknown which versions this run was built with"):
        zoo.load(older)


def test_an_absent_list_is_nothing_to_say(older: Path) -> None:
    (older / "plugins.json").unlink()
    zoo.load(older)
