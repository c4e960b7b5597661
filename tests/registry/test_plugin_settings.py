"""Leaving plugins out: the user's settings, ``zoo plugins disable`` and ``enable``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Run

from zoo.cli.settings import HEADER, set_disabled
from zoo.errors import RecipeError, RequestError
from zoo.registry import clear_cache, load_registry
from zoo.registry.catalogue import settings_file


@pytest.fixture(autouse=True)
def settings(here: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The settings file, in an empty folder."""
    monkeypatch.setenv("ZOO_CONFIG", str(here / "config"))
    clear_cache()
    yield here / "config" / "registry.yaml"
    clear_cache()


def wrote(file: Path, text: str) -> Path:
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(text.encode())
    return file


# -- where they are ------------------------------------------------------------------------------------------


def test_where_the_settings_are(monkeypatch: pytest.MonkeyPatch, settings: Path) -> None:
    assert settings_file() == settings
    monkeypatch.delenv("ZOO_CONFIG")
    monkeypatch.setenv("HOME", "/home/ann")
    for base, folder in {"": "/home/ann/.config", "/etc/xdg": "/etc/xdg", "relative": "/home/ann/.config"}.items():
        monkeypatch.setenv("XDG_CONFIG_HOME", base)
        assert settings_file() == Path(folder, "zoo", "registry.yaml")


def test_settings_hold_for_every_recipe_and_a_registry_beside_one_is_layered_over_them(
    settings: Path, here: Path
) -> None:
    wrote(settings, "disabled: [generative-zoo/vae]\npins: {encoder/dcgan: zoo-one, critic/dcgan: zoo-one}\n")
    (here / "registry.yaml").write_text("disabled: [generative-zoo/gan]\npins: {encoder/dcgan: generative-zoo}\n")
    registry = load_registry(user_catalogue=here / "registry.yaml")
    assert {p.name: p.reason for p in registry.plugins if p.state == "disabled"} == {
        "vae": f"'generative-zoo/vae' is under 'disabled' in {settings}: zoo plugins enable generative-zoo/vae",
        "gan": f"'generative-zoo/gan' is under 'disabled' in {here / 'registry.yaml'}",
    }
    assert registry.find("encoder", "dcgan").distribution == "generative-zoo"
    with pytest.raises(RequestError, match="pinned to 'zoo-one', which is not installed: pip install zoo-one, or"):
        registry.find("critic", "dcgan")


@pytest.mark.parametrize("command", [["list"], ["plugins"], ["plugins", "disable", "generative-zoo/vae"]])
def test_broken_settings_are_placed_with_the_cure(run_zoo: Run, settings: Path, command: list[str]) -> None:
    wrote(settings, "pins: {a: b}\ndisabld: [x]\n")
    outcome = run_zoo(*command)
    assert outcome.code == 2
    assert outcome.err == (
        f"{settings}:2:1: error: the file has no key 'disabld'; did you mean 'disabled'?; these are your settings of "
        "zoo: correct them, or remove the file, to go on\n"
    )


# -- the list, edited in place -------------------------------------------------------------------------------

