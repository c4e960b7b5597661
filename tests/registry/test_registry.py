"""Discovery with really written distributions: whatever one plugin does, every other one works."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from zoo import api
from zoo.errors import RecipeError, RequestError
from zoo.registry import AmbiguousName, Plugin, Registry, UnknownName, clear_cache, load_registry
from zoo.registry.catalogue import BUNDLED, read

GOOD = """
    from zoo import api

    @api.hookimpl
    def zoo_components():
        return [api.Component("encoder", "good-net", "good.nets:Net", "a net"),
                api.Component("term", "shared", "good.nets:shared", "a term")]

    @api.hookimpl
    def zoo_recipes():
        return [api.Recipe("good-recipe", "good:good.yaml", "a recipe")]
"""
ONE = """
    from zoo import api

    @api.hookimpl
    def zoo_components():
        return [{components}]
"""
Write = Callable[..., Path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes distributions into a folder on sys.path; a healthy one, zoo-good, is there already."""
    folder = tmp_path / "site"
    folder.mkdir()
    before = set(sys.modules)

    def write(name: str, source: str, version: str = "1.0", entry_points: str | None = None) -> Path:
        module = name.replace("zoo-", "").replace("-", "_")
        info = folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(entry_points or f"[zoo]\n{module} = {module}\n")
        package = folder / module
        package.mkdir()
        (package / "__init__.py").write_text(dedent(source))
        return package

    package = write("zoo-good", GOOD)
    (package / "nets.py").write_text("class Net:\n    def __init__(self, channels, *, width: int = 4): ...\n")
    (package / "good.yaml").write_text("slots: {}\n")
    monkeypatch.syspath_prepend(str(folder))
    clear_cache()
    yield write
    clear_cache()
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def one(*components: str) -> str:
    return ONE.format(components=", ".join(f"api.Component({component})" for component in components))


def plugin(registry: Registry, name: str) -> Plugin:
    [found] = [plugin for plugin in registry.plugins if plugin.name == name]
    return found


def only_lost(name: str, **arguments: object) -> Plugin:
    """The plugin of that name, after checking that all the others fare as they do without it."""
    registry = load_registry(**arguments)  # type: ignore[arg-type]
    assert registry.find("encoder", "good-net").load().__name__ == "Net"
    assert registry.find_recipe("good-recipe") is not None
    healthy = [p for p in registry.plugins if p.distribution == "generative-zoo" and p.state == "ok"]
    assert len(healthy) == len(FIRST_PARTY_OK)
    return plugin(registry, name)


FIRST_PARTY_OK = [p for p in load_registry().plugins if p.distribution == "generative-zoo" and p.state == "ok"]


