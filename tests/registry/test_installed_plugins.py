"""Whatever an installed plugin does, every other one works and ``zoo plugins`` says what is wrong.

The packages of ``faulty_packages`` are really installed, all at once, by pip into a fresh environment. Those with
damaged metadata lie in folders beside it: torch stops at them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from conftest import Outcome
from helpers.faulty_packages import DAMAGED, PACKAGES, wheel

SETTINGS = "disabled: [zoo-hang]  # it would keep every test waiting\n"
RECIPE = "extends: good-recipe\nphases:\n  - encoder + decoder: {reconstruction: 1, kl: 1, good_term: 1}\n"


@dataclass(frozen=True)
class World:
    """An environment with every package installed; ``zoo(...)`` is its command line."""

    home: Path

    @property
    def python(self) -> Path:
        return self.home / "venv" / "bin" / "python"

    def zoo(self, *arguments: str, **variables: str) -> Outcome:
        """One command; ``damaged=NAME`` has a package of ``DAMAGED`` there, too."""
        with self.started(*arguments, **variables) as process:
            out, err = process.communicate(timeout=120)
        return Outcome(process.returncode, out, err)

    def started(self, *arguments: str, damaged: str = "", **variables: str) -> subprocess.Popen[str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ZOO_")}
        path = os.pathsep.join(filter(None, [damaged and str(self.home / damaged), kept.get("PYTHONPATH", "")]))
        return subprocess.Popen(
            [self.python, "-m", "zoo", *arguments],
            cwd=self.home,
            env={**kept, "ZOO_CONFIG": str(self.home), "PYTHONPATH": path, **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),  # whoever runs the tests may ignore it
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    home = tmp_path_factory.mktemp("world")
    venv.create(home / "venv", with_pip=False, symlinks=True)
    site = next((home / "venv" / "lib").glob("python*/site-packages"))
    # The packages of this environment, torch and the editable install of zoo among them.
    (site / "borrowed.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    wheels = [wheel(name, package, home) for name, package in PACKAGES.items()]
    pip = [sys.executable, "-m", "pip", "--python", home / "venv" / "bin" / "python", "--disable-pip-version-check"]
    options = ["--no-index", "--no-deps", "--no-compile", "--quiet"]
    subprocess.run([*pip, "install", *options, *wheels], check=True, timeout=120)
    for name, (package, entry_points) in DAMAGED.items():
        with ZipFile(wheel(name, package, home)) as archive:
            archive.extractall(home / name)
        (home / name / f"{name.replace('-', '_')}-1.0.dist-info" / "entry_points.txt").write_bytes(entry_points)
    (home / "registry.yaml").write_text(SETTINGS)
    (home / "r.yaml").write_text(RECIPE)
    return World(home)


COMMANDS = {"plugins": ["plugins", "--json", "--traceback"], "list": ["list", "--json"], "check": ["check", "r.yaml"]}


@pytest.fixture(scope="module")
def outcomes(world: World) -> dict[str, Outcome]:
    """What three commands say with every package installed."""
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(COMMANDS, pool.map(lambda arguments: world.zoo(*arguments), COMMANDS.values()), strict=True))


@pytest.fixture(scope="module")
def told(outcomes: dict[str, Outcome]) -> dict[str, Any]:
    """What ``zoo plugins --json`` says, by plugin."""
    return {row["name"]: row for row in json.loads(outcomes["plugins"].out)}


# -- everything at once --------------------------------------------------------------------------------------


def test_it_is_the_zoo_of_this_repository(world: World) -> None:
    code = "from importlib.util import find_spec; print(find_spec('zoo').origin, find_spec('zoo_dcgan').origin)"
    done = subprocess.run([world.python, "-c", code], cwd=world.home, capture_output=True, text=True, check=True)
    root = Path(__file__).parents[2]
    assert done.stdout.split() == [str(root / "zoo/__init__.py"), str(root / "plugins/zoo_dcgan/__init__.py")]


def test_the_first_party_and_every_healthy_plugin_are_well(told: dict[str, Any], outcomes: dict[str, Outcome]) -> None:
    ill = [row for row in told.values() if row["distribution"] == "generative-zoo" and row["state"] != "ok"]
    assert ill == []
    ids = {row["id"] for row in json.loads(outcomes["list"].out)}
    healthy = ["zoo-good/good-net", "zoo-good/good_term", "zoo-good/good-recipe", "zoo-torchy/zoo-torchy"]
    healthy += ["zoo-slow/zoo-slow", "zoo-loud/zoo-loud", "zoo-twin-a/twin", "zoo-twin-b/twin", "zoo-evil/dcgan"]
    healthy += ["generative-zoo/dcgan", "generative-zoo/avae"]
    assert set(healthy) <= ids
    assert {"zoo-descriptor/fine", "zoo-targets/healthy", "zoo-twice/zoo-twice"} <= ids  # right parts of faulty ones


def test_a_recipe_with_parts_of_a_healthy_plugin_is_checked(outcomes: dict[str, Outcome]) -> None:
    assert (outcomes["check"].code, outcomes["check"].out.splitlines()[-1]) == (0, "r.yaml: ok")


@pytest.mark.parametrize("name", PACKAGES)
def test_a_plugin_is_told_by_state_and_reason(told: dict[str, Any], name: str) -> None:
    package = PACKAGES[name]
    plugins = [row for row in told.values() if row["distribution"] == name]
    worst = next((row for row in plugins if row["state"] != "ok"), plugins[0])
    assert (worst["state"], worst["version"]) == (package.state, "1.0")
    assert package.says in (worst["note"] if package.state == "ok" else worst["reason"])
    assert bool(worst["reason"]) == (package.state != "ok")


def test_a_failed_import_has_a_traceback(told: dict[str, Any]) -> None:
    assert "import no_such_thing" in told["zoo_import_error"]["traceback"]


def test_faults_of_targets_are_told_part_by_part(told: dict[str, Any]) -> None:
    assert told["zoo_targets"]["reason"].split("; encoder ") == [
        "encoder 'absent': module 'zoo_targets.nets' has no 'Absent'",
        "'starred': Net.__init__() takes **options, so its options cannot be known; name each one",
        "'unimportable': importing 'zoo_targets.torn' failed: ModuleNotFoundError: No module named 'no_such_thing'",
    ]


def test_faults_of_recipes_are_told_one_by_one(told: dict[str, Any]) -> None:
    lost, torn = told["zoo_recipes_bad"]["reason"].split("; recipe ")
    assert lost == "recipe 'lost': there is no file 'zoo_recipes_bad:lost.yaml'"
    assert torn.startswith("'torn': ")
    assert "torn.yaml:2:1: error: " in torn


def test_whatever_is_printed_stdout_is_one_document(outcomes: dict[str, Outcome]) -> None:
    for name in ("plugins", "list"):
        json.loads(outcomes[name].out)
        assert {line for line in outcomes[name].errors if line.startswith("LOUD")} == {
            "LOUD python",
            "LOUD descriptor",
            "LOUD child",
        }


def test_collisions_are_listed_and_nothing_is_overwritten(world: World, told: dict[str, Any]) -> None:
    twins = "encoder 'twin' is provided by zoo-twin-a and zoo-twin-b; a bare 'twin' is ambiguous: "
    assert told["zoo_twin_a"]["collisions"][0].startswith(twins + "pin it in registry.yaml (pins: {encoder/twin: ")
    ours = "critic 'dcgan' is provided by generative-zoo and zoo-evil and zoo-twin-a; "
    assert ours + "a bare 'dcgan' means that of generative-zoo (first-party)" in told["dcgan"]["collisions"]
    shown = world.zoo("show", "critic:generative-zoo/dcgan", ZOO_PLUGINS="zoo-twin-a,zoo-evil").out
    assert shown.startswith("critic generative-zoo/dcgan")
    settings = world.home / "pinned"
    settings.mkdir()
    (settings / "registry.yaml").write_text("pins: {twin: zoo-twin-b}")
    table = world.zoo("plugins", ZOO_PLUGINS="zoo-twin-a,zoo-twin-b", ZOO_CONFIG=str(settings)).out
    assert "a bare 'twin' means that of zoo-twin-b (pinned)" in table


# -- damaged metadata ----------------------------------------------------------------------------------------


def test_a_malformed_line_is_told_and_the_others_count(world: World) -> None:
    rows = json.loads(world.zoo("plugins", "--json", damaged="zoo-malformed", ZOO_PLUGINS="zoo-malformed").out)
    told = {row["name"]: row for row in rows if row["distribution"] == "zoo-malformed"}
    assert "'nonsense' under [zoo] is not 'NAME = MODULE'" in told["nonsense"]["reason"]
    assert (told["nonsense"]["state"], told["zoo_malformed"]["state"]) == ("broken", "ok")


def test_a_strangers_damaged_file_costs_those_alone_who_import_torch_at_once(
    world: World, outcomes: dict[str, Outcome]
) -> None:
    damaged = world.zoo("list", "--json", damaged="unrelated")
    there, without = ({row["id"] for row in json.loads(run.out)} for run in (damaged, outcomes["list"]))
    assert (damaged.code, there ^ without) == (0, {"zoo-torchy/zoo-torchy"})


def test_where_torch_stops_at_a_damaged_file_the_file_is_named(world: World) -> None:
    file = world.home / "unrelated" / "unrelated-1.0.dist-info" / "entry_points.txt"
    said = f"{file} of package unrelated 1.0 is damaged, and torch and other libraries stop at it; "
    said += "remove it, then pip install --force-reinstall unrelated"
    checked = world.zoo("check", "r.yaml", damaged="unrelated", ZOO_PLUGINS="zoo-good")
    assert (checked.code, checked.out, checked.err) == (1, "", f"zoo: error: {said}\n")
    rows = json.loads(world.zoo("plugins", "--json", damaged="unrelated", ZOO_PLUGINS="zoo-torchy").out)
    [torchy] = [row["reason"] for row in rows if row["distribution"] == "zoo-torchy"]
    assert torchy.startswith("importing 'zoo_torchy' failed: UnicodeDecodeError: ")
    assert torchy.endswith(f"; {said}")


# -- plugins that never end ----------------------------------------------------------------------------------


def test_an_endless_import_ends_with_ctrl_c_and_the_cure(world: World, tmp_path: Path) -> None:
    marker = tmp_path / "imported"
    variables = {"ZOO_PLUGINS": "zoo-hang", "ZOO_CONFIG": str(tmp_path), "ZOO_TEST_MARKER": str(marker)}
    with world.started("list", "--json", **variables) as process:
        until = time.monotonic() + 60
        while not marker.is_file() and time.monotonic() < until:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    cure = "zoo plugins disable zoo-hang/zoo_hang"
    said = f"zoo: interrupted inside plugin 'zoo_hang' of zoo-hang; '{cure}' goes on without it\n"
    assert (process.returncode, out, err) == (130, "", said)
    assert world.zoo(*cure.split()[1:], **variables).code == 0
    assert world.zoo("list", "--json", **variables).code == 0


# -- left out ------------------------------------------------------------------------------------------------


def test_disable_and_enable_import_nothing(world: World, tmp_path: Path) -> None:
    marker = tmp_path / "imported"
    variables = {"ZOO_TEST_MARKER": str(marker), "ZOO_CONFIG": str(tmp_path), "ZOO_PLUGINS": "zoo-marker,zoo-good"}
    disabled = world.zoo("plugins", "disable", "zoo-marker/zoo_marker", **variables)
    assert (disabled.code, disabled.out) == (0, f"disabled zoo-marker/zoo_marker in {tmp_path / 'registry.yaml'}\n")
    row = next(r for r in json.loads(world.zoo("plugins", "--json", **variables).out) if r["name"] == "zoo_marker")
    cure = "zoo plugins enable zoo-marker/zoo_marker"
    assert (row["state"], row["reason"].endswith(cure)) == ("disabled", True)
    assert world.zoo(*cure.split()[1:], **variables).code == 0
    assert not marker.exists()
    world.zoo("list", **variables)
    assert marker.read_text() == "imported"


def test_no_plugins_and_zoo_plugins(world: World, tmp_path: Path) -> None:
    marker = tmp_path / "imported"
    none = world.zoo("plugins", "--json", "--no-plugins", ZOO_TEST_MARKER=str(marker))
    rows = json.loads(none.out)
    assert {row["state"] for row in rows if row["distribution"] == "generative-zoo"} == {"ok"}
    others = [row for row in rows if row["distribution"] != "generative-zoo"]
    assert {row["state"] for row in others} == {"disabled"}
    assert others[0]["reason"] == "the variable ZOO_PLUGINS is empty (so it is with --no-plugins), which leaves it out"
    assert not marker.exists()
    some = world.zoo("list", "--json", ZOO_PLUGINS="zoo-good,zoo-godo")
    assert {row["id"].split("/")[0] for row in json.loads(some.out)} == {"generative-zoo", "zoo-good"}
    said = "zoo: warning: ZOO_PLUGINS names 'zoo-godo', which is not installed; did you mean 'zoo-good'?"
    assert some.errors[-1] == said