EDITS = {
    "no file": (None, ["a"], HEADER + "disabled: [a]\n"),
    "empty": ("", ["a"], "disabled: [a]\n"),
    "only comments": ("# mine", ["a", "b"], "# mine\ndisabled: [a, b]\n"),
    "no list": ("pins: {x: y}  # why\n", ["a"], "pins: {x: y}  # why\ndisabled: [a]\n"),
    "one line of all": ("{pins: {x: y}}\n", ["a"], "{disabled: [a], pins: {x: y}}\n"),
    "null": ("disabled:   # none yet\npins: {x: y}\n", ["a"], "disabled: [a]   # none yet\npins: {x: y}\n"),
    "tilde": ("disabled: ~ # none\n", ["a"], "disabled: [a] # none\n"),
    "no items": ("disabled: []\n", ["a"], "disabled: [a]\n"),
    "brackets": ("disabled: [a] # why\npins: {}\n", ["a", "b/c"], "disabled: [a, b/c] # why\npins: {}\n"),
    "brackets in lines": ("disabled: [\n  a,  # A\n]\n", ["a", "b"], "disabled: [\n  a, b,  # A\n]\n"),
    "lines": ("disabled:\n- a # A\n# end\npins: {}\n", ["a", "b"], "disabled:\n- a # A\n- b\n# end\npins: {}\n"),
    "indented lines": ("disabled:\n    - 'a'", ["a", "b"], "disabled:\n    - 'a'\n    - b\n"),
    "line ends": ("disabled:\r\n- a\r\npins: {}\r\n", ["a", "b"], "disabled:\r\n- a\r\n- b\r\npins: {}\r\n"),
    "odd name": ("", ["a b: c"], 'disabled: ["a b: c"]\n'),
    "beyond ASCII": ("# ö €\ndisabled: [a]\n", ["a", "b"], "# ö €\ndisabled: [a, b]\n"),
    "first out": ("disabled: [a, b] # why\n", ["b"], "disabled: [b] # why\n"),
    "last out": ("disabled: [a, b]\n", ["a"], "disabled: [a]\n"),
    "only one out": ("disabled: [a]\n", [], "disabled: []\n"),
    "twice there, out": ("disabled: [a, b, a]\n", ["b"], "disabled: [b]\n"),
    "line out": ("disabled:\n# A\n- a # why\n- b # keep\npins: {}\n", ["b"], "disabled:\n# A\n- b # keep\npins: {}\n"),
    "last line out": ("disabled:\n- a\npins: {x: y}\n", [], "disabled:\npins: {x: y}\n"),
    "comment kept": ("disabled: [\n  a, # A\n  b, # B\n]\n", ["a"], "disabled: [\n  a, # A\n   # B\n]\n"),
    "one for another": ("disabled: [a]\n", ["b"], "disabled: [b]\n"),
}


@pytest.mark.parametrize("case", EDITS)
def test_only_the_list_is_touched(settings: Path, case: str) -> None:
    before, names, after = EDITS[case]
    if before is not None:
        wrote(settings, before)
    set_disabled(settings, names)
    assert settings.read_bytes().decode() == after
    assert [p.name for p in settings.parent.iterdir()] == ["registry.yaml"]


@pytest.mark.parametrize("text", ["a: &x [p]\n", "disabled: [p]\n...\n"])
def test_what_cannot_be_edited_is_left_as_it_is(settings: Path, text: str) -> None:
    shared = "allow: &x [p]\ndisabled: *x\n" if "&x" in text else text.replace("disabled", "allow")
    wrote(settings, shared)
    with pytest.raises(RequestError, match="edit it by hand"):
        set_disabled(settings, ["p", "q"])
    assert settings.read_text() == shared


def test_a_link_to_the_settings_stays_one(settings: Path, here: Path) -> None:
    real = wrote(here / "dotfiles" / "zoo.yaml", "disabled: []\n")
    settings.parent.mkdir()
    settings.symlink_to(real)
    set_disabled(settings, ["a"])
    assert (settings.is_symlink(), real.read_text()) == (True, "disabled: [a]\n")


# -- zoo plugins disable, enable -----------------------------------------------------------------------------


@pytest.mark.usefixtures("few_photos")
def test_disable_and_enable(run_zoo: Run, settings: Path) -> None:
    assert run_zoo("plugins", "disable", "generative-zoo/vae").out == f"disabled generative-zoo/vae in {settings}\n"
    again = run_zoo("plugins", "disable", "Generative_Zoo/vae", "generative-zoo/gan", "--json")
    assert (again.code, json.loads(again.out)) == (
        0,
        {
            "file": str(settings),
            "disabled": ["generative-zoo/vae", "generative-zoo/gan"],
            "said": [
                f"generative-zoo/vae is disabled already in {settings}",
                f"disabled generative-zoo/gan in {settings}",
            ],
        },
    )
    missing = run_zoo("check", "vae").err
    assert missing.startswith("zoo: error: recipe 'vae' comes with generative-zoo 0.1.0, whose plugin ")
    assert "'vae' is disabled: " in missing
    assert "zoo plugins enable generative-zoo/vae" in missing
    assert run_zoo("plugins", "enable", "vae").out == f"enabled generative-zoo/vae in {settings}\n"
    assert run_zoo("plugins", "enable", "vae").out == f"vae is not disabled in {settings}\n"
    assert settings.read_text() == HEADER + "disabled: [generative-zoo/gan]\n"
    assert run_zoo("check", "vae").code == 0