FAULTS = {
    "import error": (
        "import no_such_thing",
        "broken",
        "importing 'bad' failed: ModuleNotFoundError: No module",
    ),
    "syntax error": ("def :", "broken", "importing 'bad' failed: SyntaxError: "),
    "sys.exit": ("import sys\nsys.exit(3)", "broken", "importing 'bad' called sys.exit(3)"),
    "odd exception": ("class E(BaseException): ...\nraise E", "broken", "importing 'bad' failed: E"),
    "no hook": ("x = 1", "broken", "it implements no hook; choices: zoo_components, zoo_recipes"),
    "unmarked hook": ("def zoo_components(): return []", "broken", "is not marked with @zoo.api.hookimpl"),
    "unknown hook": (
        "from zoo import api\n@api.hookimpl\ndef zoo_componets(): return []",
        "broken",
        "there is no hook 'zoo_componets'; did you mean 'zoo_components'?",
    ),
    "hook arguments": (
        "from zoo import api\n@api.hookimpl\ndef zoo_components(config): return []",
        "broken",
        "Plugin 'bad' for hook 'zoo_components'",
    ),
    "raising hook": (
        "from zoo import api\n@api.hookimpl\ndef zoo_components(): raise RuntimeError('no luck')",
        "broken",
        "zoo_components() failed: RuntimeError: no luck",
    ),
    "wrong return": (
        "from zoo import api\n@api.hookimpl\ndef zoo_components(): return 3",
        "broken",
        "it must return a sequence of zoo.api.Component, not an int",
    ),
    "returns none": (
        "from zoo import api\n@api.hookimpl\ndef zoo_components(): pass",
        "broken",
        "it must return a sequence of zoo.api.Component, not None",
    ),
    "not a component": (
        "from zoo import api\n@api.hookimpl\ndef zoo_components(): return [{}]",
        "broken",
        "zoo_components() item 0: it is a dict, not a zoo.api.Component",
    ),
    "too new": (
        "ZOO_API = (9, 1)",
        "too new",
        "it needs version 9.1 of zoo.api and this is 1.3; pip install",
    ),
    "too new to import": ("from zoo.api import Magic\nZOO_API = (9, 1)", "too new", "it needs version 9.1"),
    "odd api": (
        "ZOO_API = '1.0'",
        "broken",
        "its ZOO_API must be two whole numbers, such as (1, 3), not '1.0'",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_faulty_plugin_is_told_and_alone(site: Write, fault: str) -> None:
    source, state, sentence = FAULTS[fault]
    site("zoo-bad", source, version="0.2")
    bad = only_lost("bad")
    assert (bad.distribution, bad.version, bad.state) == ("zoo-bad", "0.2", state)
    assert sentence in bad.reason
    assert bad.components == ()


def test_the_traceback_is_kept(site: Write) -> None:
    site("zoo-bad", "import no_such_thing")
    assert "import no_such_thing" in only_lost("bad").traceback


def test_keyboard_interrupt_passes(site: Write) -> None:
    site("zoo-bad", "raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        load_registry()


def test_hooks_are_independent(site: Write) -> None:
    source = one('"term", "fine", "bad:f", "a term"')
    site("zoo-bad", f"{source}\n    @api.hookimpl\n    def zoo_recipes():\n        return 1 / 0\n")
    bad = only_lost("bad")
    assert (bad.state, [c.name for c in bad.components]) == ("broken", ["fine"])
    assert "zoo_recipes() failed: ZeroDivisionError" in bad.reason


DESCRIPTORS = {
    '"encodr", "x", "m:A", "s"': "'encodr' of component 'x' is not a kind; did you mean 'encoder'?",
    '"encoder", "x", "m.A", "s"': "target 'm.A' of encoder 'x' is not 'package.module:attribute'",
    '"encoder", "a/x", "m:A", "s"': "encoder 'a/x' needs a name of letters, digits and '-'",
    '"term", "a-b", "m:A", "s"': "term 'a-b' needs an identifier as its name",
    '"encoder", 3, "m:A", "s"': "its name is an int, not text",
    '"encoder", "x", "m:A", " "': "encoder 'x' needs a summary of one line",
}


@pytest.mark.parametrize("descriptor", DESCRIPTORS)
def test_a_bad_descriptor_is_refused_and_alone(site: Write, descriptor: str) -> None:
    site("zoo-bad", one(descriptor, '"encoder", "fine", "m:A", "s"'))
    bad = only_lost("bad")
    assert (bad.state, [c.name for c in bad.components]) == ("broken", ["fine"])
    assert bad.reason == f"zoo_components() item 0: {DESCRIPTORS[descriptor]}"


def test_a_recipe_stays_inside_its_package(site: Write) -> None:
    source = """
        from zoo import api

        @api.hookimpl
        def zoo_recipes():
            return [api.Recipe("x", "bad:../../secret.yaml", "s")]
    """
    site("zoo-bad", source)
    assert "is not 'package:relative/path.yaml'" in only_lost("bad").reason


def test_a_malformed_line_of_ours(site: Write) -> None:
    site("zoo-bad", one('"term", "t", "bad:t", "s"'), entry_points="[zoo]\nnonsense\nbad = bad\n")
    assert only_lost("bad").state == "ok"
    assert "'nonsense' under [zoo] is not 'NAME = MODULE'" in only_lost("nonsense").reason


def test_malformed_files_of_strangers_are_nothing_to_us(site: Write) -> None:
    site("stranger", "", entry_points="no section\n[console_scripts\n===\n")
    other = site("other", "").parent / "other-1.0.dist-info"
    (other / "entry_points.txt").write_bytes(b"\xff\xfe\x00")
    assert not {"stranger", "other"} & {p.distribution for p in load_registry().plugins}
    only_lost("good")


def test_undecodable_entry_points_of_ours(site: Write) -> None:
    info = site("zoo-bad", "").parent / "zoo_bad-1.0.dist-info"
    (info / "entry_points.txt").write_bytes(b"[zoo]\nbad = \xff\n")
    bad = only_lost("entry_points.txt")
    assert "reading its entry_points.txt failed: UnicodeDecodeError" in bad.reason
    assert bad.traceback.startswith("Traceback (most recent call last):")


def test_metadata_without_a_name(site: Write) -> None:
    info = site("zoo-bad", "").parent / "zoo_bad-1.0.dist-info"
    (info / "METADATA").unlink()
    bad = only_lost("entry_points.txt")
    assert (bad.distribution, bad.reason) == (
        "zoo-bad",
        "zoo_bad-1.0.dist-info/METADATA lacks a name or a version",
    )


def test_printing_at_import_leaves_stdout_alone(site: Write, capsys: pytest.CaptureFixture[str]) -> None:
    site("zoo-loud", "print('HELLO')\n" + dedent(one('"term", "t", "loud:t", "s"')))
    assert only_lost("loud").state == "ok"
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "HELLO\n")


def test_two_plugins_of_one_distribution_claim_a_name(site: Write) -> None:
    package = site("zoo-bad", one('"term", "t", "bad:t", "s"'), entry_points="[zoo]\na = bad\nb = bad.twice\n")
    (package / "twice.py").write_text(dedent(one('"term", "t", "bad.twice:t", "s"', '"term", "u", "bad:u", "s"')))
    assert only_lost("a").state == "ok"
    assert only_lost("b").reason == "term 't' of plugin 'b' is refused: plugin 'a' of zoo-bad provides it already"
    assert load_registry().find("term", "t").target == "bad:t"
    assert load_registry().find("term", "u").plugin == "b"


def test_a_plugin_of_an_older_api_is_incompatible(site: Write) -> None:
    site("zoo-old", "ZOO_API = (0, 9)")
    assert (only_lost("old").state, only_lost("old").reason) == (
        "incompatible",
        "it was written for version 0.9 of zoo.api and this is 1.3; pip install --upgrade zoo-old, or ask its author",
    )


REQUIRES = {
    "here-not>=0.1": "it requires 'here-not>=0.1', which is not installed: pip install 'here-not>=0.1'",
    "pytest<1,>0.1 ; python_version > '3'": "it requires 'pytest<1,>0.1' and pytest ",
    "here-not[a,b] @ https://example.org/x.whl": "it requires 'here-not[a,b] @ https://example.org/x.whl', which",
    "zoo-good": "zoo-good requires 'here-not', which is not installed: pip install 'here-not'",
    "zoo-good[more]": "zoo-good requires 'here-not', which is not installed",
    "pytest; python_version < '3'": "",
    "here-not; extra == 'all'": "",
    "not a requirement!": "",
}


@pytest.mark.parametrize("line", REQUIRES)
@pytest.mark.parametrize("where", ["plugin", "target"])
def test_what_a_package_requires_and_lacks_is_told(site: Write, line: str, where: str) -> None:
    package = site("zoo-bad", "import no_such_thing" if where == "plugin" else one('"term", "t", "bad.parts:t", "s"'))
    (package / "parts.py").write_text("import no_such_thing\n")
    infos = {name: package.parent / f"{name}-1.0.dist-info" / "METADATA" for name in ("zoo_bad", "zoo_good")}
    infos["zoo_bad"].write_text(infos["zoo_bad"].read_text() + f"Requires-Dist: {line}\n")
    good = "here-not; extra == 'more'" if "[more]" in line else "here-not"
    infos["zoo_good"].write_text(infos["zoo_good"].read_text() + f"Requires-Dist: {good}\n")
    if where == "plugin":
        said = plugin(load_registry(), "bad").reason
    else:
        with pytest.raises(RequestError) as caught:
            load_registry().find("term", "t").load()
        said = str(caught.value)
    _, _, advice = said.partition("No module named 'no_such_thing'; ")
    assert advice.startswith(REQUIRES[line])
    assert bool(advice) == bool(REQUIRES[line])


def test_a_hidden_copy_is_noted(site: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = site("zoo-twofold", one('"term", "t", "twofold:t", "s"'))
    shutil.copytree(package.parent / "zoo_twofold-1.0.dist-info", tmp_path / "later" / "zoo_twofold-0.9.dist-info")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "later")])
    twofold = only_lost("twofold")
    assert (twofold.state, *twofold.notes) == (
        "ok",
        f"another copy of zoo-twofold, 1.0 in {tmp_path / 'later'}, is hidden by this one in {tmp_path / 'site'}",
    )


