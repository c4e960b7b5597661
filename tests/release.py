"""Builds sdist and wheel into dist/, and tries the wheel as its users will: ``python tests/release.py [--steps N]``.

A fresh environment outside the clone gets the wheel without extras; the main job runs there. A package made by
``zoo new-plugin`` is built, installed beside it, tested and trained. What fails ends it. Some minutes and gigabytes.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parents[1]
DIST = ROOT / "dist"
PIP = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")


def run(*command: object, cwd: Path) -> None:
    """A command, told and run; its failure is the end."""
    print("$", *command, flush=True)
    alone = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "VIRTUAL_ENV"))}
    subprocess.run(list(map(str, command)), cwd=cwd, check=True, env=alone)


def main() -> None:
    """Build, check, install elsewhere, run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=200, help="of the main job (200)")
    steps = parser.parse_args().steps
    shutil.rmtree(DIST, ignore_errors=True)
    run(sys.executable, "-m", "build", "--outdir", DIST, cwd=ROOT)
    run(sys.executable, "-m", "twine", "check", "--strict", *DIST.iterdir(), cwd=ROOT)
    (wheel,) = DIST.glob("*.whl")
    with TemporaryDirectory(prefix="zoo-release-") as folder:
        outside = Path(folder)
        venv.create(outside / "venv", with_pip=True)
        python, zoo = outside / "venv" / "bin" / "python", outside / "venv" / "bin" / "zoo"
        run(python, *PIP, wheel, cwd=outside)
        run(zoo, "doctor", cwd=outside)
        run(zoo, "build", "avae.yaml", "--steps", steps, cwd=outside)
        run(zoo, "new-plugin", "my-zoo-plugin", cwd=outside)
        plugin = outside / "my-zoo-plugin"
        run(sys.executable, "-m", "build", "--wheel", cwd=plugin)
        (its,) = (plugin / "dist").glob("*.whl")
        run(python, *PIP, f"{its}[test]", cwd=outside)
        run(python, "-m", "pytest", "--quiet", cwd=plugin)
        run(zoo, "build", "my-zoo-plugin", "--steps", steps, cwd=outside)
    print("\n".join(["", *(f"{path.relative_to(ROOT)}: ready" for path in DIST.iterdir())]))


if __name__ == "__main__":
    main()
