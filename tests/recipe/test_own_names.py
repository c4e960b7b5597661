"""Inside a package's recipes and parameters its own parts come first: another package, or a release of zoo, that takes
one of its names changes nothing of it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from zoo import api
from zoo.compare import Request, draw_up
from zoo.errors import RecipeError
from zoo.recipe import Recipe, load_recipe, write_recipe
from zoo.registry import FIRST_PARTY, Plugin, Registry, UnknownName, load_registry

PARTS = """
    def code_x(z_posterior):
        return z_posterior

    def spread(code_x):
        return code_x.square().mean()

    def size(code_x, spread_of):
        return code_x.mean()

    def spread_of(code_x):
        return code_x

    class Sharp:
        def update(self, x, reconstruction): ...
        def compute(self): ...
"""
TABLE = """\
models: [mine]
metrics: {mse: mse, sharp: sharp}
data: {small: {use: photos, size: 16}}
"""
RECIPE = """\
extends: vae
phases:
  - encoder + decoder: {reconstruction: 1.0, kl: 1.0, spread: 0.5}
outputs: {codes: code_x}
"""
NAMES = {"value": ("code_x", "spread_of"), "term": ("spread", "size")}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of modules on sys.path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        if name.startswith("pack_"):
            del sys.modules[name]


def package(site: Path, distribution: str, recipe: str = RECIPE, **left_out: str) -> Plugin:
    """A package with the same values, terms and recipe as any other of this page."""
    module = f"pack_{distribution.replace('-', '_')}"
    (site / module).mkdir()
    (site / module / "__init__.py").write_text(dedent(PARTS))
    (site / module / "mine.yaml").write_text(recipe)
    (site / module / "table.yaml").write_text(TABLE)
    components = [
        api.Component(kind, name, f"{module}:{name}", "a toy")
        for kind, names in NAMES.items()
        for name in names
        if left_out.get(name) is None
    ]
    components.append(api.Component("metric", "sharp", f"{module}:Sharp", "a toy"))
    recipes = (
        api.Recipe("mine", f"{module}:mine.yaml", "a recipe"),
        api.Recipe("table", f"{module}:table.yaml", "a table", table=True),
    )
    return Plugin(module, distribution, "1.0", components=tuple(components), recipes=recipes, module=module)


def among(*plugins: Plugin, **pins: str) -> Registry:
    return Registry([*load_registry().plugins, *plugins], pins)


def meant(recipe: Recipe) -> tuple[str, str]:
    """The value and the term that a recipe of this page came to."""
    [term] = [term.part.entry.id for term in recipe.phases[0].rows[0].terms if term.label == "spread"]
    return recipe.values["code_x"].entry.id, term


OURS = ("zoo-p/code_x", "zoo-p/spread")


def test_another_package_and_a_release_of_zoo_leave_a_packages_recipe_as_it_was(site: Path) -> None:
    mine, other, release = (package(site, name) for name in ("zoo-p", "zoo-q", FIRST_PARTY))
    alone = load_recipe("zoo-p/mine", (), among(mine))
    assert meant(alone) == OURS
    for registry in (among(mine, other), among(mine, release), among(mine, other, release)):
        assert load_recipe("zoo-p/mine", (), registry).plain() == alone.plain()
    assert meant(load_recipe("zoo-q/mine", (), among(mine, other))) == ("zoo-q/code_x", "zoo-q/spread")
    pinned = among(mine, other, **{"value/code_x": "zoo-q"})
    assert meant(load_recipe("zoo-p/mine", (), pinned)) == OURS, "a pin is for names outside of packages"


def test_a_recipe_that_extends_it_and_an_override_leave_it_as_it_was(site: Path) -> None:
    registry = among(package(site, "zoo-p"), package(site, "zoo-q"), package(site, FIRST_PARTY))
    (site / "user.yaml").write_text("extends: zoo-p/mine\nslots: {encoder: {width: 8}}\ntrain: {steps: 9}\n")
    assert meant(load_recipe(site / "user.yaml", (), registry)) == OURS
    changed = load_recipe("zoo-p/mine", ["phases.0.encoder+decoder.spread=3", "latent=8"], registry)
    assert meant(changed) == OURS
    assert str(changed.phases[0].rows[0].terms[-1].weight) == "3"
    written = site / "recipe.yaml"
    written.write_text(write_recipe(changed))
    assert load_recipe(written, (), registry).plain() == changed.plain()


def test_a_recipe_of_a_package_extends_its_own_namesake_first(site: Path) -> None:
    child = package(site, "zoo-p", recipe="extends: base\nlatent: 7\n")
    bases = [package(site, name) for name in ("zoo-q", "zoo-r")]
    module = site / "pack_zoo_p"
    (module / "base.yaml").write_text(RECIPE)
    mine = (*child.recipes, api.Recipe("base", "pack_zoo_p:base.yaml", "a base"))
    others = [
        Plugin(f"{b.name}2", b.distribution, "1", recipes=(api.Recipe("base", f"{b.name}:mine.yaml", "its"),))
        for b in bases
    ]
    child = Plugin(child.name, "zoo-p", "1.0", components=child.components, recipes=mine, module=child.module)
    recipe = load_recipe("mine", (), among(child, *others))
    assert (recipe.latent, meant(recipe)) == (7, OURS)


def test_a_parameter_is_of_its_own_package_and_two_that_differ_are_told(site: Path) -> None:
    """A user's recipe with terms of two packages, each of which asks for a value of its own by one name."""
    registry = among(package(site, "zoo-p"), package(site, "zoo-q"))
    row = "{reconstruction: 1.0, kl: 1.0, zoo-p/size: 1.0"
    (site / "one.yaml").write_text(f"extends: vae\nphases:\n  - encoder + decoder: {row}}}\n")
    one = load_recipe(site / "one.yaml", (), registry)
    assert {
        name: part.entry.distribution for name, part in one.values.items() if part.entry.distribution != FIRST_PARTY
    } == {
        "code_x": "zoo-p",
        "spread_of": "zoo-p",
    }
    (site / "two.yaml").write_text(f"extends: vae\nphases:\n  - encoder + decoder: {row}, zoo-q/spread: 1.0}}\n")
    with pytest.raises(RecipeError) as refused:
        load_recipe(site / "two.yaml", (), registry)
    [problem] = refused.value.problems
    assert "'code_x' is two packages' own; say which is meant: 'values: {code_x: zoo-p/code_x}' or" in problem.message
    said = "values: {code_x: zoo-q/code_x}\n"
    (site / "said.yaml").write_text((site / "two.yaml").read_text() + said)
    assert load_recipe(site / "said.yaml", (), registry).values["code_x"].entry.distribution == "zoo-q"