@pytest.mark.parametrize("where", ["plugin", "target"])
def test_torch_s_defaults_are_put_back_and_who_changed_them_is_named(
    site: Write, capsys: pytest.CaptureFixture[str], where: str
) -> None:
    import torch

    source = "import torch\ntorch.set_default_dtype(torch.float64)\ntorch.set_default_device('meta')\n"
    parts = dedent(one('"term", "t", "bad.parts:t", "s"'))
    package = site("zoo-bad", (source if where == "plugin" else "") + parts)
    (package / "parts.py").write_text((source if where == "target" else "") + "def t(x): ...\n")
    registry = load_registry()
    registry.find("term", "t").load()
    told = " ".join(plugin(registry, "bad").notes) if where == "plugin" else capsys.readouterr().err
    assert "its import sets torch's default dtype to float64 for the whole process; it is float32 again" in told
    assert "its import sets torch's default device to meta for the whole process; it is cpu again" in told
    assert where == "plugin" or told.startswith("zoo: warning: module 'bad.parts' of zoo-bad: ")
    assert (torch.get_default_dtype(), str(torch.get_default_device())) == (torch.float32, "cpu")


@pytest.mark.parametrize("editing", ["first", "second"])
def test_metadata_beside_an_editable_installation_is_no_other_copy(
    site: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, editing: str
) -> None:
    """``pip install -e .`` leaves metadata in site-packages, and setuptools some beside the source."""
    package = site("zoo-twofold", one('"term", "t", "twofold:t", "s"'))
    first, second = (tmp_path / name / "zoo_twofold-1.0.dist-info" for name in ("site", "my source"))
    shutil.copytree(package.parent / "zoo_twofold-1.0.dist-info", second)
    monkeypatch.setattr(sys, "path", [*sys.path, str(second.parent)])
    installed, source = (first, second) if editing == "first" else (second, first)
    for said in ('{"url": "file:///elsewhere", "dir_info": {"editable": true}}', '{"url": "x", "dir_info": {}}', "{"):
        (installed / "direct_url.json").write_text(said)
        assert len(only_lost("twofold").notes) == 1
        clear_cache()
    place = str(source.parent).replace(" ", "%20")
    (installed / "direct_url.json").write_text(f'{{"url": "file://{place}", "dir_info": {{"editable": true}}}}')
    assert (only_lost("twofold").state, only_lost("twofold").notes) == ("ok", ())


