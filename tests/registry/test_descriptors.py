"""What a plugin says it provides, descriptor by descriptor: each fault word for word, and the rest stays usable."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from zoo import api
from zoo.registry import Plugin
from zoo.registry.descriptors import ask, component_fault, recipe_fault
from zoo.registry.isolation import Failure

NET = api.Component("encoder", "net", "a.b:Net", "a net")
MODEL = api.Recipe("model", "a.b:sub/model.yaml", "a model")
IT = Plugin("it", "zoo-it", "1.0")
NO_TARGET = "is not 'package.module:attribute'"
BOTH = "encoder 'net' needs both 'by', an option, and 'variants', that option's values and their targets"


def providing(**hooks: Any) -> SimpleNamespace:
    """A plugin whose hooks return these."""

    def components() -> Any:
        return hooks["components"]

    def recipes() -> Any:
        return hooks["recipes"]

    found = {"components": components, "recipes": recipes}
    made = {f"zoo_{name}": api.hookimpl(hook, specname=f"zoo_{name}") for name, hook in found.items() if name in hooks}
    return SimpleNamespace(**made)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, ""),
        ({"kind": "encodr"}, "'encodr' of component 'net' is not a kind; did you mean 'encoder'?"),
        ({"name": "a-b-2"}, ""),
        ({"name": "a_b"}, "encoder 'a_b' needs a name of letters, digits and '-'"),
        ({"name": "a-"}, "encoder 'a-' needs a name of letters, digits and '-'"),
        ({"kind": "value", "name": "a_b"}, ""),
        ({"kind": "value", "name": "a-b"}, "value 'a-b' needs an identifier as its name"),
        ({"kind": "term", "name": "2a"}, "term '2a' needs an identifier as its name"),
        ({"target": "a.b.Net"}, f"target 'a.b.Net' of encoder 'net' {NO_TARGET}"),
        ({"target": "a:b.Net"}, f"target 'a:b.Net' of encoder 'net' {NO_TARGET}"),
        ({"target": "a.1:Net"}, f"target 'a.1:Net' of encoder 'net' {NO_TARGET}"),
        ({"summary": " \n"}, "encoder 'net' needs a summary of one line"),
        ({"summary": "two\nlines"}, "encoder 'net' needs a summary of one line"),
        ({"by": "depth"}, BOTH),
        ({"variants": {"deep": "a:B"}}, BOTH),
        ({"by": "depth", "variants": ["deep"]}, BOTH),
        ({"by": "depth", "variants": {"deep": "a:B"}}, ""),
        (
            {"by": "depth", "variants": {"deep": "a:B", "flat": "a.B"}},
            f"target 'a.B' of variant 'flat' of encoder 'net' {NO_TARGET}",
        ),
        ({"kind": "module", "contract": "B N -> B"}, ""),
        (
            {"kind": "module", "contract": ""},
            "module 'net' needs a contract, such as 'B C H W -> B C H W': its kind has none of its own",
        ),
        (
            {"by": "depth", "variants": {"deep": 3}},
            f"target '3' of variant 'deep' of encoder 'net' {NO_TARGET}",
        ),
    ],
)
def test_components(change: dict[str, Any], fault: str) -> None:
    assert component_fault(replace(NET, **change)) == fault


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({}, ""),
        ({"path": "a:m.yml"}, ""),
        ({"name": "a model"}, "recipe 'a model' needs a name of letters, digits and '-'"),
        ({"path": "a/m.yaml"}, "path 'a/m.yaml' of recipe 'model' is not 'package:relative/path.yaml'"),
        ({"path": "a:/m.yaml"}, "path 'a:/m.yaml' of recipe 'model' is not 'package:relative/path.yaml'"),
        ({"path": "a:x/../m.yaml"}, "path 'a:x/../m.yaml' of recipe 'model' is not 'package:relative/path.yaml'"),
        ({"path": "a:m.txt"}, "path 'a:m.txt' of recipe 'model' is not 'package:relative/path.yaml'"),
        ({"summary": ""}, "recipe 'model' needs a summary of one line"),
    ],
)
def test_recipes(change: dict[str, Any], fault: str) -> None:
    assert recipe_fault(replace(MODEL, **change)) == fault


def test_what_is_right_is_taken_and_what_is_wrong_is_told() -> None:
    wrong = [replace(NET, summary=3), 3, replace(NET, contract=None), replace(MODEL, path=None)]
    found = ask(IT, providing(components=[NET, *wrong[:3], MODEL], recipes=(MODEL, wrong[3], NET)))
    assert (found.components, found.recipes) == ((NET,), (MODEL,))
    assert list(found.reasons) == [
        "zoo_components() item 1: its summary is an int, not text",
        "zoo_components() item 2: it is an int, not a zoo.api.Component",
        "zoo_components() item 3: its contract is None, not text",
        "zoo_components() item 4: it is a Recipe, not a zoo.api.Component",
        "zoo_recipes() item 1: its path is None, not text",
        "zoo_recipes() item 2: it is a Component, not a zoo.api.Recipe",
    ]
    assert found.traceback == ""


@pytest.mark.parametrize(
    ("returned", "kind"), [("net", "a str"), (b"net", "a bytes"), ({NET.name: NET}, "a dict"), (None, "None")]
)
def test_a_hook_returns_a_sequence(returned: object, kind: str) -> None:
    found = ask(IT, providing(components=returned, recipes=[MODEL]))
    said = f"it must return a sequence of zoo.api.Component, not {kind}"
    assert list(found.reasons) == [f"zoo_components() failed: TypeError: {said}"]
    assert said in found.traceback
    assert found.recipes == (MODEL,)


def test_a_plugin_that_implements_nothing() -> None:
    assert ask(IT, SimpleNamespace()).reasons == ("it implements no hook; choices: zoo_components, zoo_recipes",)


def test_a_hook_beside_one_that_there_is_not() -> None:
    plugin = providing(components=[NET])
    plugin.zoo_recipe = api.hookimpl(lambda: [NET])
    found = ask(IT, plugin)
    assert list(found.reasons) == ["there is no hook 'zoo_recipe'; did you mean 'zoo_recipes'?"]
    assert found.components == (NET,)


def test_a_hook_that_is_not_marked_beside_one_that_is() -> None:
    plugin = providing(components=[NET])
    plugin.zoo_recipes = list
    assert ask(IT, plugin).reasons == ("zoo_recipes() is not marked with @zoo.api.hookimpl",)


def test_a_plugin_that_cannot_be_registered() -> None:
    plugin = SimpleNamespace(zoo_components=api.hookimpl(lambda config: [config]))
    found = ask(IT, plugin)
    assert len(found.reasons) == 1
    assert found.reasons[0].startswith(
        "registering its hooks failed: PluginValidationError: Plugin 'it' for hook 'zoo_c"
    )
    assert (found.components, found.recipes) == ((), ())


def test_the_first_traceback_is_kept() -> None:
    one, two = (Failure(f"{name} failed", f"traceback of {name}", ValueError()) for name in ("one", "two"))
    failed = IT.failed("broken", "zero", one).failed("broken", two, "three")
    assert failed.reasons == ("zero", "one failed", "two failed", "three")
    assert failed.traceback == "traceback of one"


def test_a_hook_of_another_version_may_be_optional() -> None:
    plugin = providing(components=[NET])
    plugin.zoo_later = api.hookimpl(optionalhook=True)(lambda: [NET])
    assert ask(IT, plugin) == replace(IT, components=(NET,))
