"""``zoo show``: of every installed component and every section, what there is to know before using it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import Run

from zoo.registry import FIRST_PARTY, load_registry
from zoo.registry.option_types import SCALARS

COMPONENTS = [f"{entry.kind}:{entry.id}" for entry in load_registry().components()]
NETWORKS = ("encoder", "decoder", "generator", "critic", "module")
SECTIONS = ("recipe", "train", "phase", "schedule")
WORDS = {"Scheduled", *SCALARS, "None", "Literal", "tuple", "list", "dict"}


def check_options(options: dict[str, dict[str, Any]]) -> None:
    """Each has a type that a recipe can write, a default unless it must be given, and a text."""
    for name, option in options.items():
        assert set(re.findall(r"[A-Za-z]\w*", re.sub(r"'[^']*'", "", option["type"]))) <= WORDS, name
        assert option["required"] is False or option["default"] is None
        assert option["doc"].strip(), name


def check_source(source: str, words: tuple[str, ...]) -> None:
    """A file that is there, and the line that defines what is shown."""
    file, line = source.rsplit(":", 1)
    assert Path(file).is_absolute()
    assert Path(file).read_text().splitlines()[int(line) - 1].startswith(words)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_component(run_zoo: Run, name: str) -> None:
    told = run_zoo("show", name).out
    described = json.loads(run_zoo("show", name, "--json").out)
    kind, _, id_ = name.partition(":")
    assert described
    for one in described:
        assert (one["kind"], one["id"]) == (kind, id_)
        assert one["summary"] in told
        assert one["source"] in told
        check_source(one["source"], ("def ", "class "))
        if id_.startswith(f"{FIRST_PARTY}/"):
            assert one["doc"]
            assert one["doc"] in told
            check_options(one["options"])
        for option in one["options"]:
            assert re.search(rf"^{option} +\S", told, re.MULTILINE)
        assert ("->" in one["contract"]) is (kind in NETWORKS)
        assert f"shapes: {one['contract']}\n" in told or not one["contract"]
        assert f"asks for: {', '.join(one['asks_for']) or 'nothing'}\n" in told


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section(run_zoo: Run, name: str) -> None:
    told = run_zoo("show", name).out
    [described] = json.loads(run_zoo("show", name, "--json").out)
    assert (described["kind"], described["name"]) == ("section", name)
    assert described["summary"] in told
    check_source(described["source"], ("@dataclass",))
    check_options(described["options"])
    assert described["options"].keys() <= set(told.split())


def test_variants_say_which_they_are(run_zoo: Run) -> None:
    described = json.loads(run_zoo("show", "entropy", "--json").out)
    values = ["knn", "knn_batch", "score", "mutual_information"]
    assert [one["where"] for one in described] == [{"estimator": value} for value in values]
    told = run_zoo("show", "entropy").out
    assert re.findall(r"^where estimator is (\w+)$", told, re.MULTILINE) == values
    assert json.loads(run_zoo("show", "kl", "--json").out)[0]["where"] == {}


def test_defaults_are_written_as_a_recipe_writes_them(run_zoo: Run) -> None:
    assert re.search(
        r"^betas +tuple\[Scheduled, Scheduled\] +\[0.5, 0.999\] +decay", run_zoo("show", "adam").out, re.MULTILINE
    )
    assert re.search(r"^flip +bool +true +", run_zoo("show", "photos").out, re.MULTILINE)
    assert re.search(r"^from +float +required +", run_zoo("show", "schedule").out, re.MULTILINE)


@pytest.mark.parametrize("columns", [80, 200])
def test_long_texts_are_wrapped(run_zoo: Run, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    table = run_zoo("show", "encoder:timm").out.partition("\noption ")[2]
    assert 40 < max(map(len, table.splitlines())) <= max(columns, 100)

    assert "for every image (AVAE as published)." in " ".join(table.split())