# Names


def test_a_pin_to_a_package_that_is_ill(site: Write, tmp_path: Path) -> None:
    site("zoo-bad", "import no_such_thing")
    mine = tmp_path / "registry.yaml"
    mine.write_text("pins: {encoder/good-net: zoo-bad}")
    with pytest.raises(RequestError) as caught:
        load_registry(user_catalogue=mine).find("encoder", "good-net")
    assert str(caught.value).startswith(
        "encoder 'good-net' is pinned to 'zoo-bad', which is not available: zoo-bad 1.0, whose plugin 'bad' is broken: "
        "importing 'bad' failed: ModuleNotFoundError: No module named 'no_such_thing'"
    )
    assert str(caught.value).endswith("(zoo plugins --traceback bad shows more)")


def test_a_name_that_nobody_knows_may_be_an_ill_plugins(site: Write) -> None:
    site("zoo-bad", "import no_such_thing")
    with pytest.raises(UnknownName, match=r"\(it may be one of zoo-bad 1\.0, whose plugin 'bad' is broken: importing"):
        load_registry().find("encoder", "qqqqqq")
    site("zoo-worse", "import no_such_thing")
    clear_cache()
    with pytest.raises(UnknownName, match="these: plugin 'bad' of zoo-bad is broken, 'worse' of zoo-worse is broken;"):
        load_registry().find("encoder", "qqqqqq")


def test_two_packages_with_one_name(site: Write, tmp_path: Path) -> None:
    site("zoo-other", one('"term", "shared", "other:f", "s"'))
    with pytest.raises(AmbiguousName, match="provided by 2 packages; choose 'zoo-good/shared' or 'zoo-other/shared'"):
        load_registry().find("term", "shared")
    assert load_registry().find("term", "Zoo_Other/shared").id == "zoo-other/shared"
    mine = tmp_path / "registry.yaml"
    for key in ("term/shared", "shared"):
        mine.write_text(f"pins: {{{key}: zoo-other}}")
        clear_cache()
        assert load_registry(user_catalogue=mine).find("term", "shared").distribution == "zoo-other"
    mine.write_text("pins: {shared: zoo-othr}")
    clear_cache()
    with pytest.raises(RequestError, match="pinned to 'zoo-othr', which is not installed; did you mean"):
        load_registry(user_catalogue=mine).find("term", "shared")


