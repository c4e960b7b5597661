"""Cells in the hands of several processes, and how long they take."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest

import zoo.compare.build as building
from zoo.compare.build import Site, build_cells, time_left
from zoo.compare.plan import Cell
from zoo.errors import Interrupted
from zoo.recipe import load_recipe
from zoo.registry import load_registry
from zoo.runs.run import Run


def cell(folder: Path, model: str, data: str = "digits", seed: int = 0) -> Cell:
    return Cell(model, data, seed, folder / model / data / str(seed), load_recipe("vae"))


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The cells that were built, by a builder that only takes the run's lock."""
    made: list[str] = []

    def build(*_, out, **__):
        with Run(out):
            made.append(out.parent.parent.name)
            return SimpleNamespace(state="done")

    monkeypatch.setattr(building, "build_run", build)
    monkeypatch.setattr(building, "AGAIN", 0.0)
    return made


def site(said: list[str], say=lambda _: None, stop=lambda: False) -> Site:
    def both(sentence: str) -> None:
        said.append(sentence)
        say(sentence)

    return Site(load_registry(()), "cpu", tuple, stop, both)


def test_a_cell_that_another_process_builds_is_put_off_and_then_built(tmp_path, built):
    cells = [cell(tmp_path, name) for name in ("a", "b", "c")]
    other = Run(cells[0].folder)
    said: list[str] = []
    members = build_cells(
        cells, site(said, lambda sentence: other.close() if "c on" in sentence else None), lambda _: None
    )
    assert built == ["b", "c", "a"]
    assert [member.model for member in members] == ["a", "b", "c"]
    assert said[0] == "[1/3] a on digits, seed 0: another process is building it; put off"


def test_what_the_other_process_holds_to_the_end_is_waited_for(tmp_path, built):
    one, said = cell(tmp_path, "a"), list[str]()
    other, looks = Run(one.folder), list[int]()

    def stop() -> bool:
        looks.append(len(built))
        if len(looks) == 3:
            other.close()
        return False

    build_cells([one], site(said, stop=stop), lambda _: None)
    assert (built, looks) == (["a"], [0, 0, 0])
    assert [sentence for sentence in said if "put off" in sentence] == said[:1]


def test_waiting_can_be_interrupted(tmp_path, built):
    one = cell(tmp_path, "a")
    with Run(one.folder), pytest.raises(Interrupted, match=r"^\[1/1\] a on digits, seed 0: another process"):
        build_cells([one], site([], stop=lambda: True), lambda _: None)
    assert not built


@pytest.mark.usefixtures("built")
def test_scores_that_could_not_share_a_column_end_the_building(tmp_path):
    def refuse(members):
        raise ValueError(f"{len(members)} built")

    with pytest.raises(ValueError, match="1 built"):
        build_cells([cell(tmp_path, "a"), cell(tmp_path, "b")], site([]), refuse)


# --- how long


def test_the_time_left_is_that_of_the_cells_most_alike(tmp_path, monkeypatch):
    cells = [cell(tmp_path, model, data, seed) for seed in (0, 1) for data in "xy" for model in "ab"]
    took = [building._member(c, "done", seconds=s) for c, s in zip(cells, (10.0, 40.0, 20.0, 0.0), strict=False)]
    assert time_left(cells, []) == 0
    assert time_left(cells[1:], took[:1]) == 7 * 10  # a on x
    assert time_left(cells[2:], took[:2]) == 3 * 10 + 3 * 40  # b on x
    assert time_left(cells[3:], took[:3]) == 10 + 40 + 20 + 2 * 40  # a on y
    assert time_left(cells[4:], took) == 10 + 40 + 20 + 40
    monkeypatch.setattr("zoo.compare.build.up_to_date", lambda folder, _: folder == cells[4].folder)
    assert time_left(cells[4:], took) == 40 + 20 + 40  # another process finished one
