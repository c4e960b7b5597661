"""Entries of the shelf, files of recipes, loading by hand: what an installed package need not be built for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path

import pytest

import zoo.registry
from zoo import api
from zoo.errors import RequestError
from zoo.registry import Entry, Plugin, RecipeEntry, entries, loading
from zoo.registry.discovery import damaged_metadata, installed, local
from zoo.registry.isolation import Failure, attempt
from zoo.registry.registry import Registry
from zoo.registry.requirements import unmet

NET = api.Component("encoder", "net", "json:JSONEncoder", "a net", "B C H W -> B 3")
VARIED = replace(NET, target="json:a", by="size", variants={"small": "json:b", "big": "json:c"})
ENTRY = Entry(NET, "zoo-a", "1.2", "a")


def test_what_an_entry_says_of_its_component() -> None:
    assert (ENTRY.kind, ENTRY.name, ENTRY.id, ENTRY.target) == ("encoder", "net", "zoo-a/net", "json:JSONEncoder")
    assert (ENTRY.summary, ENTRY.part.contract) == ("a net", "B C H W -> B 3")


def test_what_is_listed() -> None:
    recipe = api.Recipe("r", "json:r.yaml", "a recipe")
    registry = Registry([Plugin("a", "zoo-a", "1.2", components=(NET,), recipes=(recipe,))], {})
    net = {"kind": "encoder", "name": "net", "id": "zoo-a/net", "package": "zoo-a 1.2", "summary": "a net"}
    assert registry.listed("encoders") == registry.listed("encoder") == [net]
    assert [row["name"] for row in registry.listed()] == ["net", "r"]
    with pytest.raises(RequestError, match="there is no kind 'encodr'; did you mean 'encoder'"):
        registry.listed("encodr")


def test_variants() -> None:
    varied = replace(ENTRY, part=VARIED)
    assert [entry.target for entry in varied.variants()] == ["json:b", "json:c"]
    assert varied.variant("big").target == "json:c"
    assert [varied.variant(other) for other in ("huge", None, 3, ["big"])] == [varied] * 4
    assert ENTRY.variants() == (ENTRY,)


def test_a_check_reads_the_parameters_and_imports() -> None:
    replace(ENTRY, part=replace(NET, target="zoo.recipe.contract:contract_of")).check()
    for target, said in {
        "json:nothing": "module 'json' has no 'nothing'",
        "nowhere.nets:Net": "importing 'nowhere.nets' failed: ModuleNotFoundError: No module named 'nowhere'",
        "json:dumps": "dumps() takes **kw, so its options cannot be known; name each one",
    }.items():
        with pytest.raises(RequestError) as caught:
            replace(ENTRY, part=replace(NET, target=target)).check()
        assert str(caught.value) == f"encoder 'net' of zoo-a 1.2 (plugin 'a') cannot be used: {said}"
        assert caught.value.cause == said  # type: ignore[attr-defined]


def test_targets_are_loaded_on_behalf_of_who_brought_them(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []
    monkeypatch.setattr(entries, "running", lambda *who: asked.append(who) or nullcontext())
    replace(ENTRY, part=replace(NET, target="zoo.recipe.contract:contract_of")).check()
    assert asked == [("zoo-a", "a"), ("zoo-a", "a")]


def test_the_file_of_a_recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shipping").mkdir()
    (tmp_path / "shipping" / "__init__.py").write_text("")
    (tmp_path / "shipping" / "in.yaml").write_text("")
    (tmp_path / "single.py").write_text("")
    (tmp_path / "beside.yaml").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    entry = RecipeEntry(api.Recipe("model", "shipping:in.yaml", "a model"), "zoo-a", "1.2", "a")
    assert (entry.name, entry.id, entry.summary) == ("model", "zoo-a/model", "a model")
    assert entry.file == tmp_path / "shipping" / "in.yaml"
    beside = replace(entry, part=replace(entry.part, path="single:beside.yaml"))
    assert beside.file == tmp_path / "beside.yaml"
    for path in ("shipping:out.yaml", "nowhere:in.yaml", "nowhere.deep:in.yaml"):
        with pytest.raises(RequestError) as caught:
            _ = replace(entry, part=replace(entry.part, path=path)).file
        said = f"recipe 'model' of zoo-a 1.2 (plugin 'a') cannot be used: there is no file '{path}'"
        assert str(caught.value) == said


def test_what_zoo_registry_has_and_has_not() -> None:
    assert all(getattr(zoo.registry, name) is not None for name in zoo.registry.__all__)
    with pytest.raises(AttributeError, match=r"^module 'zoo.registry' has no attribute 'read_signature'$"):
        _ = zoo.registry.read_signature  # type: ignore[attr-defined]


# -- plugins -------------------------------------------------------------------------------------------------


def loaded(*found: Plugin) -> list[Plugin]:
    return list(loading.load(found, lambda _: None))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[Path]:
    """A plugin in a file."""
    path = tmp_path / "entries_parts.py"
    path.write_text(
        "from zoo import api\nclass Parts:\n    @staticmethod\n    @api.hookimpl\n"
        "    def zoo_components():\n        return []\nparts = Parts()\n"
    )
    yield path
    sys.modules.pop("entries_parts", None)


def test_an_entry_point_may_name_something_inside_a_module(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    [plugin] = loaded(Plugin("a", "zoo-a", "1", module="entries_parts", attribute="parts"))
    assert (plugin.state, plugin.reason) == ("ok", "")
    [absent] = loaded(Plugin("a", "zoo-a", "1", module="entries_parts", attribute="parts.more"))
    assert absent.reason == ("importing 'entries_parts' failed: AttributeError: 'Parts' object has no attribute 'more'")


def test_what_pluggy_says_names_the_plugin(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(file.read_text().replace("zoo_components()", "zoo_components(config)"))
    monkeypatch.syspath_prepend(str(file.parent))
    [plugin] = loaded(Plugin("a", "zoo-a", "1", module="entries_parts", attribute="parts"))
    assert "Plugin 'a' for hook 'zoo_components'" in plugin.reason


def test_a_module_that_two_packages_name_is_noted(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(file.parent))
    ours = Plugin("a", "zoo-a", "1", module="entries_parts", attribute="parts")
    same = Plugin("b", "zoo-a", "1", module="entries_parts", attribute="parts")
    theirs = Plugin("c", "zoo-c", "1", module="entries_parts", attribute="parts")
    other = Plugin("d", "zoo-d", "1", module="json")
    first, second, third, fourth = loaded(ours, same, theirs, other)
    assert first.notes == second.notes == ("its module 'entries_parts' is also plugin 'c' of zoo-c",)
    assert third.notes == (
        "its module 'entries_parts' is also plugin 'a' of zoo-a",
        "its module 'entries_parts' is also plugin 'b' of zoo-a",
    )
    assert fourth.notes == ()


def test_a_plugin_that_imports_what_is_heavy_or_takes_long_is_noted() -> None:
    told = "which every zoo command now waits for; {} in the module of the target instead"
    assert list(loading._slow(0.4, [])) == []
    assert list(loading._slow(0.5, [])) == [f"its import took 0.5 s, {told.format('do that')}"]
    assert list(loading._slow(0.1, ["torch", "timm"])) == [
        f"its import took 0.1 s and imported torch and timm, {told.format('import torch and timm')}"
    ]


def test_what_is_heavy_is_what_the_import_brought(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "entries_heavy.py").write_text("import sys\nsys.modules['jax'] = sys\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setitem(sys.modules, "tensorflow", sys)
    monkeypatch.delitem(sys.modules, "jax", raising=False)
    try:
        [plugin] = loaded(Plugin("a", "zoo-a", "1", module="entries_heavy"))
    finally:
        sys.modules.pop("jax", None)
        sys.modules.pop("entries_heavy", None)
    assert " s and imported jax, which" in plugin.notes[0]


def test_a_file_is_imported_once(file: Path) -> None:
    first, second = local(file), local(file)
    assert [plugin.state for plugin in loaded(first)] == ["broken"]  # no hook in the module itself
    module = sys.modules["entries_parts"]
    assert [plugin.state for plugin in loaded(second)] == ["broken"]
    assert sys.modules["entries_parts"] is module


def test_a_file_that_fails_is_no_module(tmp_path: Path) -> None:
    (tmp_path / "entries_torn.py").write_text("1 / 0\n")
    [plugin] = loaded(local(tmp_path / "entries_torn.py"))
    assert plugin.reason.endswith("failed: ZeroDivisionError: division by zero")
    assert "entries_torn" not in sys.modules


def test_a_file_that_is_none(tmp_path: Path) -> None:
    for name, said in {
        "absent.py": "there is no file {}",
        "my-parts.py": "the name of {} is not that of a Python module; rename it, such as my_parts.py",
        "parts.txt": "the name of {} is not that of a Python module; rename it, such as my_parts.py",
    }.items():
        path = tmp_path / name
        if name != "absent.py":
            path.write_text("")
        plugin = local(path)
        assert (plugin.name, plugin.distribution, plugin.version) == (path.stem, "local", "0")
        assert (plugin.state, plugin.reason) == ("broken", said.format(path))


def test_the_same_folder_twice_on_the_path_hides_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "zoo_once-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-once\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[zoo]\nonce = once\n")
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "link"), *sys.path])
    [found] = [plugin for plugin in installed() if plugin.distribution == "zoo-once"]
    assert (found.name, found.notes, found.module, found.attribute) == ("once", (), "once", "")


def test_the_damaged_file_that_a_library_stopped_at_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "zoo_torn-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: zoo-torn\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[console_scripts]\nnonsense\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    said = (
        f"{info / 'entry_points.txt'} of package zoo-torn 1.0 is damaged, and torch and other libraries stop at it; "
        "remove it, then pip install --force-reinstall zoo-torn"
    )
    stopped = attempt("asking", lambda: entry_points(group="torch.backends"))
    assert isinstance(stopped, Failure)
    assert damaged_metadata(stopped.error) == said
    assert loading.explained(stopped, "zoo-a") == f"{stopped.sentence}; {said}"
    elsewhere = attempt("asking", lambda: entry_points(1))  # type: ignore[call-overload]
    assert isinstance(elsewhere, Failure)
    assert damaged_metadata(elsewhere.error) == ""


@pytest.mark.parametrize(
    ("distribution", "said"),
    [
        ("zoo-a", "inside plugin 'a' of zoo-a; 'zoo plugins disable zoo-a/a' goes on without it"),
        ("local", "inside --plugin a.py; correct it, or leave it out"),
        ("generative-zoo", ""),
    ],
)
def test_an_interrupt_names_the_plugin_that_was_running(distribution: str, said: str) -> None:
    with pytest.raises(KeyboardInterrupt) as caught, loading.running("zoo-b", "b"), loading.running(distribution, "a"):
        raise KeyboardInterrupt
    assert str(caught.value) == said or "plugin 'b' of zoo-b" in str(caught.value)


def test_collisions_of_components_recipes_and_tables() -> None:
    table = api.Recipe("table", "a:t.yaml", "a table", table=True)
    parts = {"components": (NET,), "recipes": (api.Recipe("model", "a:m.yaml", "a model"), table)}
    plugins = [Plugin(name, f"zoo-{name}", "1", **parts) for name in ("b", "a")]  # type: ignore[arg-type]
    registry = Registry(plugins, {"model": "zoo-b"})
    found = [(c.kind, c.name, c.providers, c.meant) for c in registry.collisions()]
    both = ("zoo-a", "zoo-b")
    assert found == [("encoder", "net", both, ""), ("recipe", "model", both, "zoo-b"), ("recipe", "table", both, "")]
    assert [entry.id for entry in registry.recipes("table")] == ["zoo-a/table", "zoo-b/table"]
    assert [entry.id for entry in registry.recipes()] == ["zoo-a/model", "zoo-b/model"]


def test_packages_that_require_each_other_are_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, needs in {"aa": "zoo-bb", "bb": "zoo-aa"}.items():
        info = tmp_path / f"zoo_{name}-1.0.dist-info"
        info.mkdir()
        text = f"Metadata-Version: 2.1\nName: zoo-{name}\nVersion: 1.0\nRequires-Dist: {needs}\n"
        (info / "METADATA").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert unmet("zoo-aa") == []
    (tmp_path / "zoo_bb-1.0.dist-info" / "METADATA").write_text(text + "Requires-Dist: zoo-nowhere>=2\n")
    assert unmet("zoo_aa") == ["zoo-bb requires 'zoo-nowhere>=2', which is not installed: pip install 'zoo-nowhere>=2'"]
