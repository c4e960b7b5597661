"""``zoo new-plugin``: what it refuses, and one plugin from nothing to gone in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from errno import ENOSPC
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import Run, without_torch

from zoo.cli.new_plugin import LAYOUT, TEMPLATES, parts_of, words_for

HOUSE = ["--select", "E,F,I,B,UP,SIM,C4,PT,RUF,D1,BLE,PIE,RET,ARG", "--ignore", "D105,D107", "--line-length", "120"]


# -- names ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("distribution", "module", "part", "term"),
    [
        ("my-zoo-plugin", "my_zoo_plugin", "my-zoo-plugin", "pseudo_huber_my_zoo_plugin"),
        ("zoo-wavelets", "zoo_wavelets", "wavelets", "pseudo_huber_wavelets"),
        ("My.Fine__Nets", "my_fine_nets", "my-fine-nets", "pseudo_huber_my_fine_nets"),
        ("3d-nets", "zoo_3d_nets", "3d-nets", "pseudo_huber_3d_nets"),
        ("class", "zoo_class", "class", "pseudo_huber_class"),
        ("q", "q", "q", "pseudo_huber_q"),
    ],
)
def test_names_come_from_the_distribution(
    here: Path, run_zoo: Run, distribution: str, module: str, part: str, term: str
) -> None:
    outcome = run_zoo("new-plugin", distribution, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    told = json.loads(outcome.out)
    assert [part["name"] for part in told["provides"]] == [part, term, part]
    assert (here / distribution / "src" / module / f"{part}.yaml").is_file()
    written = sorted(str(file.relative_to(here / distribution)) for file in here.rglob("*") if file.is_file())
    assert written == sorted(told["files"])
    assert "$" not in "".join((here / distribution / file).read_text() for file in written)


@pytest.mark.parametrize("name", ["", "two words", "ends-", ".starts", "a/b", "..", "naïve", "x\n", "a[b]"])
def test_a_name_that_no_package_may_have_is_refused(here: Path, run_zoo: Run, name: str) -> None:
    outcome = run_zoo("new-plugin", name)
    assert outcome.code == 2
    assert "is not the name of a package; write letters, digits" in outcome.err
    assert not list(here.iterdir())


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("PyYAML", r"package 'PyYAML' is installed already \(version .*\)"),
        ("Generative.Zoo", "package 'Generative.Zoo' is installed already"),
        ("json", "module 'json' is there already"),
        ("zoo-timm", "module 'zoo_timm' is there already"),
        ("dcgan", "encoder 'dcgan' is in generative-zoo already"),
        ("zoo-Avae-Plus", "recipe 'avae-plus' is in generative-zoo already"),
    ],
)
def test_a_name_that_something_has_already_is_refused(here: Path, run_zoo: Run, name: str, why: str) -> None:
    outcome = run_zoo("new-plugin", name)
    assert outcome.code == 2
    assert re.match(f"zoo: error: {why}.*; choose another name", outcome.err)
    assert not list(here.iterdir())


def test_two_plugins_have_no_name_in_common() -> None:
    one, other = words_for("zoo-wavelets"), words_for("zoo-curvelets")
    assert not {*parts_of(one)} & {*parts_of(other)}


# -- the folder ----------------------------------------------------------------------------------------------


def test_a_folder_with_something_in_it_is_left_alone(here: Path, run_zoo: Run) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "thesis.tex").write_text("years")
    outcome = run_zoo("new-plugin", "my-zoo-plugin", "--out", "mine")
    assert outcome.code == 2
    assert outcome.err == "zoo: error: mine: is there already and not empty; choose another --out\n"
    assert [file.read_text() for file in here.rglob("*") if file.is_file()] == ["years"]


@pytest.mark.parametrize("out", ["file", "file/plugin"])
def test_a_file_in_the_way_is_left_alone(here: Path, run_zoo: Run, out: str) -> None:
    (here / "file").write_text("mine")
    outcome = run_zoo("new-plugin", "my-zoo-plugin", "--out", out)
    assert outcome.code == 2
    assert outcome.err.endswith("; choose another --out\n")
    assert (here / "file").read_text() == "mine"


@pytest.mark.parametrize("out", ["new", "deep/down", "empty", "."])
def test_a_missing_or_an_empty_folder_is_taken(here: Path, run_zoo: Run, out: str) -> None:
    if out == "empty":
        (here / "empty").mkdir()
    assert run_zoo("new-plugin", "my-zoo-plugin", "--out", out).code == 0
    place = here / out
    assert len([file for file in place.rglob("*") if file.is_file()]) == len(LAYOUT)
    assert place.stat().st_mode & 0o777 == 0o777 & ~_umask()
    assert (place / "pyproject.toml").stat().st_mode & 0o777 == 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_nothing_is_left_of_a_package_that_could_not_be_written_whole(
    here: Path, run_zoo: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, written = Path.write_text, []

    def full_disk(path: Path, *arguments: str) -> int:
        if len(written) == 3:
            raise OSError(ENOSPC, "No space left on device")
        written.append(path)
        return write(path, *arguments)

    monkeypatch.setattr(Path, "write_text", full_disk)
    outcome = run_zoo("new-plugin", "my-zoo-plugin")
    assert (outcome.code, len(written)) == (2, 3)
    assert outcome.err.startswith("zoo: error: my-zoo-plugin: cannot be written: No space left on device; choose")
    assert not list(here.iterdir())


def test_every_template_is_a_file_of_the_package() -> None:
    assert sorted(LAYOUT.values()) == sorted(template.name for template in TEMPLATES.iterdir())


# -- the code ------------------------------------------------------------------------------------------------


def test_it_needs_no_torch_and_what_it_writes_is_tidy(here: Path) -> None:
    assert without_torch(["new-plugin", "zoo-wavelets"], here).code == 0
    for verb in (["check", *HOUSE], ["format", "--check", "--line-length", "120"], ["format", "--check"]):
        command = [sys.executable, "-m", "ruff", *verb, "--isolated", "--no-cache", "."]
        done = subprocess.run(command, cwd=here / "zoo-wavelets", capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


# -- from nothing to gone ------------------------------------------------------------------------------------

NAME = "my-zoo-plugin"
TINY = ["data.size=16", "data.train=64", "data.test=8", "latent=8", "train.batch=4", "train.steps=2"]
TINY += ["slots.encoder.width=4", "slots.decoder.width=4"]
SMALL = "extends: vae\ndata: {size: 16, train: 64, test: 8}\nlatent: 8\ntrain: {batch: 4}\n"
CATALOGUE = f"packages: {{{NAME}: {{provides: {{encoder: [{NAME}]}}}}}}\n"


class Environment:
    """A fresh virtual environment that sees the packages of this one, the editable zoo among them."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "venv", with_pip=False, symlinks=True)
        self.folder, self.python = folder, folder / "venv" / "bin" / "python"
        site = Path(self.run("-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
        # addsitedir, not the bare path: the .pth file of the editable install in there must be read too
        (site / "borrowed.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")

    def run(self, *arguments: object, code: int = 0, cwd: str = ".") -> subprocess.CompletedProcess[str]:
        """Its Python, which must exit with a code."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "PIP_"))}
        done = subprocess.run(
            [self.python, *map(str, arguments)],
            cwd=self.folder / cwd,
            env=clean | {"OMP_NUM_THREADS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INDEX": "1"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done

    def zoo(self, *arguments: object, code: int = 0, cwd: str = NAME) -> str:
        """What ``zoo ARGUMENTS`` prints: on stdout if it went well, else on stderr."""
        done = self.run("-m", "zoo", *arguments, code=code, cwd=cwd)
        return done.stderr if code else done.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    return Environment(tmp_path_factory.mktemp("author"))


def test_a_plugin_from_nothing_to_gone(environment: Environment) -> None:
    zoo = environment.zoo
    mine = environment.folder / "mine.yaml"
    mine.write_text(f"{SMALL}slots: {{encoder: {{use: {NAME}, width: 4}}, decoder: {{width: 4}}}}\n")
    (environment.folder / "registry.yaml").write_text(CATALOGUE)

    assert "zoo build my-zoo-plugin" in zoo("new-plugin", NAME, cwd=".")
    environment.run("-m", "pip", "wheel", ".", "--no-deps", "--no-build-isolation", "-q", "-w", "dist", cwd=NAME)
    [wheel] = (environment.folder / NAME / "dist").glob("*.whl")
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info" not in name}
    modules = ("__init__.py", "networks.py", "terms.py", "py.typed", f"{NAME}.yaml")
    assert names == {f"my_zoo_plugin/{module}" for module in modules}
    assert f"no recipe '{NAME}'" in zoo("build", NAME, code=2)

    environment.run("-m", "pip", "install", "-q", wheel)  # and what it depends on is there
    assert re.search(rf"^encoder +{NAME} +{NAME} 0.1.0 ", zoo("list"), re.MULTILINE)
    assert re.search(rf"^{NAME} +{NAME} 0.1.0 +ok$", zoo("plugins"), re.MULTILINE)
    built = zoo("build", NAME, *(word for setting in TINY for word in ("--set", setting)))
    assert built.splitlines()[-1] == f"runs/{NAME}: done; open runs/{NAME}/report.html"
    tests = environment.run("-m", "pytest", "-q", cwd=NAME).stdout
    assert re.search(
        rf"^zoo.testing: [1-9]\d+ checks of {NAME} \(plugin .*encoder .*term .*recipe", tests, re.MULTILINE
    )
    assert re.search(r"^\d+ passed in ", tests, re.MULTILINE), tests  # none failed, skipped or warned
    zoo("check", mine)

    environment.run("-m", "pip", "uninstall", "-q", "-y", NAME)
    assert NAME not in zoo("list")
    assert NAME not in zoo("plugins")
    assert f"there is no recipe '{NAME}'" in zoo("build", NAME, code=2)
    assert zoo("build", mine, code=2).endswith(f"but {NAME} has it: pip install {NAME}\n")