def test_what_a_package_has_not_is_found_as_ever(site: Path) -> None:
    lacking = package(site, "zoo-p", code_x="")
    assert load_recipe("zoo-p/mine", (), among(lacking, package(site, FIRST_PARTY))).values["code_x"]
    with pytest.raises(UnknownName):
        among(lacking).within("zoo-p").find("value", "code_x")


def test_the_owner_of_a_file(site: Path) -> None:
    registry = among(package(site, "zoo-p"), package(site, "zoo-q"))
    (site / "mine.yaml").write_text(RECIPE)
    assert registry.owner(site / "pack_zoo_q" / "mine.yaml") == "zoo-q"
    assert registry.owner(site / "mine.yaml") == ""
    assert registry.owner(site / "other.yaml") == ""
    (site / "pack_zoo_p" / "mine.yaml").unlink()  # a package that is damaged is nobody's owner
    assert registry.owner(site / "pack_zoo_q" / "mine.yaml") == "zoo-q"


def test_a_table_of_a_package_means_its_own_recipes_and_metrics(site: Path) -> None:
    registry = among(package(site, "zoo-p"), package(site, "zoo-q"), package(site, FIRST_PARTY))
    [cell] = draw_up(Request(["zoo-q/table"], seeds=1), registry).cells
    assert meant(cell.recipe) == ("zoo-q/code_x", "zoo-q/spread")
    assert [part.entry.id for part in cell.recipe.evaluate if part.label == "sharp"] == ["zoo-q/sharp"]


@pytest.mark.parametrize(
    "overrides",
    [
        ["data.use=digits", "data.size=16", "data.test=9"],
        ["data.size=16", "data.test=9", "data.use=digits"],
        ["data.use=sprites", "data.test=9", "data.use=digits", "data.size=16"],
    ],
)
def test_options_hold_whether_they_stand_before_or_behind_what_they_are_of(overrides: list[str]) -> None:
    recipe = load_recipe("vae", overrides)
    assert recipe.data.entry.name == "digits"
    assert (recipe.data.options["size"], recipe.data.options["test"]) == (16, 9)
