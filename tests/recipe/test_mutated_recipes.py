"""Mutated recipes and hostile documents: they load or are refused with a place, within a second and 200 MB.

``ZOO_FUZZ=10 pytest tests/recipe/test_mutated_recipes.py`` tries ten times as many, other ones too.
"""

from __future__ import annotations

import json
import os
import random
import re
import resource
import time
from pathlib import Path

import pytest
from conftest import python
from helpers.mutations import mangled, mutant, seeds
from hypothesis import given, settings
from hypothesis import strategies as st

from zoo.errors import RecipeError
from zoo.recipe import load_recipe, write_recipe
from zoo.recipe.yaml.read import read, write
from zoo.registry import load_registry

TIMES = int(os.environ.get("ZOO_FUZZ", "1"))
ROOT = Path(__file__).parents[2]
RECIPES = [ROOT / "plugins", ROOT / "tests" / "parts" / "stranger"]
CORPUS = seeds(*RECIPES)
TEXTS = [file.read_text() for folder in RECIPES for file in sorted(folder.rglob("*.yaml"))]
PLACED = re.compile(r"\S+\.yaml:[1-9]\d*:[1-9]\d*: error: \S.*")

SECONDS = 1.0
BYTES = 200 * 2**20
LONGEST = 1_800  # a sentence quotes at most one text, of a thousand characters, and lists choices

pytestmark = pytest.mark.usefixtures("here")


def fuzz(examples: int) -> settings:
    """So many examples, the same at every run."""
    return settings(max_examples=examples * TIMES, deadline=None, derandomize=True, database=None)


def load(text: str, outcomes: dict[str, int]) -> None:
    """The whole of loading: a recipe that survives writing and reading, or problems with places."""
    Path("m.yaml").write_text(text, newline="", errors="surrogatepass")
    begin = time.process_time()
    try:
        recipe = load_recipe("m.yaml", registry=load_registry())
    except RecipeError as error:
        outcomes["is refused"] += 1
        refuse_well(str(error))
    else:
        outcomes["loads"] += 1
        Path("again.yaml").write_text(write_recipe(recipe))
        again = load_recipe("again.yaml", registry=load_registry())
        assert repr(again.plain()) == repr(recipe.plain())
        assert [part.key for part in again.parts()] == [part.key for part in recipe.parts()]
    assert time.process_time() - begin < SECONDS


def refuse_well(said: str) -> None:
    lines = said.splitlines()
    assert lines
    for line in lines:
        assert PLACED.fullmatch(line), line
        assert len(line) < LONGEST, line
        assert "Node(" not in line, line
        assert "Position(" not in line, line


def test_hundreds_of_mutants_load_or_are_refused() -> None:
    outcomes = {"loads": 0, "is refused": 0}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    @fuzz(280)
    @given(st.integers(0, 2**64))
    def trees(seed: int) -> None:
        load(write(mutant(random.Random(seed), CORPUS)), outcomes)

    @fuzz(120)
    @given(st.integers(0, 2**64))
    def texts(seed: int) -> None:
        load(mangled(random.Random(seed), TEXTS), outcomes)

    trees()
    texts()
    print(", ".join(f"{count:,} {what}" for what, count in outcomes.items()))
    assert sum(outcomes.values()) >= 400 * TIMES
    assert outcomes["loads"] >= 28 * TIMES  # so that the way back is tried too
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024 < BYTES


@pytest.mark.parametrize("index", range(len(CORPUS)))
def test_every_recipe_written_and_read_is_the_same(index: int) -> None:
    assert read(write(CORPUS[index]), "r.yaml").plain() == CORPUS[index]


def test_hostile_documents_are_refused_soon_and_in_little_memory(here: Path) -> None:
    """In a process of their own, so that its peak of memory is theirs."""
    count = 200 * TIMES
    outcome = python(ROOT / "tests" / "helpers" / "hostile.py", count, cwd=here)
    assert outcome.code == 0, outcome.err
    *read_, last = map(json.loads, outcome.out.splitlines())
    assert len(read_) == count
    crashed = [found for found in read_ if found["crash"]]
    assert not crashed, crashed[0]
    slow = [(found["family"], found["number"]) for found in read_ if found["seconds"] >= SECONDS]
    assert not slow
    for found in read_:
        if found["said"]:
            refuse_well(found["said"])
    assert last["grown"] < BYTES
    assert sum(bool(found["said"]) for found in read_) > 0.9 * count
