"""A wheel built from a clean copy of the repository and installed outside it works: nothing is left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest
from conftest import LISTS_TORCH

ROOT = Path(__file__).parents[1]
TINY = ["data.size=8", "data.train=64", "data.test=8", "train.batch=4", "train.steps=20"]
TINY += [f"slots.{slot}.width=4" for slot in ("encoder", "decoder", "generator", "critic")]


def run(*command: object, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from what git would track, in a place of its own."""
    copy = tmp_path_factory.mktemp("clone")
    for name in run("git", "ls-files", "--cached", "--others", "--exclude-standard", "-z", cwd=ROOT).split("\0"):
        if name and (ROOT / name).exists() and not name.startswith("tests/"):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name, follow_symlinks=False)
    options = ["--no-deps", "--no-build-isolation", "--quiet", "--disable-pip-version-check"]
    run(sys.executable, "-m", "pip", "wheel", ".", *options, "--wheel-dir", "dist", cwd=copy)
    [built] = (copy / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it; torch and the like are those of this one."""
    home = tmp_path_factory.mktemp("home")
    venv.create(home / "venv", with_pip=False, symlinks=True)
    python = home / "venv" / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=home).strip())
    # A path in a .pth file is put on sys.path as it is: the editable install in there stays asleep.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    run(*pip, "install", "--no-deps", "--no-index", "--ignore-installed", "--quiet", wheel, cwd=home)
    return home


def test_the_wheel_holds_the_catalogue_the_recipes_and_nothing_of_the_tests(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.read("zoo/registry.yaml") == (ROOT / "registry.yaml").read_bytes()
    for recipe in (ROOT / "plugins").rglob("*.yaml"):
        assert str(recipe.relative_to(ROOT / "plugins")) in names
    assert "zoo/py.typed" in names
    for file in (
        *(ROOT / "zoo" / "cli" / "templates").iterdir(),
        *(ROOT / "zoo").rglob("*.css"),
        *(ROOT / "zoo").rglob("*.js"),
    ):
        assert str(file.relative_to(ROOT)) in names
    for source in [*(ROOT / "zoo").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]:
        inside = source.relative_to(ROOT / "plugins" if "plugins" in source.parts else ROOT)
        assert str(inside) in names
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert all(top == "zoo" or top.startswith("zoo_") for top in tops)


def test_an_installed_wheel_lists_and_builds(site: Path) -> None:
    python = site / "venv" / "bin" / "python"
    where = run(python, "-c", "import zoo, zoo_dcgan; print(zoo.__file__, zoo_dcgan.__file__)", cwd=site)
    assert str(ROOT) not in where
    *lines, torch = run(python, "-c", LISTS_TORCH, "list", cwd=site).splitlines()
    assert ["encoder", "dcgan"] in [line.split()[:2] for line in lines]
    assert torch == "False"
    settings = [word for setting in TINY for word in ("--set", setting)]
    out = run(site / "venv" / "bin" / "zoo", "build", "avae.yaml", *settings, cwd=site)
    assert out.splitlines()[-1] == "runs/avae: done; open runs/avae/report.html"
    assert (site / "runs" / "avae" / "samples.png").is_file()