def test_the_first_party_wins_a_bare_name(site: Write) -> None:
    site("zoo-other", one('"critic", "dcgan", "other:f", "s"'))
    assert load_registry().find("critic", "dcgan").distribution == "generative-zoo"
    assert load_registry().find("critic", "zoo-other/dcgan").distribution == "zoo-other"


MISSING = {
    ("encoder", "good-nt"): "there is no encoder 'good-nt'; did you mean 'good-net'?",
    ("encoder", "dcgan-joint"): "'dcgan-joint' is a critic, not an encoder; ",
    ("critic", "zoo-good/x"): "'zoo-good' has no critic 'x'",
    ("critic", "zoo-god/x"): "no package 'zoo-god' with plugins is installed; did you mean 'zoo-good'?",
    ("encoder", "foo"): "there is no encoder 'foo' here, but zoo-foo has it: pip install zoo-foo",
    (
        "term",
        "newer",
    ): "there is no term 'newer' in zoo-good 1.0, which is installed, but another version has it",
    ("encoder", "zoo-foo/foo"): "needs a package that is not installed: pip install zoo-foo",
    (
        "term",
        "sick",
    ): "term 'sick' comes with zoo-sick 1.0, whose plugin 'sick' is broken: importing 'sick' failed",
    ("term", "evil"): "registry.yaml: it deletes your runs",
}


@pytest.mark.parametrize(("kind", "name"), MISSING)
def test_an_unknown_name_helps(site: Write, tmp_path: Path, kind: str, name: str) -> None:
    site("zoo-sick", "import no_such_thing")
    package = site("zoo-evil", "raise AssertionError('imported')")
    mine = tmp_path / "registry.yaml"
    mine.write_text(
        dedent("""
            packages:
              zoo-foo: {provides: {encoder: [foo]}}
              zoo-sick: {provides: {term: [sick]}}
              zoo-evil: {provides: {term: [evil]}}
              zoo-good: {provides: {term: [newer]}}
            blocked: [{package: zoo_evil, versions: "<2", reason: it deletes your runs}]
        """)
    )
    registry = load_registry(user_catalogue=mine)
    with pytest.raises(UnknownName) as caught:
        registry.find(kind, name)
    assert MISSING[kind, name] in str(caught.value)
    assert package.name not in sys.modules


@pytest.mark.usefixtures("site")
def test_unknown_recipes() -> None:
    assert load_registry().find_recipe("good-recip") is None
    assert "did you mean 'good-recipe'?" in str(load_registry().unknown("recipe", "good-recip"))


@pytest.mark.usefixtures("site")
def test_a_recipe_is_found_as_a_file() -> None:
    entry = load_registry().find_recipe("zoo-good/good-recipe")
    assert entry is not None
    assert entry.file.read_text() == "slots: {}\n"


def test_load_names_who_is_to_blame(site: Write) -> None:
    site("zoo-bad", one('"term", "a", "bad:nothing", "s"', '"term", "b", "bad.absent:b", "s"'))
    for name, sentence in {
        "a": "term 'a' of zoo-bad 1.0 (plugin 'bad') cannot be used: module 'bad' has no 'nothing'",
        "b": "term 'b' of zoo-bad 1.0 (plugin 'bad') cannot be used: importing 'bad.absent' failed",
    }.items():
        entry = load_registry().find("term", name)
        for use in (entry.load, lambda entry=entry: entry.signature):
            with pytest.raises(RequestError) as caught:
                use()
            assert str(caught.value).startswith(sentence)


@pytest.mark.usefixtures("site")
def test_components_are_sorted_by_kind_then_name() -> None:
    keys = [(api.KINDS.index(e.kind), e.name) for e in load_registry().components()]
    assert keys == sorted(keys)
    assert {e.kind for e in load_registry().components("term")} == {"term"}


# Catalogues


def test_blocked_versions(site: Write, tmp_path: Path) -> None:
    site("zoo-evil", "raise AssertionError('imported')", version="1.9")
    mine = tmp_path / "registry.yaml"
    for versions, state in {"<2": "blocked", "": "blocked", ">=2": "broken"}.items():
        specifier = f'versions: "{versions}", ' if versions else ""
        mine.write_text(f"blocked: [{{package: zoo-evil, {specifier}reason: bad}}]")
        clear_cache()
        assert only_lost("evil", user_catalogue=mine).state == state


