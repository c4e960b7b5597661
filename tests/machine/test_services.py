"""What ``zoo.api`` lends to plugins: memory, progress, a folder for what can be made again."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from zoo import api
from zoo.machine import device, progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_memory_is_the_least_of_what_the_machine_and_its_container_allow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ZOO_MEMORY", raising=False)
    places = {"unlimited": "max\n", "wide": f"{2**63 - 4096}\n", "limited": "123456789\n"}
    for name, limit in places.items():
        (tmp_path / name).write_text(limit)
    for names in (["none"], ["none", "unlimited"], ["unlimited", "wide"]):
        monkeypatch.setattr(device, "LIMITS", [str(tmp_path / name) for name in names])
        assert api.memory() == os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    monkeypatch.setattr(device, "LIMITS", [str(tmp_path / name) for name in places])
    assert api.memory() == 123_456_789
    monkeypatch.setenv("ZOO_MEMORY", "3GB")
    assert api.memory() == 3 * 10**9


@pytest.mark.parametrize(
    ("variables", "place"),
    [
        ({"ZOO_CACHE": "/kept"}, "/kept/data"),
        ({"XDG_CACHE_HOME": "/xdg"}, "/xdg/zoo/data"),
        ({"HOME": "/me"}, "/me/.cache/zoo/data"),
        ({"HOME": "/me", "ZOO_CACHE": "~/kept"}, "/me/kept/data"),
    ],
)
def test_the_folder_of_what_is_kept(variables: dict[str, str], place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ZOO_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert api.cache_folder("data") == Path(place)


def test_lines_come_every_ten_seconds_and_at_the_end(clock: list[float]) -> None:
    said = io.StringIO()
    with api.Progress("packing cats", 4000, 1000, stream=said) as bar:
        for second in range(1, 16):
            clock[0] += 1
            bar.update(1000 + 100 * second, "2 bad" if second == 15 else "")
    assert said.getvalue().splitlines() == [
        "packing cats: 2,000 of 4,000 images, 100 images/s, 20 s left",
        "packing cats: 2,500 of 4,000 images, 100 images/s, 15 s left, 2 bad",
    ]


def test_a_line_may_begin_with_something_else(clock: list[float]) -> None:
    said = io.StringIO()
    with api.Progress("", 80000, silent=0, stream=said) as bar:
        clock[0] += 1
        bar.update(10, place="step 1/8000")
    assert said.getvalue() == "step 1/8000, 10 images/s, 2 h 13 min left\n"


@pytest.mark.parametrize("stream", [io.StringIO, Terminal])
def test_short_work_shows_nothing(clock: list[float], stream: type[io.StringIO]) -> None:
    said = stream()
    with api.Progress("packing cats", 40, stream=said) as bar:
        clock[0] += 1.9
        bar.update(40)
    assert said.getvalue() == ""


def test_on_a_terminal_there_is_a_bar() -> None:
    said = Terminal()
    with api.Progress("packing cats", 40, 10, silent=0, stream=said) as bar:
        bar.update(40, "2 bad")
    last = said.getvalue().rpartition("\r")[2]
    assert last.startswith("packing cats: 100%")
    assert "40.0/40.0" in last
    assert "2 bad" in last
