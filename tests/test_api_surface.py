"""``zoo.api`` keeps its word to plugins: ``tests/golden/api-X.Y.txt`` holds what version X.Y promised.

Within a major nothing is removed and nothing that a plugin could call changes; a minor adds. Where this fails, raise
``zoo.api.VERSION`` and write the golden file of the new version: ``python tests/test_api_surface.py``.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from zoo import api

GOLDEN = Path(__file__).with_name("golden")
PROTOCOLS = {"Hooks", *(name for name in api.__all__ if getattr(getattr(api, name), "_is_protocol", False))}
"""Implemented by plugins: nothing may be added to these within a major, as nothing may be taken away."""
HANDED = {"ExportedRun"}
"""Implemented by zoo alone, which hands them to plugins: to these something may be added."""


def surface(module: ModuleType = api) -> dict[str, str]:
    """Name, method or field -> its signature or content, of everything public."""
    found: dict[str, str] = {}
    for name in sorted({*module.__all__, "DEPRECATED", "Hooks"}):
        thing = getattr(module, name)
        found |= dict(_members(name, thing)) if inspect.isclass(thing) else {name: _said(thing)}
    return found


def _members(name: str, cls: type) -> Iterator[tuple[str, str]]:
    if is_dataclass(cls) or name not in PROTOCOLS:
        yield name, str(inspect.signature(cls))
    for member, thing in vars(cls).items():
        public = member == "__call__" or not member.startswith("_")
        if public and (callable(thing) or isinstance(thing, property) or not is_dataclass(cls)):
            yield f"{name}.{member}", "property" if isinstance(thing, property) else _said(thing)
    if name in PROTOCOLS:
        yield from ((f"{name}.{member}", kind) for member, kind in inspect.get_annotations(cls).items())


def _said(thing: Any) -> str:
    if thing is None or isinstance(thing, bool | int | str):
        return repr(thing)
    if isinstance(thing, tuple | Mapping):
        return ", ".join(map(str, thing))
    return str(inspect.signature(thing)) if inspect.isfunction(thing) else type(thing).__name__


def read(file: Path) -> dict[str, str]:
    return dict(line.split(" = ", 1) for line in file.read_text().splitlines())


def written(found: Mapping[str, str]) -> str:
    return "".join(f"{name} = {said}\n" for name, said in found.items())


def current() -> Path:
    return GOLDEN / f"api-{api.VERSION[0]}.{api.VERSION[1]}.txt"


def test_the_surface_is_what_this_version_promised() -> None:
    assert written(surface()) == current().read_text(), "see the head of this file"


def _broken(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """The names that a plugin written for ``old`` may miss in ``new`` of the same major."""
    lost = [name for name in old if name not in new]
    for name in old.keys() & new.keys() - {"VERSION", "DEPRECATED"}:
        if name in ("KINDS", "SIZES"):
            kept = set(old[name].split(", ")) <= set(new[name].split(", "))
        else:  # parameters may be added behind those there are, with a default
            before = old[name].partition(")")[0].rstrip()
            kept = old[name] == new[name] or (new[name].startswith(before) and "=" in new[name][len(before) :])
        lost += [] if kept else [name]
    promised = (PROTOCOLS - HANDED) & {name.partition(".")[0] for name in old}
    protocols = {name for name in new if name.partition(".")[0] in promised}
    return sorted({*lost, *(protocols - old.keys())})


def test_within_a_major_nothing_is_lost() -> None:
    files = sorted(GOLDEN.glob(f"api-{api.VERSION[0]}.*.txt"))
    assert current() in files
    assert {file.name: _broken(read(file), surface()) for file in files} == {file.name: [] for file in files}


def test_between_majors_only_what_was_deprecated_goes() -> None:
    older = sorted(GOLDEN.glob(f"api-{api.VERSION[0] - 1}.*.txt"))
    for file in older[-1:]:
        gone = {name.partition(".")[0] for name in read(file).keys() - surface().keys()}
        assert gone <= set(read(file)["DEPRECATED"].split(", "))


@pytest.mark.parametrize(
    ("old", "new", "broken"),
    [
        ({"f": "(a: int) -> int"}, {}, ["f"]),
        ({"f": "(a: int) -> int"}, {"f": "(a: int, b: int = 3) -> int", "g": "()"}, []),
        ({"f": "(a: int) -> int"}, {"f": "(a: int, b: int) -> int"}, ["f"]),
        ({"f": "(a: int) -> int"}, {"f": "(b: int) -> int"}, ["f"]),
        ({"KINDS": "a, b"}, {"KINDS": "a, c, b"}, []),
        ({"KINDS": "a, b"}, {"KINDS": "a, c"}, ["KINDS"]),
        ({"Hooks.a": "(self)"}, {"Hooks.a": "(self)", "Hooks.b": "(self)"}, ["Hooks.b"]),
        ({"Hooks.a": "(self)"}, {"Hooks.a": "(self)", "Metric.b": "(self)"}, []),
        ({"P": "property"}, {"P": "(self)"}, ["P"]),
    ],
)
def test_the_rule_notices(old: dict[str, str], new: dict[str, str], broken: list[str]) -> None:
    assert _broken(old, new) == broken


def test_what_will_go_says_so_and_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "DEPRECATED", {"to_pixels": "Images.pixels"})
    with pytest.warns(DeprecationWarning, match=r"zoo\.api\.to_pixels goes with version 2\.0 of zoo\.api; use Images"):
        assert api.to_pixels
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert api.to_model


def test_everything_deprecated_is_still_there_and_the_replacement_named() -> None:
    for name, instead in api.DEPRECATED.items():
        assert name in api.__all__
        assert instead


if __name__ == "__main__":
    current().write_text(written(surface()))