REFUSED = {
    "generative-zoo": "generative-zoo is zoo itself; name one of its plugins, such as generative-zoo/",
    "vae": "'vae' is a plugin of zoo itself; write generative-zoo/vae to disable it all the same",
    "vea": "no plugin or package 'vea' is installed; did you mean 'vae'?",
    "generative-zoo/vea": "no plugin or package 'generative-zoo/vea' is installed; did you mean 'generative-zoo",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_disabled(run_zoo: Run, settings: Path, name: str) -> None:
    outcome = run_zoo("plugins", "disable", name)
    assert (outcome.code, settings.exists()) == (2, False)
    assert outcome.err.startswith(f"zoo: error: {REFUSED[name]}")


@pytest.mark.parametrize("arguments", [["disable"], ["enable"]])
def test_a_name_is_needed(run_zoo: Run, arguments: list[str]) -> None:
    outcome = run_zoo("plugins", *arguments)
    assert (outcome.code, outcome.err.startswith(f"zoo: error: name what to {arguments[0]}: ")) == (2, True)


def test_enable_says_what_else_keeps_it_disabled(run_zoo: Run, settings: Path, here: Path) -> None:
    wrote(settings, "disabled: [gan]\n")
    (here / "registry.yaml").write_text("blocked: [{package: generative-zoo, reason: it is old}]\n")
    outcome = run_zoo("plugins", "enable", "gan")
    assert outcome.code == 1
    assert outcome.out.splitlines() == [
        f"enabled gan in {settings}",
        f"generative-zoo/gan stays blocked: generative-zoo 0.1.0 is blocked by {here / 'registry.yaml'}: it is old",
    ]


def test_an_entry_of_what_is_gone_can_be_taken_out(run_zoo: Run, settings: Path) -> None:
    wrote(settings, "disabled: [zoo-gone]\n")
    assert run_zoo("plugins", "enable", "zoo-gone").out == f"enabled zoo-gone in {settings}\n"
    assert run_zoo("plugins", "enable", "zoo-gone").code == 2


def test_the_traceback_of_one(run_zoo: Run, here: Path) -> None:
    (here / "torn_parts.py").write_text("1 / 0\n")
    outcome = run_zoo("plugins", "--plugin", "torn_parts.py", "--traceback", "torn_parts")
    assert "ZeroDivisionError: division by zero" in outcome.out.splitlines()
    assert "dcgan" not in outcome.out
    assert run_zoo("plugins", "--traceback", "dcgn").err.endswith("did you mean 'dcgan'?\n")


def test_wrong_settings_are_a_recipe_error(settings: Path) -> None:
    wrote(settings, "disabled: {a: b}")
    with pytest.raises(RecipeError):
        load_registry()


def test_a_recipe_says_who_has_the_values_it_misses(run_zoo: Run, here: Path) -> None:
    (here / "registry.yaml").write_text("disabled: [generative-zoo/values]\n")
    (here / "my.yaml").write_text("extends: vae\n")
    outcome = run_zoo("check", "my.yaml")
    assert outcome.code == 2
    wanted = "value 'decoded_prior' comes with generative-zoo 0.1.0, whose plugin 'values' is disabled"
    assert any("output 'sample': " + wanted in error for error in outcome.errors)
    assert not any("neither a slot" in error for error in outcome.errors)
