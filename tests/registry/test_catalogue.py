"""registry.yaml by itself: what one says, what several say in layers, and every problem with its place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from zoo.errors import RecipeError, RequestError
from zoo.registry import Plugin, load_registry
from zoo.registry import catalogue as catalogues
from zoo.registry import registry as registries
from zoo.registry.catalogue import BUNDLED, Blocked, Catalogue, Package, chosen, parse, policy, read, settings_file

TEXT = """\
packages:
  Zoo_A: {summary: "an a", provides: {encoder: [net, deep], term: []}, recipes: [model]}
  zoo-b:
blocked:
  - {package: Zoo.Evil, versions: "<2", reason: it deletes}
  - {package: zoo-worse, reason: ""}
pins: {encoder/net: Zoo_A, model: zoo-b, recipe/model: zoo-a}
allow: [Zoo_A]
disabled: [zoo-b/torn]
"""
A = Package("an a", {"encoder": ("net", "deep"), "term": ()}, ("model",))


def plugin(name: str = "torn", package: str = "zoo-b", version: str = "1.0") -> Plugin:
    return Plugin(name, package, version)


def test_what_a_file_says() -> None:
    assert parse(TEXT, "r.yaml") == Catalogue(
        packages={"zoo-a": A, "zoo-b": Package()},
        blocked=(Blocked("zoo-evil", "it deletes", "<2", "r.yaml"), Blocked("zoo-worse", "", "", "r.yaml")),
        pins={"encoder/net": "zoo-a", "model": "zoo-b", "recipe/model": "zoo-a"},
        allow=frozenset({"zoo-a"}),
        allowed_by="r.yaml",
        disabled={"zoo-b/torn": "r.yaml"},
    )


@pytest.mark.parametrize("text", ["", "{}", "# nothing", "~", "packages:\nblocked: null\ndisabled: ~\n"])
def test_a_file_that_says_nothing(text: str) -> None:
    assert parse(text, "r.yaml").over(Catalogue()) == Catalogue()


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("blocked: [{versions: 1}]", ["1:11: error: an item of 'blocked' needs 'package'",
                                      "1:11: error: an item of 'blocked' needs 'reason'"]),
        ("blocked: 3", ["1:10: error: 'blocked' must be a list"]),
        ("blocked: [3]", ["1:11: error: an item of 'blocked' must be a mapping",
                          "1:11: error: an item of 'blocked' needs 'package'",
                          "1:11: error: an item of 'blocked' needs 'reason'"]),
        ("packages: [a]", ["1:11: error: 'packages' must be a mapping"]),
        ("packages: {a: {summary: [x]}}", ["1:25: error: summary must be text"]),
        ("packages: {a: {summary: }}", ["1:25: error: summary must be text"]),
        ("packages: {a: {provides: {term: x}}}", ["1:33: error: term must be a list"]),
        ("packages: {a: {recipes: [[x]]}}", ["1:26: error: recipes must be text"]),
        ("packages: {a: {provide: {}}}", ["1:16: error: package 'a' has no key 'provide'; did you mean 'provides'?"]),
        ("disabled: [{a: b}]", ["1:12: error: 'disabled' must be text"]),
        ("allow: [~]", ["1:9: error: 'allow' must be text"]),
        ("pins: {[a]: b}", ["1:8: error: a key must be text"]),
        ("pins: {a: [b]}", ["1:11: error: a must be text"]),
        ("pins: {term/: b}", ["1:15: error: pin 'term/' names no part: write term/NAME"]),
        ("pin: {}\nallowed: []", ["1:1: error: the file has no key 'pin'; did you mean 'pins'?",
                                  "2:1: error: the file has no key 'allowed'; did you mean 'allow'?"]),
        ("a: [", ["2:1: error: is not YAML: did not find expected node content"]),
    ],
)  # fmt: skip
def test_problems_have_places(text: str, problems: list[str]) -> None:
    with pytest.raises(RecipeError) as caught:
        parse(text, "r.yaml")
    assert str(caught.value).splitlines() == [f"r.yaml:{problem}" for problem in problems]


def test_what_is_no_text_at_all_is_placed_in_its_file() -> None:
    with pytest.raises(RecipeError) as caught:
        parse("a: \0", "r.yaml")
    assert str(caught.value).startswith("r.yaml: error: is not YAML: unacceptable character #x0000")


def test_layers() -> None:
    low = parse("packages: {zoo-a: {summary: low}, zoo-c: {}}\nallow: [zoo-c]\ndisabled: [x]\n"
                "blocked: [{package: p, reason: low}]\npins: {a: low, b: low}", "low")  # fmt: skip
    high = parse("packages: {zoo-a: {summary: high}}\ndisabled: [x, y]\n"
                 "blocked: [{package: p, reason: high}]\npins: {a: high}", "high")  # fmt: skip
    both = high.over(low)
    assert {name: package.summary for name, package in both.packages.items()} == {"zoo-a": "high", "zoo-c": ""}
    assert [block.reason for block in both.blocked] == ["low", "high"]
    assert both.pins == {"a": "high", "b": "low"}
    assert (both.allow, both.allowed_by) == (frozenset({"zoo-c"}), "low")
    assert both.disabled == {"x": "low", "y": "high"}
    stricter = parse("allow: []", "mine").over(both)
    assert (stricter.allow, stricter.allowed_by) == (frozenset(), "mine")


@pytest.mark.parametrize(
    ("versions", "version", "hit"),
    [
        ("", "1.0", True),
        ("<2", "1.9", True),
        ("<2", "2.0", False),
        ("<2", "2.0rc1", False),
        ("<3", "2.0rc1", True),
        ("==1.0", "who knows", True),
    ],
)
def test_blocked_versions(versions: str, version: str, hit: bool) -> None:
    assert Blocked("p", "r", versions, "f").hits(version) is hit


def test_a_specifier_that_is_none_is_told_with_its_file() -> None:
    with pytest.raises(RequestError) as caught:
        Blocked("zoo-b", "r", "below 2", "mine.yaml").hits("1.0")
    assert str(caught.value) == (
        "mine.yaml: error: versions 'below 2' of blocked package 'zoo-b' is not a version specifier such as '<0.3'"
    )


ALL = Catalogue(only=None)


@pytest.mark.parametrize(
    ("catalogue", "verdict"),
    [
        (Catalogue(), None),
        (Catalogue(blocked=(Blocked("zoo-c", "r"),)), None),
        (Catalogue(blocked=(Blocked("zoo-b", "r", ">3"),)), None),
        (
            Catalogue(blocked=(Blocked("zoo-b", "it is bad", "<2", "mine.yaml"),)),
            ("blocked", "zoo-b <2 is blocked by mine.yaml: it is bad"),
        ),
        (
            Catalogue(blocked=(Blocked("zoo-b", "it is bad", "", str(BUNDLED)),)),
            ("blocked", "zoo-b 1.0 is blocked: it is bad"),
        ),
        (
            Catalogue(only=("a", "c")),
            ("disabled", "the variable ZOO_PLUGINS is 'a,c', which leaves it out"),
        ),
        (
            Catalogue(only=()),
            ("disabled", "the variable ZOO_PLUGINS is empty (so it is with --no-plugins), which leaves it out"),
        ),
        (Catalogue(only=("a", "torn")), None),
        (Catalogue(only=("Zoo_B",)), None),
        (Catalogue(only=("zoo-b/torn",)), None),
        (
            Catalogue(allow=frozenset({"zoo-a"}), allowed_by="mine.yaml"),
            ("disabled", "'zoo-b' is not under 'allow' in mine.yaml"),
        ),
        (Catalogue(allow=frozenset({"zoo-b"})), None),
        (Catalogue(disabled={"other": "f", "torn": "mine.yaml"}),
         ("disabled", "'torn' is under 'disabled' in mine.yaml")),
        (Catalogue(disabled={"zoo-b/else": "f"}), None),
    ],
)  # fmt: skip
def test_who_is_imported(catalogue: Catalogue, verdict: tuple[str, str] | None) -> None:
    assert catalogue.verdict(plugin()) == verdict


def test_the_first_party_needs_no_allowance(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ours = plugin("dcgan", "generative-zoo")
    assert Catalogue(allow=frozenset(), only=()).verdict(ours) is None
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    file = str(tmp_path / "registry.yaml")
    assert Catalogue(disabled={"dcgan": file}).verdict(ours) == (
        "disabled",
        f"'dcgan' is under 'disabled' in {file}: zoo plugins enable dcgan",
    )


def test_providers() -> None:
    found = parse(TEXT, "r.yaml")
    assert found.providers("encoder", "deep") == ["zoo-a"]
    assert found.providers("recipe", "model") == ["zoo-a"]
    assert found.providers("decoder", "deep") == found.providers("recipe", "deep") == []


def test_where_the_settings_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/me")
    for config, xdg, file in (
        ("/etc/zoo", "/x", "/etc/zoo/registry.yaml"),
        ("~/zoo", "/x", "/home/me/zoo/registry.yaml"),
        ("mine", "/x", f"{tmp_path}/mine/registry.yaml"),
        ("", "/x", "/x/zoo/registry.yaml"),
        ("", "x", "/home/me/.config/zoo/registry.yaml"),
        (None, None, "/home/me/.config/zoo/registry.yaml"),
    ):
        for name, value in (("ZOO_CONFIG", config), ("XDG_CONFIG_HOME", xdg)):
            monkeypatch.delenv(name, raising=False)
            if value is not None:
                monkeypatch.setenv(name, value)
        assert str(settings_file()) == file


@pytest.mark.parametrize(("text", "names"), [(None, None), ("", ()), (" , ", ()), (" a ,zoo-b/c,", ("a", "zoo-b/c"))])
def test_the_plugins_that_the_environment_chooses(
    monkeypatch: pytest.MonkeyPatch, text: str | None, names: tuple[str, ...] | None
) -> None:
    monkeypatch.delenv("ZOO_PLUGINS", raising=False)
    if text is not None:
        monkeypatch.setenv("ZOO_PLUGINS", text)
    assert chosen() == names


def test_the_bundled_file_is_read_only_where_it_has_something_to_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert policy(["generative-zoo"], [], None) == Catalogue()
    assert policy(["generative-zoo", "zoo-of-nobody"], [], ("a",)) == Catalogue(only=("a",))
    monkeypatch.setattr(catalogues, "BUNDLED", tmp_path / "bundled.yaml")
    (tmp_path / "bundled.yaml").write_text("blocked: [{package: Zoo_Evil, reason: it is bad}]\n")
    catalogues._bundled.cache_clear()
    assert policy(["zoo-of-nobody"], [], None) == Catalogue()
    assert [block.package for block in policy(["ZOO.evil"], [], ()).blocked] == ["zoo-evil"]
    mine = tmp_path / "r.yaml"
    mine.write_text("disabled: [x]\n")
    layered = policy([], [mine], None)
    assert (layered.disabled, len(layered.blocked)) == ({"x": str(mine)}, 1)
    catalogues._bundled.cache_clear()


def test_a_file_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "registry.yaml").write_bytes(b"\xff")
    for file, said in {
        tmp_path: f"{tmp_path}: error: cannot be read: Is a directory",
        tmp_path / "registry.yaml": f"{tmp_path}/registry.yaml: error: cannot be read: 'utf-8' codec can't decode byte "
        "0xff in position 0: invalid start byte",
    }.items():
        with pytest.raises(RecipeError) as caught:
            read(file)
        assert str(caught.value) == said
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    with pytest.raises(RecipeError) as caught:
        read(tmp_path / "registry.yaml")
    cure = "; these are your settings of zoo: correct them, or remove the file, to go on"
    assert str(caught.value) == said + cure


def test_a_name_in_the_variable_that_nobody_answers_to_is_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(registries, "_warned", set())
    monkeypatch.setenv("ZOO_PLUGINS", "dcgn,qqqqqq,dcgan,generative-zoo/vae")
    registries.clear_cache()
    try:
        load_registry()
        registries.clear_cache()
        load_registry()
    finally:
        registries.clear_cache()
    assert capsys.readouterr().err.splitlines() == [
        "zoo: warning: ZOO_PLUGINS names 'dcgn', which is not installed; did you mean 'dcgan'?",
        "zoo: warning: ZOO_PLUGINS names 'qqqqqq', which is not installed",
    ]


def test_equal_questions_have_one_answer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ZOO_CONFIG", os.fspath(tmp_path))
    registries.clear_cache()
    assert load_registry() is load_registry()
    (tmp_path / "registry.yaml").write_text("disabled: [vae]\n")
    states = {found.name: found.state for found in load_registry().plugins}
    assert (states["vae"], states["gan"]) == ("disabled", "ok")