@pytest.mark.parametrize("text", ["allow: [zoo-good]", "disabled: [zoo-bad]", "disabled: [bad]"])
def test_allow_and_disabled(site: Write, tmp_path: Path, text: str) -> None:
    site("zoo-bad", "raise AssertionError('imported')")
    mine = tmp_path / "registry.yaml"
    mine.write_text(text)
    assert only_lost("bad", user_catalogue=mine).state == "disabled"


WRONG = {
    "pin: {a: b}": ":1:1: error: the file has no key 'pin'; did you mean 'pins'?",
    "blocked: [{package: a}]": ":1:11: error: an item of 'blocked' needs 'reason'",
    "allow: zoo-a": ":1:8: error: 'allow' must be a list",
    "packages:\n  a: {provides: {encodr: [x]}}": ":2:18: error: 'provides' of 'a' has no key 'encodr'; did",
    "pins: {encodr/x: a}": "pin 'encodr/x': 'encodr' is not a kind; did you mean 'encoder'?",
    "pins: {a: b, a: c}": ":1:14: error: 'pins' has 'a' twice",
    "- 1": ":1:1: error: the file must be a mapping",
    "a: [": "is not YAML",
}


@pytest.mark.parametrize("text", WRONG)
def test_a_wrong_catalogue_is_placed(tmp_path: Path, text: str) -> None:
    mine = tmp_path / "registry.yaml"
    mine.write_text(text)
    with pytest.raises(RecipeError) as caught:
        load_registry(user_catalogue=mine)
    assert WRONG[text] in str(caught.value)


def test_a_missing_catalogue_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be read"):
        load_registry(user_catalogue=tmp_path / "absent.yaml")


def test_the_bundled_catalogue_is_true() -> None:
    registry = load_registry()
    told = read(BUNDLED).packages["generative-zoo"]
    mine = [e for e in registry.components() if e.distribution == "generative-zoo"]
    live = {kind: sorted(e.name for e in mine if e.kind == kind) for kind in api.KINDS}
    assert {kind: sorted(told.provides.get(kind, ())) for kind in api.KINDS} == live
    recipes = [r.name for r in registry.recipes() if r.distribution == "generative-zoo"]
    assert sorted(told.recipes) == recipes


def test_every_first_party_plugin_is_well() -> None:
    ill = [f"{p.name}: {p.reason}" for p in load_registry().plugins if p.distribution == "generative-zoo" and p.reason]
    assert ill == []


# --plugin files


@pytest.mark.usefixtures("site")
def test_a_plugin_file(tmp_path: Path) -> None:
    file = tmp_path / "my_parts.py"
    file.write_text(
        dedent(one('"term", "mine", "my_parts:mine", "s"')) + "\n\ndef mine(x, *, scale: float = 1.0):\n    return x\n"
    )
    entry = load_registry([file]).find("term", "mine")
    assert entry.id == "local/mine"
    assert (entry.signature.needs, entry.signature.file) == (("x",), str(file))
    assert entry.load()(3) == 3
    assert load_registry([file]) is load_registry([file])
    sys.modules.pop("my_parts")


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("absent.py", "there is no file"),
        ("my-parts.py", "is not that of a Python module; rename it"),
        ("json.py", "the name 'json' is taken by"),
        ("faulty_parts.py", "failed: ZeroDivisionError"),
    ],
)
def test_a_wrong_plugin_file_is_told(tmp_path: Path, name: str, sentence: str) -> None:
    file = tmp_path / name
    if name != "absent.py":
        file.write_text("1 / 0")
    bad = only_lost(file.stem, plugin_files=[file])
    assert (bad.distribution, bad.state) == ("local", "broken")
    assert sentence in bad.reason


# Cost


def test_the_registry_is_light() -> None:
    script = """
        import json, sys, time
        from zoo.registry import load_registry
        load_registry().components()
        print(json.dumps([time.process_time(), sorted(sys.modules)]))
    """
    runs = [subprocess.run([sys.executable, "-c", dedent(script)], capture_output=True, check=True) for _ in range(3)]
    seconds, modules = min(json.loads(run.stdout) for run in runs)
    assert not {"torch", "numpy", "yaml", "pydantic", "packaging", "asyncio", "timm"} & set(modules)
    assert seconds < 0.3  # about 0.1 on an idle machine
